//! What Linux shows of the firmware's memory is what `cargo xtask stats` reads.
use libtest_mimic::Trial;
use measure::stats;
use measure::told::Told;
use tests::console::Expected;
use tests::qemu::{Boot, End};
use xtask::setup::debian::Release;

use super::{PROMPT, faultless, with_kernel};
use crate::{Outcome, trial};

/// Has the shell tell a file as the test host tells memory. Lines of zeros are left out: nothing told is
/// zero, and a console is slow.
const TELL: &str = r#"t() { hexdump -v -e '"told %07_ax " 32/1 "%02x" "\n"' $1 | grep -v ' 00*$'; printf 'told: 0x%x bytes\n' $(stat -c %s $1); }"#;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("linux::calls-counted", || {
            shows("opal_calls", &["OPAL_CHECK_TOKEN", "OPAL_CONSOLE_WRITE"])
        }),
        trial("linux::cores-counted", || {
            shows("smt_stats", &["0 vcores;", "0x0 the firmware's"])
        }),
    ]
}

/// A copy of the export, read as the tool does, has these.
fn shows(export: &str, rows: &[&str]) -> Outcome {
    let commands = [
        TELL.to_string(),
        format!("t /sys/firmware/opal/exports/{export}"),
        "exit".to_string(),
    ];
    let talk = commands.map(|command| (PROMPT.to_string(), format!("{command}\n")));
    let boot = Boot {
        talk: talk.into(),
        ..with_kernel(Release::V6_12, Boot::new(1, 2), "")
    };
    let expected = faultless(Expected::lines(["told: 0x", "reboot: Power down"]));
    let lines = boot.check(&End::Off, &expected)?;
    let bytes = Told::of(lines.iter().map(String::as_str)).bytes();
    let text = bytes.and_then(|bytes| stats::show(&bytes));
    let text = text.map_err(|why| format!("{why:#}"))?;
    let lacks = |row: &&&str| {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        !text.lines().any(|line| words(line).starts_with(**row))
    };
    let missing: Vec<_> = rows.iter().filter(lacks).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!("no row with {missing:?}:\n{text}")),
    }
}

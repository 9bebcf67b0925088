//! What the project's set-up brings where its first source fails.
use libtest_mimic::Trial;
use tests::qemu::{Boot, End, Tcg};
use xtask::setup;

use crate::{Outcome, behaviours, trial};

/// Eight vcpus run.
const BEHAVIOUR: &str = "run8";

pub fn trials() -> Vec<Trial> {
    vec![trial("setup::newer-debians-qemu", newer_debians_qemu)]
}

/// The machine's own suites have no QEMU that is new enough: a newer Debian's is unpacked, with its
/// libraries, and boots a host that runs a guest.
fn newer_debians_qemu() -> Outcome {
    let none = || anyhow::bail!("backports have no QEMU any more");
    let programs = setup::bring_qemu(none).map_err(|error| format!("{error:#}"))?;
    let boot = Boot {
        programs: Some(programs.ok_or("QEMU was installed")?),
        ..behaviours::boot(BEHAVIOUR, Tcg::Multi)
    };
    boot.check(&End::Off, &behaviours::expected(BEHAVIOUR))
        .map(drop)
}

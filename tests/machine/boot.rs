//! Machines of every shape come up, reach the host, and switch off.
use libtest_mimic::Trial;
use tests::console::Expected;
use tests::images;
use tests::qemu::{Boot, End, Tcg};

use crate::{Outcome, behaviours, trial};

/// A guest with one vcpu, which every machine can run.
const BEHAVIOUR: &str = "run1";
/// What needs no guest.
const WITHOUT_GUEST: &str = "check_token";

/// Name, chips, cores of each chip, threads of each core.
const SHAPES: [(&str, u32, u32, u32); 7] = [
    ("1-thread", 1, 1, 1),
    ("2-threads", 1, 1, 2),
    ("4-threads", 1, 1, 4),
    ("8-threads", 1, 1, 8),
    ("2-cores-of-1-thread", 1, 2, 1),
    ("2-cores-of-8-threads", 1, 2, 8),
    ("2-chips-of-8-threads", 2, 1, 8),
];

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, chips, cores, threads) in SHAPES {
        for (mode, tcg) in [("single", Tcg::Single), ("multi", Tcg::Multi)] {
            let boot = move || Boot {
                chips,
                tcg,
                ..Boot::new(cores, threads)
            };
            trials.push(trial(format!("boot::{name}::{mode}"), move || {
                comes_up(boot(), &End::Off)
            }));
        }
    }
    trials.push(trial("boot::without-bmc", || {
        let boot = Boot {
            bmc: false,
            ..Boot::new(1, 8)
        };
        comes_up(boot, &End::Off)
    }));
    trials.push(trial("boot::default-devices", || {
        let boot = Boot {
            default_devices: true,
            ..Boot::new(1, 8)
        };
        comes_up(boot, &End::Off)
    }));
    trials.push(trial("boot::without-initrd", without_initrd));
    trials.push(trial("boot::elected-elsewhere", elected_elsewhere));
    trials
}

fn comes_up(boot: Boot, end: &End) -> Outcome {
    let cores = boot.chips * boot.cores;
    let threads = cores * boot.threads;
    let boot = Boot {
        payload: Some(images::path("testhost")),
        initrd: Some(behaviours::initrd()),
        bootargs: format!("test={BEHAVIOUR}"),
        ..boot
    };
    let expected = Expected::lines(["resident firmware for POWER8"])
        .then(format!("catnap: {cores} cores, {threads} threads"))
        .then("catnap: to the host at 0x2")
        .then(format!("ok {BEHAVIOUR}"))
        .then("host: done");
    boot.check(end, &expected).map(drop)
}

fn without_initrd() -> Outcome {
    let boot = Boot {
        payload: Some(images::path("testhost")),
        bootargs: format!("test={WITHOUT_GUEST}"),
        ..Boot::new(1, 2)
    };
    let expected = Expected::lines([format!("ok {WITHOUT_GUEST}")]).then("host: done");
    boot.check(&End::Off, &expected).map(drop)
}

/// The host begins on the first core, whoever was elected to boot, and can start who was.
fn elected_elsewhere() -> Outcome {
    const OTHER_CORE: &str = "two_cores";
    let boot = behaviours::boot(OTHER_CORE, Tcg::Multi).elected_elsewhere();
    let expected = behaviours::expected(OTHER_CORE);
    let lines = boot.check(&End::Off, &expected)?;
    let elected = format!("pir{:02x}: catnap: to the host", images::SECOND_CORE);
    match lines.iter().any(|line| line.contains(&elected)) {
        true => Ok(()),
        false => Err(format!("not said: {elected}\n{}", lines.join("\n"))),
    }
}

//! Every behaviour that the test host shows, with the machine's threads in turn and at once.
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use libtest_mimic::Trial;
use tests::console::Expected;
use tests::qemu::{Boot, End, Tcg};
use tests::{behaviours, images};

use crate::{Outcome, trial};

/// The behaviour of 10,000 runs of eight threads, or of as many as the boot argument says.
const CYCLES: &str = "cycles10000";
const MANY: &str = "cycles=100000";
/// With a host thread for each thread of the machine a run takes ten times as long, unless the
/// build host has as many processors.
const FEW: &str = "cycles=1000";
/// Races have 2,000 rounds each, and fewer where a round takes as much longer.
const RACES: &str = "race_";
const FEW_ROUNDS: &str = "rounds=300";
/// These are work to count the instructions of, where time counts them: see `budgets`.
const BENCHES: &str = "bench";

/// Behaviours that are refusals: the firmware logs them.
const REFUSED: [&str; 2] = ["is refused", "refused:"];
/// Behaviours that have threads lost, for which the firmware waits in vain.
const FENCES: &str = "fence";
const LOST: &str = "never came back";
/// This one waits for system resets, and says when.
const STRUCK: &str = "struck";
const STRIKES: usize = 4;

/// What is shown with the mitigations on, too: that they change nothing of the guest's.
const MITIGATED: [&str; 5] = ["mitigations", "registers", "exits", "cede_prod", CYCLES];

/// How long each may take before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(240);
const MANY_LIMIT: Duration = Duration::from_secs(4 * 3600);

pub fn trials() -> Vec<Trial> {
    let modes = [("single", Tcg::Single), ("multi", Tcg::Multi)];
    let mut trials = vec![trial("behaviours::all-are-listed", all_are_listed)];
    let names = behaviours::names();
    for name in names.into_iter().filter(|name| !name.starts_with(BENCHES)) {
        for (mode, tcg) in modes {
            let arguments = arguments(&name, tcg);
            let behaviour = name.clone();
            let run = move || shows(&behaviour, tcg, arguments, LIMIT);
            trials.push(trial(format!("behaviours::{name}::{mode}"), run));
        }
    }
    for behaviour in MITIGATED {
        let run = move || {
            shows(
                behaviour,
                Tcg::Multi,
                "cycles=500 catnap.mitigations=on",
                LIMIT,
            )
        };
        trials.push(trial(format!("behaviours::mitigated-{behaviour}"), run));
    }
    for (mode, tcg) in modes {
        let run = move || shows(CYCLES, tcg, MANY, MANY_LIMIT);
        let cycles = trial(format!("behaviours::cycles100000::{mode}"), run);
        trials.push(cycles.with_ignored_flag(true));
    }
    trials
}

/// Boot arguments of a behaviour, beside its name.
fn arguments(name: &str, tcg: Tcg) -> &'static str {
    match tcg {
        Tcg::Multi if name == CYCLES => FEW,
        Tcg::Multi if name.starts_with(RACES) => FEW_ROUNDS,
        _ => "",
    }
}

/// The archive that the test host wants, written once.
pub fn initrd() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| images::scratch_file("guests.cpio", &images::guests()));
    path.clone()
}

/// The test host, to show `behaviour` on two cores of eight threads.
pub fn boot(behaviour: &str, tcg: Tcg) -> Boot {
    let strikes = if behaviour == STRUCK { STRIKES } else { 0 };
    Boot {
        tcg,
        payload: Some(images::path("testhost")),
        initrd: Some(initrd()),
        bootargs: format!("test={behaviour}"),
        orders: vec![("struck: now".into(), "nmi\n".into()); strikes],
        limit: LIMIT,
        ..Boot::new(2, 8)
    }
}

/// What its console says then.
pub fn expected(behaviour: &str) -> Expected {
    let expected = Expected::lines(["catnap: 2 cores, 16 threads"])
        .then(format!("ok {behaviour}"))
        .then("host: done");
    let expected = REFUSED.into_iter().fold(expected, Expected::allow);
    match behaviour.starts_with(FENCES) {
        true => expected.allow(LOST),
        false => expected,
    }
}

fn shows(behaviour: &str, tcg: Tcg, arguments: &str, limit: Duration) -> Outcome {
    let mut boot = boot(behaviour, tcg);
    boot.bootargs = format!("{} {arguments}", boot.bootargs);
    boot.limit = limit;
    boot.check(&End::Off, &expected(behaviour)).map(drop)
}

/// The trials here are those of the test host's source; the image has to have the same.
fn all_are_listed() -> Outcome {
    let nobody = "none-of-them";
    let complaint = format!("FAILED test={nobody}");
    let expected = Expected::lines([complaint.clone()]).allow(complaint.clone());
    let lines = boot(nobody, Tcg::Multi).check(&End::Off, &expected.then("host: done"))?;
    let from = lines.iter().position(|line| line.contains(&complaint));
    let list = lines.iter().skip(from.unwrap_or(0) + 1);
    let listed: Vec<_> = list
        .map_while(|line| line.strip_prefix("  "))
        .map(String::from)
        .collect();
    match listed == behaviours::names() {
        true => Ok(()),
        false => Err(format!(
            "the test host lists {listed:?}, its source {:?}",
            behaviours::names()
        )),
    }
}

//! Trials of the whole machine: each boots QEMU and judges its console.
//!
//! Arguments are those of any Rust test: part of a name, `--list`, `--ignored`, `--test-threads`.
//! What a trial has to find is in the images that `cargo xtask image` builds.
mod behaviours;
mod boot;
mod budgets;
mod checks;
mod dist;
mod flash;
mod guest;
mod instructions;
mod job;
mod linux;
mod numbers;
mod payloads;
mod rules;
mod setup;
mod timeline;
mod trees;

use libtest_mimic::{Arguments, Failed, Trial};
use tests::{images, table};

/// Machines at work at a time.
const MACHINES: usize = 2;

/// A trial: nothing, or what was wrong and the console.
type Outcome = Result<(), String>;

fn trial(name: impl Into<String>, run: impl FnOnce() -> Outcome + Send + 'static) -> Trial {
    Trial::test(name, move || run().map_err(Failed::from))
}

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(MACHINES);
    let trials = [
        boot::trials(),
        job::trials(),
        behaviours::trials(),
        payloads::trials(),
        dist::trials(),
        flash::trials(),
        setup::trials(),
        trees::trials(),
        budgets::trials(),
        checks::trials(),
        instructions::trials(),
        rules::trials(),
        timeline::trials(),
        linux::trials(),
        guest::trials(),
        numbers::trials(),
    ];
    let mut trials: Vec<Trial> = trials.into_iter().flatten().collect();
    // Itself boots nothing: the others' names are all that it needs.
    let names = trials.iter().map(|trial| trial.name().into()).collect();
    trials.push(trial("behaviours-table", move || table::check(&names)));
    let conclusion = libtest_mimic::run(&arguments, trials);
    images::remove_scratch();
    conclusion.exit();
}

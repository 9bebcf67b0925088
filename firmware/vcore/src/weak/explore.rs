//! Runs a scenario in every order, and tells how many there were.

extern crate std;
use super::flaw::Flaw;
use core::cell::Cell;
use loom::model::Builder;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::string::{String, ToString};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Instant;
use std::{format, println};

/// Steps of one execution. One that takes more never ends: somebody waits in vain.
const MOST_STEPS: usize = 3_000;
/// A line of progress after so many executions.
const PROGRESS: u64 = 250_000;

/// What is explored: threads of one execution, and what it came to.
pub type Scenario = fn(Option<Flaw>) -> String;

/// Executions, by what they came to.
type Seen = BTreeMap<String, u64>;

/// A scheduler switches from a thread that could go on at most `preemptions` times in one
/// execution; when a thread waits, any other may go on.
fn explore(scenario: Scenario, flaw: Option<Flaw>, preemptions: usize, name: &str) -> Seen {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = MOST_STEPS;
    let seen = Arc::new(Mutex::new(Seen::new()));
    let (all, name) = (seen.clone(), name.to_string());
    builder.check(move || {
        let outcome = scenario(flaw);
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry(outcome).or_default() += 1;
        let executions: u64 = all.values().sum();
        if executions.is_multiple_of(PROGRESS) {
            println!("loom: {name}: {executions} executions so far");
        }
    });
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.clone()
}

/// The scenario holds in every execution, and comes to `outcomes` different ends.
pub fn holds(name: &str, scenario: Scenario, preemptions: usize, outcomes: usize) {
    let started = Instant::now();
    let seen = explore(scenario, None, preemptions, name);
    let executions: u64 = seen.values().sum();
    let seconds = started.elapsed().as_secs_f32();
    let ends = seen.len();
    println!(
        "loom: {name}: {executions} executions to {ends} different ends, \
         {preemptions} preemptions each, {seconds:.1} s"
    );
    assert_eq!(ends, outcomes, "{name} comes to other ends: {seen:#?}");
}

std::thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Panics of this thread, which are wanted then, aren't printed.
fn be_quiet(quiet: bool) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                usual(info);
            }
        }));
    });
    QUIET.set(quiet);
}

/// An execution of the scenario with that flaw fails, for a reason in which `why` occurs.
pub fn catches(flaw: Flaw, scenario: Scenario, preemptions: usize, why: &str) {
    let name = format!("{flaw:?}");
    let explored = || explore(scenario, Some(flaw), preemptions, &name);
    be_quiet(true);
    let caught = panic::catch_unwind(AssertUnwindSafe(explored));
    be_quiet(false);
    let Err(panic) = caught else {
        panic!("{flaw:?} is not caught: {:?}", caught.ok());
    };
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("");
    println!("loom: {flaw:?} is caught: {text}");
    assert!(text.contains(why), "{flaw:?}: not for `{why}`");
}

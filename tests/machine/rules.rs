//! What POWER8 asks for and no emulator enforces: `cargo xtask rules`.
use libtest_mimic::Trial;
use measure::rules;

use crate::{Outcome, budgets, trial};

pub fn trials() -> Vec<Trial> {
    vec![trial("rules::all-are-kept", all_are_kept)]
}

fn all_are_kept() -> Outcome {
    let tally = rules::watch(&budgets::files(), &[]).map_err(|why| format!("{why:#}"))?;
    match tally.is_sound() {
        true => Ok(()),
        false => Err(tally.text()),
    }
}

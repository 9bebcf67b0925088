//! What all rules have found, and the table of it.
use std::collections::VecDeque;
use std::fmt::Write;

use super::flow::{Flow, Step, THREADS};
use super::rule::{self, Rule, Verdict};
use crate::bench::code::Code;
use crate::bench::exec_log;
use crate::bench::report::digits;

/// Instructions of its thread that are shown with a breach.
const WINDOW: usize = 12;
/// Breaches of a rule that are shown for a scene.
const SHOWN: u64 = 2;

/// The rule of a thread that has come back from a host's vectors. No scene brings one there for certain:
/// whether an IPI comes so late depends on each instruction. Its broken logs are tried by themselves.
const RARE: &str = "astray";

/// Counts for each rule of [`rule::ALL`].
pub struct Tally {
    kept: Vec<u64>,
    broken: Vec<u64>,
    /// What is shown of breaches.
    told: Vec<String>,
}

impl Tally {
    pub fn new() -> Self {
        Self {
            kept: vec![0; rule::ALL.len()],
            broken: vec![0; rule::ALL.len()],
            told: Vec::new(),
        }
    }

    pub fn is_broken(&self) -> bool {
        self.broken.iter().any(|count| *count > 0)
    }

    /// Nothing is broken, and every rule but [`RARE`] has applied: one that never does sees nothing.
    pub fn is_sound(&self) -> bool {
        let mut rules = rule::ALL.iter().zip(&self.kept);
        !self.is_broken() && rules.all(|(about, count)| *count > 0 || about.name == RARE)
    }

    /// The table of rules, then each breach.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{:<12} {:>9} {:>7}  what it asks for\n",
            "rule", "applied", "broken"
        );
        for (index, about) in rule::ALL.iter().enumerate() {
            let (kept, broken) = (self.kept[index], self.broken[index]);
            let never = match kept + broken {
                0 => "  NEVER APPLIED",
                _ => "",
            };
            writeln!(
                text,
                "{:<12} {:>9} {:>7}  {} ({}){never}",
                about.name,
                digits(kept + broken),
                digits(broken),
                about.demand,
                about.source
            )
            .expect("a string takes all");
        }
        for told in &self.told {
            text += "\n";
            text += told;
        }
        text
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

/// All rules at work on one machine.
pub struct Watch<'a> {
    scene: &'a str,
    code: &'a Code<'a>,
    tally: &'a mut Tally,
    flow: Flow,
    /// Of each core.
    rules: Vec<Vec<Box<dyn Rule>>>,
    /// Of each thread: its last instructions.
    windows: Vec<VecDeque<Step>>,
    told: Vec<u64>,
}

impl<'a> Watch<'a> {
    pub fn new(
        scene: &'a str,
        code: &'a Code<'a>,
        flow: Flow,
        cores: usize,
        tally: &'a mut Tally,
    ) -> Self {
        let start = || rule::ALL.iter().map(|about| (about.start)()).collect();
        Self {
            scene,
            code,
            tally,
            flow,
            rules: (0..cores).map(|_| start()).collect(),
            windows: vec![VecDeque::with_capacity(WINDOW); cores * THREADS],
            told: vec![0; rule::ALL.len()],
        }
    }

    pub fn take(&mut self, step: exec_log::Step) {
        let Some(step) = self.flow.take(step, |at| self.code.instruction(at)) else {
            return;
        };
        let window = &mut self.windows[step.core * THREADS + step.thread];
        if window.len() == WINDOW {
            window.pop_front();
        }
        window.push_back(step);
        let worlds = self.flow.worlds(step.core);
        for index in 0..rule::ALL.len() {
            match self.rules[step.core][index].step(&step, &worlds) {
                Verdict::Silent => {}
                Verdict::Kept => self.tally.kept[index] += 1,
                Verdict::Broken(why) => self.broken(index, &step, why),
            }
        }
    }

    fn broken(&mut self, index: usize, step: &Step, why: &str) {
        self.tally.broken[index] += 1;
        self.told[index] += 1;
        if self.told[index] > SHOWN {
            return;
        }
        let mut text = format!(
            "{}: {}: {why}; thread {} of core {}, in these last instructions:\n",
            self.scene,
            rule::ALL[index].name,
            step.thread,
            step.core
        );
        for step in &self.windows[step.core * THREADS + step.thread] {
            text += &self.line(step);
        }
        self.tally.told.push(text);
    }

    fn line(&self, step: &Step) -> String {
        let word = self.code.instruction(step.pc);
        let frames = self.code.frames(step.pc);
        // The innermost of the firmware's own sources.
        let own = |(file, line, name): &(String, u32, String)| {
            let (_, file) = file.split_once("/src/")?;
            (!file.contains("/src/")).then(|| format!("{name} ({file}:{line})"))
        };
        let place = frames.iter().rev().find_map(own);
        let place = place.unwrap_or_else(|| self.code.label(step.pc).name);
        let op = format!("{:?}", step.op);
        format!("  {:#x} {word:08x} {op:<24} {place}\n", step.pc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_never_applied_is_an_error() {
        let mut tally = Tally::new();
        assert!(!tally.is_sound() && !tally.is_broken());
        assert!(tally.text().contains("NEVER APPLIED"));
        tally.kept.fill(1);
        tally.kept[0] = 0;
        assert!(!tally.is_sound());
        tally.kept[0] = 1;
        assert!(tally.is_sound() && !tally.text().contains("NEVER APPLIED"));
        tally.broken[0] = 1;
        assert!(!tally.is_sound() && tally.is_broken());
    }
}

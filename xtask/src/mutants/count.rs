//! What became of the mutants: by file, and by what has to be caught.
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::what::Class;

/// What became of one mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Caught,
    /// The tests didn't end: that is noticed, too.
    Hung,
    Missed,
    /// It doesn't compile.
    Unviable,
}

/// Mutants of one file: what each is, and what became of it.
type Mutants = Vec<(String, Fate)>;

/// What became of all.
#[derive(Debug, Default)]
pub struct Count {
    files: BTreeMap<String, Mutants>,
}

/// How many of some mutants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    caught: u64,
    hung: u64,
    missed: u64,
    unviable: u64,
}

impl Numbers {
    fn of(mutants: &Mutants) -> Self {
        let of = |fate| mutants.iter().filter(|(_, has)| *has == fate).count() as u64;
        Self {
            caught: of(Fate::Caught),
            hung: of(Fate::Hung),
            missed: of(Fate::Missed),
            unviable: of(Fate::Unviable),
        }
    }

    fn add(&mut self, other: Self) {
        self.caught += other.caught;
        self.hung += other.hung;
        self.missed += other.missed;
        self.unviable += other.unviable;
    }

    fn viable(self) -> u64 {
        self.caught + self.hung + self.missed
    }

    /// Of the viable ones, in tenths of a per cent, rounded down; none are all.
    fn per_mille(self) -> u64 {
        let noticed = self.caught + self.hung;
        (1000 * noticed).checked_div(self.viable()).unwrap_or(1000)
    }

    fn row(self, name: &str) -> String {
        let Self {
            caught,
            hung,
            missed,
            unviable,
        } = self;
        let (viable, share) = (self.viable(), self.per_mille());
        let percent = format!("{}.{}", share / 10, share % 10);
        format!(
            "{name:<46} {viable:>6} {caught:>6} {hung:>6} {missed:>6} {unviable:>8} {percent:>6} %"
        )
    }
}

impl Count {
    /// From cargo-mutants' `outcomes.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let json: Value = serde_json::from_slice(&text)?;
        Self::of(&json).with_context(|| format!("{} isn't cargo-mutants' result", path.display()))
    }

    fn of(json: &Value) -> Option<Self> {
        let mut count = Self::default();
        for outcome in json["outcomes"].as_array()? {
            let mutant = &outcome["scenario"]["Mutant"];
            let fate = match outcome["summary"].as_str()? {
                "CaughtMutant" => Fate::Caught,
                "Timeout" => Fate::Hung,
                "MissedMutant" => Fate::Missed,
                "Unviable" => Fate::Unviable,
                // The unchanged tree.
                _ => continue,
            };
            let file = mutant["file"].as_str()?.to_string();
            let name = mutant["name"].as_str()?.to_string();
            count.files.entry(file).or_default().push((name, fate));
        }
        Some(count)
    }

    /// Takes what a later run has found. Shards have parts of the same files.
    fn update(&mut self, later: Self) {
        for (file, mutants) in later.files {
            let known = self.files.entry(file).or_default();
            known.retain(|(name, _)| !mutants.iter().any(|(other, _)| other == name));
            known.extend(mutants);
        }
    }

    fn of_class(&self, class: Class) -> Numbers {
        let mut numbers = Numbers::default();
        let of_it = self
            .files
            .iter()
            .filter(|(file, _)| Class::of(file) == class);
        of_it.for_each(|(_, mutants)| numbers.add(Numbers::of(mutants)));
        numbers
    }

    /// Enough of each class is caught.
    pub fn is_enough(&self) -> bool {
        let enough = |class: Class| self.of_class(class).per_mille() >= 10 * class.needed();
        !self.files.is_empty() && Class::ALL.into_iter().all(enough)
    }

    /// Those that were missed, then a table.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, fate) in self.files.values().flatten() {
            if *fate == Fate::Missed {
                writeln!(text, "missed: {name}").expect("a string takes all");
            }
        }
        let mut line = |line: &str| writeln!(text, "{line}").expect("a string takes all");
        for class in Class::ALL {
            line("");
            line(&format!(
                "{:<46} {:>6} {:>6} {:>6} {:>6} {:>8} {:>8}",
                class.name(),
                "viable",
                "caught",
                "hung",
                "missed",
                "unviable",
                "noticed"
            ));
            for (file, mutants) in self
                .files
                .iter()
                .filter(|(file, _)| Class::of(file) == class)
            {
                line(&Numbers::of(mutants).row(file));
            }
            let needed = format!("all; {} % are needed", class.needed());
            line(&self.of_class(class).row(&needed));
        }
        text
    }
}

/// All results in a folder, in the order in which they came.
pub fn sum(folder: &Path) -> Result<Count> {
    let mut results = Vec::new();
    let entries = fs::read_dir(folder).context("no run has found anything yet")?;
    for entry in entries.flatten() {
        results.push((entry.metadata()?.modified()?, entry.path()));
    }
    results.sort();
    let mut count = Count::default();
    for (_, path) in results {
        count.update(Count::read(&path)?);
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outcome(file: &str, name: &str, summary: &str) -> Value {
        json!({ "scenario": { "Mutant": { "file": file, "name": name } }, "summary": summary })
    }

    fn count(outcomes: &[(&str, &str, &str)]) -> Count {
        let mut all = vec![json!({ "scenario": "Baseline", "summary": "Success" })];
        all.extend(
            outcomes
                .iter()
                .map(|(file, name, summary)| outcome(file, name, summary)),
        );
        Count::of(&json!({ "outcomes": all })).unwrap()
    }

    const ENTRY: &str = "firmware/vcore/src/entry.rs";

    #[test]
    fn what_does_not_compile_does_not_count_and_what_hangs_is_noticed() {
        let count = count(&[
            (ENTRY, "a", "CaughtMutant"),
            (ENTRY, "b", "Timeout"),
            (ENTRY, "c", "Unviable"),
            (ENTRY, "d", "MissedMutant"),
        ]);
        let numbers = count.of_class(Class::RunPath);
        assert_eq!((numbers.viable(), numbers.per_mille()), (3, 666));
        assert!(!count.is_enough());
        let text = count.text();
        assert!(text.contains("missed: d\n") && !text.contains("missed: a"));
        assert!(text.contains("66.6 %"));
    }

    #[test]
    fn each_class_has_to_have_enough() {
        let of = |file, caught, missed| -> Vec<(&str, &str, &str)> {
            let caught = std::iter::repeat_n((file, "c", "CaughtMutant"), caught);
            caught
                .chain(std::iter::repeat_n((file, "m", "MissedMutant"), missed))
                .collect()
        };
        let is_enough = |run: (usize, usize), rest: (usize, usize)| {
            let mut all = of(ENTRY, run.0, run.1);
            all.extend(of("hcalls/src/page.rs", rest.0, rest.1));
            count(&all).is_enough()
        };
        assert!(is_enough((95, 5), (90, 10)));
        assert!(!is_enough((94, 6), (100, 0)));
        assert!(!is_enough((100, 0), (89, 11)));
        assert!(!Count::default().is_enough());
    }

    #[test]
    fn a_later_run_replaces_what_it_has_again() {
        let mut all = count(&[(ENTRY, "a", "MissedMutant"), (ENTRY, "b", "CaughtMutant")]);
        all.update(count(&[(ENTRY, "a", "CaughtMutant")]));
        assert_eq!(all.of_class(Class::RunPath).per_mille(), 1000);
        assert_eq!(all.of_class(Class::RunPath).viable(), 2);
    }

    #[test]
    fn what_is_not_its_result_is_refused() {
        assert!(Count::of(&json!({ "mutants": [] })).is_none());
    }
}

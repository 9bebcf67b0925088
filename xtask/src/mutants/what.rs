//! What is mutated, and how much of it has to be caught.
use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

/// The call interface.
const INTERFACE: &str = "hcalls/src";

/// Files, or folders with all that is in them.
const MUTATED: [&str; 4] = [
    INTERFACE,
    "firmware/vcore/src",
    "firmware/src/smt",
    "firmware/src/opal/cpu.rs",
];

/// Tests, and models that tests explore: by what a part of the path ends with.
const TESTS: [&str; 5] = ["tests.rs", "_tests", "fake_machine.rs", "states", "weak"];

/// Mutants that can't matter, by a regular expression over their names, and why.
pub const LEFT_OUT: [(&str, &str); 3] = [
    (
        "impl (core::fmt::)?(Debug|Display) for",
        "what a log line looks like decides nothing",
    ),
    (
        r"replace (Word::(atomic|with)|(Entry|Roster)::(word|with)) ",
        "tests have these, and nothing that ships",
    ),
    (
        r"replace \| with \^$",
        "in a constant, by the end of the name: put together of different bits, it stays the same",
    ),
];

/// The protocol and the run path: files of this name, and folders of it with all that is in them.
const RUN_PATH: [&str; 2] = ["vcore", "run"];

/// How much of a file's mutants has to be caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    RunPath,
    Rest,
}

impl Class {
    pub const ALL: [Self; 2] = [Self::RunPath, Self::Rest];

    /// The class of a file, whose path begins at the repository's folder.
    pub fn of(file: &str) -> Self {
        let mut parts = file.strip_suffix(".rs").unwrap_or(file).split('/');
        // Of the call interface there are names and numbers alone.
        let is_interface = file.starts_with(INTERFACE);
        match !is_interface && parts.any(|part| RUN_PATH.contains(&part)) {
            true => Self::RunPath,
            false => Self::Rest,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::RunPath => "protocol and run path",
            Self::Rest => "the rest",
        }
    }

    /// Per cent of the viable ones.
    pub fn needed(self) -> u64 {
        match self {
            Self::RunPath => 95,
            Self::Rest => 90,
        }
    }
}

/// The files that are mutated, or those with one of `parts` in their paths; sorted.
pub fn files(root: &Path, parts: &[String]) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for name in MUTATED {
        let before = files.len();
        gather(root, name, &mut files)?;
        ensure!(files.len() > before, "{name} has no file to be mutated");
    }
    files.retain(|file| parts.is_empty() || parts.iter().any(|part| file.contains(part.as_str())));
    ensure!(
        !files.is_empty(),
        "no file that is mutated has {parts:?} in its path"
    );
    files.sort();
    Ok(files)
}

fn gather(root: &Path, name: &str, files: &mut Vec<String>) -> Result<()> {
    let is_test = name
        .split('/')
        .any(|part| TESTS.iter().any(|end| part.ends_with(end)));
    let path = root.join(name);
    if is_test {
        return Ok(());
    }
    if path.is_dir() {
        for entry in fs::read_dir(&path)? {
            let child = entry?.file_name();
            gather(root, &format!("{name}/{}", child.to_string_lossy()), files)?;
        }
    } else if name.ends_with(".rs") && path.is_file() {
        files.push(name.to_string());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project;

    #[test]
    fn every_place_is_there_and_no_test_is_mutated() {
        let files = files(&project::root(), &[]).unwrap();
        for name in MUTATED {
            assert!(files.iter().any(|file| file.starts_with(name)), "{name}");
        }
        for file in &files {
            let text = fs::read_to_string(project::root().join(file)).unwrap();
            let is_test = text.contains("\n#[test]") && !text.contains("mod tests {");
            assert!(!is_test, "{file} is a test");
        }
    }

    #[test]
    fn the_run_path_is_there() {
        let files = files(&project::root(), &[]).unwrap();
        let of_it = |name: &str| {
            let mut of_it = files
                .iter()
                .filter(|file| Class::of(file) == Class::RunPath);
            of_it.any(|file| file.contains(name))
        };
        for name in [
            "vcore/", "roster", "entry", "seating", "run/", "wait", "seat", "leave",
        ] {
            assert!(of_it(name), "{name}");
        }
    }

    #[test]
    fn classes_go_by_names_and_folders() {
        assert_eq!(Class::of("firmware/src/smt/run/wait.rs"), Class::RunPath);
        assert_eq!(Class::of("firmware/src/smt/run/seat.rs"), Class::RunPath);
        assert_eq!(Class::of("firmware/vcore/src/word.rs"), Class::RunPath);
        assert_eq!(Class::of("firmware/src/smt/calls.rs"), Class::Rest);
        assert_eq!(Class::of("firmware/src/smt/cores/record.rs"), Class::Rest);
        assert_eq!(Class::of("hcalls/src/run.rs"), Class::Rest);
    }
}

//! A release's bytes: nothing of the machine that builds it, and of where, is in them.
use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;
use tests::images;
use xtask::process;
use xtask::project::{self, Workspace};

use crate::{Outcome, trial};

pub fn trials() -> Vec<Trial> {
    vec![trial("dist::same-bytes", same_bytes).with_ignored_flag(true)]
}

/// Two clones of the repository, in folders of different length, make the same release.
fn same_bytes() -> Outcome {
    let sums = ["a", "another/folder"].map(|name| sums_of_clone(&images::scratch_path(name)));
    let [one, other] = sums.map(|sums| sums.map_err(|why| format!("{why:#}")));
    let (one, other) = (one?, other?);
    match one == other {
        true => Ok(()),
        false => {
            let differ = one.lines().filter(|line| !other.contains(line));
            Err(format!(
                "these differ:\n{}",
                differ.collect::<Vec<_>>().join("\n")
            ))
        }
    }
}

/// The sums of a release that is built in a clone of what is committed.
fn sums_of_clone(clone: &Path) -> anyhow::Result<String> {
    let mut git = Command::new("git");
    git.args(["clone", "--quiet"])
        .arg(project::root())
        .arg(clone);
    process::output(&mut git)?;
    let program = Workspace::read()?.target_dir()?.join("debug/xtask");
    let out = clone.join("target/release");
    let mut dist = Command::new(program);
    dist.env("CARGO_MANIFEST_DIR", clone);
    process::output(dist.arg("dist").arg("--out").arg(&out))?;
    Ok(std::fs::read_to_string(out.join("SHA256SUMS"))?)
}

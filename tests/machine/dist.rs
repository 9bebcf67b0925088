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
    let clones = ["a", "another/folder"].map(images::scratch_path);
    let why = |why| format!("{why:#}");
    // Both of the same commit, whatever is committed meanwhile.
    clones.iter().try_for_each(|to| clone(to)).map_err(why)?;
    let [one, other] = clones.map(|clone| sums_of(&clone).map_err(why));
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

/// A clone of what is committed.
fn clone(to: &Path) -> anyhow::Result<()> {
    let mut git = Command::new("git");
    process::output(git.args(["clone", "--quiet"]).arg(project::root()).arg(to))?;
    Ok(())
}

/// The sums of a release that is built in a clone.
fn sums_of(clone: &Path) -> anyhow::Result<String> {
    let program = Workspace::read()?.target_dir()?.join("debug/xtask");
    let out = clone.join("target/release");
    let mut dist = Command::new(program);
    dist.env("CARGO_MANIFEST_DIR", clone);
    process::output(dist.arg("dist").arg("--out").arg(&out))?;
    Ok(std::fs::read_to_string(out.join("SHA256SUMS"))?)
}

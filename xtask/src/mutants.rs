//! `cargo xtask mutants`: changes the firmware in one place at a time, and counts how many of the changes
//! the tests on the build host catch.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::project::{self, Workspace};
use crate::{process, setup};
use count::Count;
use shard::Shard;

pub mod count;
pub mod shard;
pub mod tree;
pub mod what;

/// Another release may make other mutants, and figures could not be compared.
const VERSION: &str = "27.1.0";
const INSTALL_TIME: Duration = Duration::from_secs(3600);
/// A mutant hangs whose tests take longer than this, and than five times what they take unchanged.
const HANGS_S: &str = "20";
/// Tests that take long, and are of the same words as quick ones, or of something else.
const SKIPPED: [&str; 2] = ["states::", "host_tree"];
/// Has tests that try many seeds try few.
const QUICK: &str = "CATNAP_QUICK";
/// cargo-mutants' ends that have a result: all caught, some missed, some hung.
const COMPLETE: [i32; 3] = [0, 2, 3];

#[derive(Args)]
pub struct MutantsOptions {
    /// Only files with one of these in their paths [default: all that count]; the figure is theirs then.
    #[arg(value_name = "PART")]
    parts: Vec<String>,
    /// Only one of N equal shares of the mutants: 1/N to N/N. Shards can run at the same time, each in
    /// a copy of its own.
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
    /// Only list the mutants.
    #[arg(long, conflicts_with = "sum")]
    list: bool,
    /// Run nothing: add up what all runs have found since `target/mutants` was removed. Of files that
    /// several runs have had, the last one counts.
    #[arg(long, conflicts_with_all = ["shard", "parts"])]
    sum: bool,
}

/// The command.
pub fn mutants(options: &MutantsOptions) -> Result<ExitCode> {
    let workspace = Workspace::read()?;
    let dir = workspace.target_dir()?.join("mutants");
    let found = dir.join("found");
    if options.sum {
        return Ok(told(&count::sum(&found)?));
    }
    setup::quick()?;
    let program = installed(&workspace)?;
    let files = what::files(&project::root(), &options.parts)?;
    if options.list {
        let mut list = cargo_mutants(&program, &files, &project::root());
        process::run(list.arg("--list"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let tree = dir.join(options.tree_name());
    tree::refresh(&project::root(), &tree)?;
    let outcomes = carry_out(options, &program, &files, &tree)?;
    fs::create_dir_all(&found)?;
    let kept = found.join(options.run_name()).with_added_extension("json");
    fs::copy(&outcomes, &kept).with_context(|| format!("writing {}", kept.display()))?;
    Ok(told(&Count::read(&kept)?))
}

impl MutantsOptions {
    /// The folder with the copy in which this run makes its changes.
    fn tree_name(&self) -> String {
        let shard = self.shard.map(Shard::name);
        shard.map_or_else(|| "tree".into(), |shard| format!("tree-{shard}"))
    }

    /// What a run's result is kept as: one of the same files and shard replaces it.
    fn run_name(&self) -> String {
        let parts = self.parts.iter().map(|part| part.replace(['/', '.'], "-"));
        let words: Vec<String> = parts.chain(self.shard.map(Shard::name)).collect();
        match words.is_empty() {
            true => "all".into(),
            false => words.join("+"),
        }
    }
}

fn carry_out(
    options: &MutantsOptions,
    program: &Path,
    files: &[String],
    tree: &Path,
) -> Result<PathBuf> {
    let mut run = cargo_mutants(program, files, tree);
    run.env("CARGO_TARGET_DIR", tree.join("target"));
    run.args(["--in-place", "--output"]).arg(tree);
    run.args([
        "--timeout-multiplier",
        "5",
        "--minimum-test-timeout",
        HANGS_S,
    ]);
    if let Some(shard) = options.shard {
        // By turns, so that a shard is a sample of all files.
        run.args(["--sharding", "round-robin"]);
        run.args(["--shard", &shard.counted_from_0()]);
    }
    // Built for its tests, quickly: what takes time is the compiler.
    run.args(["--cargo-arg=--config=profile.dev.debug=false"]);
    for package in ["firmware", "vcore"] {
        let level = format!("--cargo-arg=--config=profile.dev.package.{package}.opt-level=0");
        run.arg(level);
    }
    run.args(["--", "--locked", "--lib", "--"]).env(QUICK, "1");
    for test in SKIPPED {
        run.args(["--skip", test]);
    }
    let status = process::spawn(&mut run)?.wait()?;
    if !status.code().is_some_and(|code| COMPLETE.contains(&code)) {
        bail!("`{}` failed ({status})", process::typed(&run));
    }
    Ok(tree.join("mutants.out/outcomes.json"))
}

/// cargo-mutants for these files of `tree`, with what can't matter left out.
fn cargo_mutants(program: &Path, files: &[String], tree: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(tree);
    command.args([
        "mutants",
        "--workspace",
        "--no-config",
        "--no-shuffle",
        "--colors=never",
    ]);
    for file in files {
        command.args(["--file", file]);
    }
    for (pattern, _) in what::LEFT_OUT {
        command.args(["--exclude-re", pattern]);
    }
    command
}

fn installed(workspace: &Workspace) -> Result<PathBuf> {
    let tools = workspace.target_dir()?.join("tools");
    let program = tools.join("bin/cargo-mutants");
    let version = process::output(Command::new(&program).args(["mutants", "--version"]));
    if !version.is_ok_and(|text| text.trim().ends_with(VERSION)) {
        eprintln!("mutants: cargo-mutants {VERSION} isn't there; building it takes minutes, once");
        let mut install = project::cargo();
        install.args(["install", "--locked", "--version", VERSION, "--root"]);
        install.arg(&tools).arg("cargo-mutants");
        process::condensed(&mut install, "cargo install cargo-mutants", INSTALL_TIME)?;
    }
    Ok(program)
}

fn told(count: &Count) -> ExitCode {
    println!("{}", count.text());
    match count.is_enough() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        mutants: MutantsOptions,
    }

    fn options(words: &[&str]) -> MutantsOptions {
        let words = ["mutants"].iter().chain(words);
        Cli::try_parse_from(words).unwrap().mutants
    }

    #[test]
    fn shards_have_trees_of_their_own_and_runs_results_of_their_own() {
        let all = options(&[]);
        assert_eq!(
            (all.tree_name(), all.run_name()),
            ("tree".into(), "all".into())
        );
        let part = options(&["vcore/entry.rs", "smt", "--shard", "2/4"]);
        assert_eq!(part.tree_name(), "tree-2-of-4");
        assert_eq!(part.run_name(), "vcore-entry-rs+smt+2-of-4");
    }
}

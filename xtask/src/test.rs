//! `cargo xtask test`: format, lints and all tests, with one line of totals at the end.
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use crate::cross::{self, Endian};
use crate::setup::toolchain;
use crate::{guest, image, process, project, setup};

/// Packages whose tests run on the build host.
const HOST_PACKAGES: [&str; 9] = [
    "hcalls",
    "asm",
    "platform",
    "vcore",
    "firmware",
    "skiboot-compat",
    "images",
    "xtask",
    "measure",
];
/// Tests that go through all states of the vcore protocol.
const STATES: &str = "states::";
/// The package whose tests boot QEMU.
const QEMU_PACKAGE: &str = "tests";

#[derive(Args)]
pub struct TestOptions {
    /// Run only tests whose name contains this, and neither format nor lints.
    filter: Option<String>,
    /// Run the tests in QEMU that take too long for every day, and no others.
    #[arg(long)]
    ignored: bool,
}

/// How many tests of a stage passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

impl Count {
    fn one(passed: bool) -> Self {
        Count {
            passed: passed.into(),
            failed: (!passed).into(),
        }
    }

    fn add(&mut self, other: Count) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// The command.
pub fn test(options: &TestOptions) -> Result<ExitCode> {
    setup::quick()?;
    let filter = options.filter.as_deref();
    let total = match options.ignored {
        true => tests_in_qemu(filter, true)?,
        false => everyday_tests(filter)?,
    };
    let ran = total.passed + total.failed > 0;
    if !ran {
        println!(
            "test: no test's name contains `{}`",
            filter.unwrap_or_default()
        );
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    let good = ran && total.failed == 0;
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn everyday_tests(filter: Option<&str>) -> Result<Count> {
    let mut total = Count::default();
    if filter.is_none() {
        toolchain::ensure_linters();
        total.add(single(
            "format",
            project::cargo().args(["fmt", "--all", "--check", "--", "--color", "never"]),
        ));
        total.add(single("lints, build host", &mut lints_of_host()));
        total.add(single("lints, POWER8", &mut lints_of_machine()));
        total.add(single("lints, loom", &mut lints_of_loom()));
    }
    total.add(stage(
        "tests on the build host",
        &mut host_tests(filter),
        filter,
    )?);
    if filter.is_none() {
        total.add(stage("all states of a vcore", &mut states_tests(), None)?);
    }
    total.add(stage(
        "all orders of the protocol's steps, under the weak memory model",
        &mut loom_tests(filter),
        filter,
    )?);
    total.add(stage("fuzz targets", &mut fuzz_tests(filter), filter)?);
    total.add(tests_in_qemu(filter, false)?);
    Ok(total)
}

fn lints_of_host() -> Command {
    let mut cargo = project::cargo();
    cargo.args(["clippy", "--locked", "--workspace", "--all-targets"]);
    cargo.args(["--", "--deny", "warnings"]);
    cargo
}

fn lints_of_machine() -> Command {
    let mut cargo = cross::cargo("clippy", Endian::Big);
    cargo.args([
        "--package",
        "vcore",
        "--package",
        "firmware",
        "--package",
        "images",
        "--",
        "--deny",
        "warnings",
    ]);
    cargo
}

fn host_tests(filter: Option<&str>) -> Command {
    let mut cargo = cargo_with_host_packages();
    match filter {
        Some(filter) => cargo.arg(filter),
        None => cargo.args(["--", "--skip", STATES]),
    };
    cargo
}

/// They say how many states there are, which the others' output would hide. Of fewer packages the same crates
/// can have other features, and would be built once more.
fn states_tests() -> Command {
    let mut cargo = cargo_with_host_packages();
    cargo.args(["--lib", "--", "--nocapture", STATES]);
    cargo
}

fn cargo_with_host_packages() -> Command {
    let mut cargo = project::cargo();
    cargo.args(["test", "--locked", "--no-fail-fast"]);
    for package in HOST_PACKAGES {
        cargo.args(["--package", package]);
    }
    cargo
}

/// The vcore protocol is explored with loom's atomics in the place of the machine's.
fn cargo_with_loom(subcommand: &str) -> Command {
    let mut cargo = project::cargo();
    // A folder of its own, since the flag is for every crate.
    cargo.env("RUSTFLAGS", "--cfg loom --deny warnings");
    cargo.args([subcommand, "--locked", "--release"]);
    cargo.args(["--target-dir", "target/loom", "--package", "vcore"]);
    cargo
}

fn lints_of_loom() -> Command {
    let mut cargo = cargo_with_loom("clippy");
    cargo.args(["--lib", "--tests", "--", "--deny", "warnings"]);
    cargo
}

/// The fuzz targets on a fixed number of cases, without libFuzzer.
fn fuzz_tests(filter: Option<&str>) -> Command {
    let mut cargo = project::cargo();
    cargo.env("RUSTFLAGS", "--cfg fuzzing --deny warnings");
    cargo.args(["test", "--locked", "--no-default-features"]);
    cargo.args([
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--target-dir",
        "target/fuzz",
    ]);
    cargo.args(filter);
    cargo
}

fn loom_tests(filter: Option<&str>) -> Command {
    let mut cargo = cargo_with_loom("test");
    cargo.args(["--no-fail-fast", "--lib"]);
    // The tests say how many orders there were, and how far they are.
    cargo.args(filter).args(["--", "--nocapture"]);
    cargo
}

fn tests_in_qemu(filter: Option<&str>, ignored: bool) -> Result<Count> {
    heading("kernels");
    if let Err(error) = guest::ensure_all() {
        println!("test: kernels: FAILED: {error:#}");
        return Ok(Count::one(false));
    }
    heading("images");
    let images = match image::build(false) {
        Ok(images) => images,
        Err(error) => {
            println!("test: images: FAILED: {error:#}");
            return Ok(Count::one(false));
        }
    };
    // With a filter only tests whose names it fits count.
    let mut count = filter.map_or(Count::one(true), |_| Count::default());
    count.add(stage(
        "tests in QEMU",
        &mut qemu_tests(&images.dir, filter, ignored),
        filter,
    )?);
    Ok(count)
}

fn qemu_tests(images: &Path, filter: Option<&str>, ignored: bool) -> Command {
    let mut cargo = project::cargo();
    cargo.args([
        "test",
        "--locked",
        "--no-fail-fast",
        "--package",
        QEMU_PACKAGE,
    ]);
    cargo.args(filter).env("CATNAP_IMAGES", images);
    if ignored {
        cargo.args(["--test", "machine", "--", "--ignored"]);
    }
    cargo
}

fn heading(name: &str) {
    println!("test: {name}");
}

/// A stage that counts as one test.
fn single(name: &str, command: &mut Command) -> Count {
    heading(name);
    let ended = process::run(command);
    if let Err(error) = &ended {
        println!("test: {name}: FAILED: {error:#}");
    }
    Count::one(ended.is_ok())
}

/// A stage of many tests, whose own totals are read from what it prints. Without a filter, a
/// stage that runs no test has failed.
fn stage(name: &str, command: &mut Command, filter: Option<&str>) -> Result<Count> {
    heading(name);
    let started = Instant::now();
    let mut child = process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let mut count = Count::default();
    let out = child.stdout.take().expect("piped");
    for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        count.add(totals(&line).unwrap_or_default());
    }
    let status = child.wait().with_context(|| process::typed(command))?;
    let seconds = started.elapsed().as_secs_f32();
    if !status.success() && count.failed == 0 {
        println!(
            "test: {name}: FAILED: `{}` ended with {status}",
            process::typed(command)
        );
        count.failed += 1;
    } else if count == Count::default() && filter.is_none() {
        println!("test: {name}: FAILED: no test ran");
        count.failed += 1;
    }
    println!(
        "test: {name}: {} passed, {} failed in {seconds:.0} s",
        count.passed, count.failed
    );
    Ok(count)
}

/// The numbers of a line such as `test result: ok. 12 passed; 0 failed; 0 ignored; …`.
fn totals(line: &str) -> Option<Count> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut parts = numbers.split("; ");
    let passed = parts.next()?.strip_suffix(" passed")?.parse().ok()?;
    let failed = parts.next()?.strip_suffix(" failed")?.parse().ok()?;
    Some(Count { passed, failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn run(script: &str, filter: Option<&str>) -> (u64, u64) {
        let count = stage("stage", &mut shell(script), filter).unwrap();
        (count.passed, count.failed)
    }

    #[test]
    fn totals_are_read() {
        let ok = "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out";
        assert_eq!(
            totals(ok),
            Some(Count {
                passed: 12,
                failed: 0
            })
        );
        let bad = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured";
        assert_eq!(
            totals(bad),
            Some(Count {
                passed: 1,
                failed: 2
            })
        );
        assert_eq!(totals("test result: maybe"), None);
        assert_eq!(totals("test claims ... ok"), None);
    }

    #[test]
    fn totals_add_up() {
        let two = "echo 'test result: ok. 3 passed; 0 failed; x';\
                   echo 'test result: FAILED. 4 passed; 1 failed; x'; exit 101";
        assert_eq!(run(two, None), (7, 1));
    }

    #[test]
    fn a_stage_that_breaks_or_is_empty_fails() {
        assert_eq!(run("exit 101", None), (0, 1));
        assert_eq!(run("true", None), (0, 1));
        assert_eq!(
            run("echo 'test result: ok. 0 passed; 0 failed; x'", None),
            (0, 1)
        );
        assert_eq!(
            run(
                "echo 'test result: ok. 5 passed; 0 failed; x'; exit 1",
                None
            ),
            (5, 1)
        );
        assert_eq!(run("true", Some("name")), (0, 0));
    }

    #[test]
    fn a_single_stage_counts_one() {
        assert_eq!(
            single("x", &mut shell("true")),
            Count {
                passed: 1,
                failed: 0
            }
        );
        assert_eq!(
            single("x", &mut shell("false")),
            Count {
                passed: 0,
                failed: 1
            }
        );
        let missing = single("x", &mut Command::new("no-such-program-at-all"));
        assert_eq!(
            missing,
            Count {
                passed: 0,
                failed: 1
            }
        );
    }
}

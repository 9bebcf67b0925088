//! `cargo xtask setup`: bring what is missing, and say what and why.

pub mod apt;
pub mod beside;
pub mod debian;
pub mod toolchain;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::project::Workspace;
use crate::setup::apt::{Apt, Candidate};
use crate::{process, qemu};

const QEMU_PACKAGE: &str = "qemu-system-ppc";
/// The debugger that knows big-endian PowerPC.
pub const GDB: &str = "gdb-multiarch";
const INSTALL_TIME: Duration = Duration::from_secs(1200);

#[derive(Args, Default)]
pub struct SetupOptions {
    /// Take Rust's library sources from Debian without asking rustup first.
    #[arg(long)]
    no_rustup: bool,
    /// Go through QEMU's installation as if there were none, without changing the machine.
    #[arg(long)]
    rehearse: bool,
}

/// The command.
pub fn setup(options: &SetupOptions) -> Result<ExitCode> {
    toolchain::ensure_sources(!options.no_rustup)?;
    if options.rehearse {
        install(QEMU_PACKAGE, qemu::MINIMUM, true)?;
    } else {
        ensure_qemu()?;
    }
    let own = qemu::installed()?.filter(|(major, _)| *major >= qemu::MINIMUM);
    let beside = || qemu::version_of(&beside::programs()?.join(qemu::PROGRAM)).ok()?;
    let (major, minor) = own.or_else(beside).context("no QEMU, even now")?;
    println!(
        "setup: all is there: QEMU {major}.{minor}, Rust {}",
        toolchain::release()?
    );
    Ok(ExitCode::SUCCESS)
}

/// What the other commands do first: silent and quick when nothing is missing.
pub fn quick() -> Result<()> {
    toolchain::ensure_sources(true)?;
    ensure_qemu()
}

fn ensure_qemu() -> Result<()> {
    let found = match qemu::installed()? {
        Some((major, _)) if major >= qemu::MINIMUM => return Ok(()),
        _ if beside::programs().is_some() => return Ok(()),
        Some((major, minor)) => format!("is {major}.{minor}"),
        None => "isn't there".to_string(),
    };
    eprintln!(
        "setup: {} {found}; QEMU {} or newer is needed",
        qemu::PROGRAM,
        qemu::MINIMUM
    );
    bring_qemu(|| install(QEMU_PACKAGE, qemu::MINIMUM, false)).map(drop)
}

/// Installs QEMU by the machine's own suites; if they have none, a newer Debian's is unpacked beside: then the
/// folder with the program.
pub fn bring_qemu(install: impl FnOnce() -> Result<()>) -> Result<Option<PathBuf>> {
    let why = match install() {
        Ok(()) => match qemu::installed()? {
            Some((major, _)) if major >= qemu::MINIMUM => return Ok(None),
            found => format!(
                "{QEMU_PACKAGE} was installed, but {} is {found:?}",
                qemu::PROGRAM
            ),
        },
        Err(error) => format!("{error:#}"),
    };
    eprintln!("setup: {why}");
    eprintln!("setup: a newer Debian's QEMU is unpacked beside the machine's programs");
    let programs = beside::ensure()?;
    match qemu::version_of(&programs.join(qemu::PROGRAM))? {
        Some((major, _)) if major >= qemu::MINIMUM => Ok(Some(programs)),
        found => bail!("the QEMU that was unpacked is {found:?}"),
    }
}

/// The debugger, for `cargo xtask debug`.
pub fn ensure_gdb() -> Result<()> {
    if process::output(Command::new(GDB).arg("--version")).is_ok() {
        return Ok(());
    }
    eprintln!("setup: {GDB} isn't there; it is needed to debug big-endian PowerPC");
    install(GDB, 0, false)
}

/// A program that some command needs, from a package of the machine's own Debian.
pub fn ensure_program(program: &str, package: &str) -> Result<()> {
    if process::output(Command::new(program).arg("--version")).is_ok() {
        return Ok(());
    }
    eprintln!("setup: {program} isn't there; it is needed to build a module for Linux");
    install(package, 0, false)
}

/// Install a package of at least a major version from the machine's own Debian suites or, if
/// they have only older ones, from backports.
fn install(package: &str, major: u32, rehearse: bool) -> Result<()> {
    let by_hand = || {
        let version = if major > 0 {
            format!(" {major} or newer")
        } else {
            String::new()
        };
        format!("install {package}{version} by hand, then try again")
    };
    let dir = Workspace::read()?.target_dir()?.join("setup/packages");
    let (apt, chosen) = choose(&dir, package, major).with_context(by_hand)?;
    eprintln!(
        "setup: installing {package} {} from {}",
        chosen.version, chosen.suite
    );
    let mut command = as_root(&apt, rehearse)?;
    command.args(["install", "--yes", "--no-install-recommends"]);
    command.args(["--target-release", &chosen.suite, package]);
    if rehearse {
        command.args(["--simulate", "--reinstall"]);
    }
    let topic = format!("apt-get install {package}");
    let installed = process::condensed(&mut command, &topic, INSTALL_TIME);
    // Lists and packages of tens of megabytes, of no use until the next time.
    std::fs::remove_dir_all(&dir).ok();
    installed.with_context(by_hand)
}

/// The machine's own suites come first: backports only for what they lack.
fn choose(dir: &Path, package: &str, major: u32) -> Result<(Apt, Candidate)> {
    let apt = Apt::new(dir)?;
    let mut sources = apt.own_sources()?;
    let backports = sources[0].sibling(&format!("{}-backports", sources[0].suite));
    let mut seen = Vec::new();
    for added in [None, Some(backports)] {
        sources.extend(added);
        apt.fetch_lists(&sources)?;
        let offered = apt.candidates(package)?;
        if let Some(best) = offered.iter().find(|candidate| candidate.major() >= major) {
            return Ok((apt, best.clone()));
        }
        seen = offered;
    }
    let seen: Vec<_> = seen
        .iter()
        .map(|c| format!("{} in {}", c.version, c.suite))
        .collect();
    bail!("apt offers only these of {package}: {}", seen.join(", "))
}

/// apt-get with root's rights.
fn as_root(apt: &Apt, rehearse: bool) -> Result<Command> {
    let is_root = process::output(Command::new("id").arg("-u"))?.trim() == "0";
    let mut command = if is_root || rehearse {
        Command::new("env")
    } else if process::output(Command::new("sudo").arg("--version")).is_ok() {
        let mut sudo = Command::new("sudo");
        sudo.arg("env");
        sudo
    } else {
        bail!("only root can install packages, and there is no sudo here")
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "apt-get"]);
    command.args(apt.options());
    Ok(command)
}

//! `cargo xtask debian`: a Debian that lives on an NVMe disk, booted on catnap to its login.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::console::{self, Limits};
use crate::linux::{self, plugged};
use crate::qemu::{self, Boot, Machine};
use crate::setup::debian::{Files, Release};
use crate::{image, setup};

mod disk;
mod unpack;

pub use disk::Disk;

/// Said by what readies a new disk when all is well.
const READY: &str = "debian: ready";
/// Said by the check's last command.
const DONE: &str = "check: done";
/// What the console must have said in the end.
pub const WANTED: [&str; 5] = [
    "check: root on /dev/nvme0n1",
    "check: network up",
    "check: gateway answers",
    "check: 0 failed units",
    DONE,
];
/// Whom the login asks for, and what is typed at the shell then. Marks are typed in two parts: what a
/// terminal shows of a command isn't its answer.
pub const TALK: [(&str, &str); 7] = [
    (" login: ", "root"),
    (":~# ", "systemctl is-system-running --wait"),
    (":~# ", "echo check: root o''n $(findmnt -n -o SOURCE /)"),
    (
        ":~# ",
        "/lib/systemd/systemd-networkd-wait-online --timeout=120 && ip -brief address && echo check: network u''p",
    ),
    (
        ":~# ",
        "ping -c 1 -W 60 10.0.2.2 && echo check: gateway answer''s",
    ),
    (
        ":~# ",
        "systemctl --failed --no-pager; echo check: $(systemctl --failed -q | wc -l) failed unit''s",
    ),
    (":~# ", "echo check: don''e; poweroff"),
];
/// Kernels on a machine that is slower than what they are made for.
const PATIENT: &str = "nowatchdog rcupdate.rcu_cpu_stall_timeout=200";

#[derive(Args)]
pub struct DebianOptions {
    /// The disk, which is made if it isn't there [default: below target/linux]
    #[arg(long, value_name = "FILE")]
    disk: Option<PathBuf>,
    /// Make the disk again.
    #[arg(long)]
    renew: bool,
    /// Size of a disk that is made; its file takes room as it is written.
    #[arg(long, value_name = "GIB", default_value_t = 4,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    size: u32,
    /// The kernel of a disk that is made, of Debian's.
    #[arg(
        long = "linux",
        value_enum,
        value_name = "VERSION",
        default_value = "6.12"
    )]
    release: Release,
    /// More words for the kernel's command line.
    #[arg(long, value_name = "WORDS")]
    append: Option<String>,
    /// Log in, look at the disk and the network, switch off, and judge all that was said.
    #[arg(long)]
    check: bool,
    /// End a check after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    time_limit: u64,
    /// Leave out the network.
    #[arg(long, conflicts_with = "check")]
    no_net: bool,
    /// Show each cargo command and QEMU's.
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    machine: Machine,
}

/// The command.
pub fn debian(options: &DebianOptions) -> Result<ExitCode> {
    setup::quick()?;
    let images = image::build(options.verbose)?;
    let disk = ensure(
        options.disk.as_deref(),
        options.release,
        options.size,
        options.renew,
        &images.lid(),
    )?;
    let mut words = vec![disk.words()];
    words.extend(options.append.clone());
    let mut machine = options.machine.clone();
    let (net, slots_are_there) = (!options.no_net, machine.default_devices);
    let plugged = plugged::arguments(&disk.image, net, slots_are_there)?;
    machine.extra.splice(0..0, plugged);
    let mut qemu = machine.command(&Boot {
        firmware: &images.lid(),
        payload: &disk.kernel(),
        initrd: &disk.initrd(),
        bootargs: &words.join(" "),
        interactive: !options.check,
    });
    if options.verbose {
        eprintln!("debian: {}", qemu::typed(&qemu));
    }
    match options.check {
        true => check(options, &mut qemu),
        false => shell(&mut qemu),
    }
}

/// A Debian on a disk: the one that is there, or a new one.
pub fn ensure(
    path: Option<&Path>,
    release: Release,
    gib: u32,
    renew: bool,
    firmware: &Path,
) -> Result<Disk> {
    let own = || -> Result<PathBuf> {
        let folder = Files::present()?.dir().join("debian");
        fs::create_dir_all(&folder)?;
        Ok(folder.join(format!("{}.img", release.name())))
    };
    let image = path.map_or_else(own, |path| Ok(path.to_path_buf()))?;
    let disk = Disk { image };
    if !renew && disk.is_there() {
        return Ok(disk);
    }
    if !renew && disk.image.exists() {
        bail!(
            "{} is there, but was not made by this command; --renew makes it anew",
            disk.image.display()
        );
    }
    disk.make(release, gib, firmware)?;
    Ok(disk)
}

/// The terminal is the machine's until QEMU ends.
fn shell(qemu: &mut Command) -> Result<ExitCode> {
    println!(
        "debian: the login comes in half a minute: root, without a password. To leave: poweroff, \
         or Ctrl-A X"
    );
    console::leave_to(qemu)
}

fn check(options: &DebianOptions, qemu: &mut Command) -> Result<ExitCode> {
    let started = Instant::now();
    let no_bmc = options.machine.no_bmc;
    let limits = Limits::of_boot(options.time_limit, no_bmc);
    let mut lines = Vec::new();
    let note = |line: &str| lines.push(line.to_string());
    let end = console::talk(qemu, limits, &mut io::stdout(), &TALK, note)?;
    let mut faults = faults(&lines);
    faults.extend(end.fault(no_bmc));
    Ok(console::verdict("debian", &faults, started))
}

/// What is wrong with the lines of a boot with a check.
fn faults(lines: &[String]) -> Vec<String> {
    let bad = lines.iter().filter(|line| linux::is_bad(line));
    let mut faults: Vec<String> = bad
        .map(|line| format!("must not be said: {line}"))
        .collect();
    let is_missing = |wanted: &&str| !lines.iter().any(|line| line.contains(wanted));
    let missing = WANTED.iter().copied().filter(|wanted| is_missing(wanted));
    faults.extend(missing.map(|wanted| format!("`{wanted}` was never said")));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_judged_by_what_it_says() {
        let mut lines: Vec<String> = WANTED.iter().map(|line| line.to_string()).collect();
        assert!(faults(&lines).is_empty());
        lines.push("[  1.0] Oops: Exception".into());
        assert_eq!(faults(&lines).len(), 1);
        lines.drain(0..2);
        assert_eq!(faults(&lines).len(), 3);
    }

    #[test]
    fn what_is_typed_is_no_answer() {
        for (_, typed) in TALK {
            let answer = WANTED.iter().find(|wanted| typed.contains(**wanted));
            assert_eq!(answer, None, "{typed}");
        }
    }
}

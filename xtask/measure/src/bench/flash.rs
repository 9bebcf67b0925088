//! From a flash image to Linux's first program, beside the firmware that comes with QEMU: the same image for both.
//!
//! The time of the machine is what the firmware says when it goes to the kernel, and the kernel when it starts
//! its first program. No exact counts: they depend on the build host, and so does their ratio a little.
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::report::{Peer, Row, Table};
use xtask::image::Images;
use xtask::qemu::Machine;
use xtask::setup::debian::{Files, Release};
use xtask::{linux, pnor};

/// What the kernel says when it is done.
const STARTED: &str = "Run /init as init process";
/// What each firmware says when it goes to the kernel.
const LEAVES: [&str; 2] = ["catnap: to the host at", "INIT: Starting kernel at"];
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// How long it took, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    firmware: u64,
    kernel: u64,
    wall: u64,
}

/// What a row is about.
type Part = (&'static str, fn(&Times) -> u64);

const PARTS: [Part; 3] = [
    ("the firmware", |times| times.firmware),
    ("all of the machine's time", |times| {
        times.firmware + times.kernel
    }),
    ("wall time", |times| times.wall),
];

/// Boots the image with both, and then one with a packed kernel, which only catnap unpacks.
pub fn table(images: &Images, peer: &Path) -> Result<Table> {
    let files = Files::ensure()?;
    let release = Release::V6_12;
    let mut content = pnor::Content {
        kernel: &files.kernel(release),
        initrd: &linux::write_initrd(&files, &images.dir, Some(release))?,
        bootargs: "console=hvc0",
        sign: None,
        for_all: true,
    };
    let flash = pnor::for_boot(images, &content)?.flash;
    let own = boot(&images.lid(), &flash)?;
    let theirs = boot(peer, &flash)?;
    content.for_all = false;
    let packed = boot(&images.lid(), &pnor::for_boot(images, &content)?.flash)?;
    let mut rows = Vec::new();
    for (name, part) in PARTS {
        let beside = Peer {
            name: "skiboot",
            count: part(&theirs),
            source: peer.display().to_string(),
        };
        rows.push(Row::new(name, part(&own)).beside(Some(beside.clone())));
        let name = format!("{name}, kernel packed");
        rows.push(Row::new(name, part(&packed)).beside(Some(beside)));
    }
    Ok(Table {
        bench: "flash",
        title: "Debian from flash to its first program",
        unit: "milliseconds",
        rows,
        notes: vec![
            "The same image for both: a kernel that isn't packed, and a RAM disk.".into(),
            "Packed: an image with the same kernel by xz, which skiboot doesn't unpack; beside skiboot's time for the other image.".into(),
        ],
    })
}

fn boot(firmware: &Path, flash: &Path) -> Result<Times> {
    let machine = Machine {
        cores: Some(1),
        threads: Some(1),
        ..Machine::default()
    };
    let mut qemu = machine.flash_command(firmware, flash, false);
    eprintln!("bench: {} boots {}", firmware.display(), flash.display());
    time(qemu.stdin(Stdio::null()).stdout(Stdio::piped()))
        .with_context(|| format!("booting {} with {}", flash.display(), firmware.display()))
}

/// Until the first program starts; then QEMU is ended.
fn time(qemu: &mut Command) -> Result<Times> {
    let started = Instant::now();
    let mut qemu = qemu.spawn()?;
    let output = qemu.stdout.take().context("QEMU has no output")?;
    let times = watch(BufReader::new(output), started);
    qemu.kill()?;
    qemu.wait()?;
    times
}

fn watch(mut output: impl BufRead, started: Instant) -> Result<Times> {
    let mut times = Times::default();
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        if LEAVES.iter().any(|leaves| text.contains(leaves)) {
            times.firmware = milliseconds(&text)?;
        }
        if text.contains(STARTED) {
            times.kernel = milliseconds(&text)?;
            times.wall = started.elapsed().as_millis() as u64;
            return Ok(times);
        }
        if started.elapsed() > TIME_LIMIT {
            bail!("nothing was started in {} s", TIME_LIMIT.as_secs());
        }
        line.clear();
    }
    bail!("the machine ended without starting anything")
}

/// The time at a line's beginning: seconds in brackets.
fn milliseconds(line: &str) -> Result<u64> {
    let seconds = line
        .split_once('[')
        .and_then(|(_, rest)| rest.split([']', ',']).next());
    let seconds: Option<f64> = seconds.and_then(|seconds| seconds.trim().parse().ok());
    let seconds = seconds.with_context(|| format!("no time in `{}`", line.trim()))?;
    Ok((seconds * 1000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_from_each() {
        let said = b"[    0.012000000,5] OPAL v7.1\r\n\
            [   38.123456789,5] INIT: Starting kernel at 0x20000000\r\n\
            [    2.500000] Run /init as init process\r\n";
        let times = watch(&said[..], Instant::now()).unwrap();
        assert_eq!((times.firmware, times.kernel), (38123, 2500));
        let ours = "[1.250000] INFO pir08: catnap: to the host at 0x20000000";
        assert_eq!(milliseconds(ours).unwrap(), 1250);
        assert!(milliseconds("nothing").is_err());
        assert!(watch(&said[..40], Instant::now()).is_err());
    }
}

//! A Linux guest of eight threads whose host tells the firmware's trace.
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use super::{DONE, HOST, HOST_MEMORY, Job, Scenario, archive, ensure};
use crate::console::{self, Limits};
use crate::qemu::{Boot, Machine};
use crate::{image, linux, project, setup};

const THREADS: u32 = 8;
const LIMIT_S: u64 = 900;
/// What has to be said.
const EXPECTED: [&str; 2] = ["check: ok works", DONE];

/// Boots a host on one core with such a guest. The console goes to `out`, with the trace as the test host tells
/// it.
///
/// # Errors
/// Something that is needed can't be had or made.
pub fn traced(machine: &Machine, out: &mut impl Write) -> Result<ExitCode> {
    setup::quick()?;
    let job = Job {
        scenario: Scenario::Traced,
        ..Job::checked(HOST, THREADS, 1)
    };
    let mut machine = machine.clone();
    machine.icount |= !machine.mttcg && !machine.single;
    machine.cores = Some(1);
    machine.threads = Some(THREADS);
    machine
        .extra
        .splice(0..0, ["-m".into(), HOST_MEMORY.into()]);
    let images = image::build(false)?;
    let files = ensure(HOST)?;
    let initrd = files.dir().join("traced.cpio");
    project::write_if_changed(&initrd, &archive(&files, &images.dir, &job)?)?;
    let mut qemu = machine.command(&Boot {
        firmware: &images.lid(),
        payload: &files.kernel(HOST),
        initrd: &initrd,
        bootargs: &job.bootargs(),
        interactive: false,
    });
    let started = Instant::now();
    let mut lines = Vec::new();
    let limits = Limits::of_boot(LIMIT_S, machine.no_bmc);
    let note = |line: &str| lines.push(line.to_string());
    let end = console::watch(&mut qemu, limits, out, note)?;
    let said = |what: &&str| lines.iter().any(|line| line.contains(what));
    let missing = EXPECTED.iter().filter(|what| !said(what));
    let mut faults: Vec<_> = missing.map(|what| format!("never said: {what}")).collect();
    let bad = lines.iter().filter(|line| linux::is_bad(line));
    faults.extend(bad.map(|line| format!("must not be said: {line}")));
    faults.extend(end.fault(machine.no_bmc));
    Ok(console::verdict("trace", &faults, started))
}

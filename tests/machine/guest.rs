//! Debian as the host, and QEMU on it, by KVM and the module: SMT guests of Debian's.
use std::time::Duration;

use libtest_mimic::Trial;
use tests::console::Expected;
use tests::images;
use tests::qemu::{Boot, End, Tcg};
use xtask::guest::{self, Firmware, Irqchip, Job, Scenario};
use xtask::kvm_module;
use xtask::linux;
use xtask::setup::debian::{Files, Qemu, Release};

use crate::{Outcome, trial};

mod debugged;
mod module;

const LIMIT: Duration = Duration::from_secs(900);
const HOST: Release = Release::V6_12Pages64K;

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![trial("guest::smt8", || {
        let mut job = Job::checked(HOST, 8, 1);
        // A few of what the matrix has many of.
        job.fuzz = 2;
        passes("smt8", &job, 1)
    })];
    trials.extend(Release::WITH_MODULE.map(|release| {
        let name = format!("module::for-{}", release.name());
        trial(name, move || builds(release))
    }));
    trials.extend(module::trials());
    trials.push(debugged::trial());
    trials.push(trial("guest-matrix::saved-and-moved", saved_and_moved).with_ignored_flag(true));
    trials.extend(matrix().map(|(name, job, cores)| {
        let run = move || passes(name, &job, cores);
        trial(format!("guest-matrix::{name}"), run).with_ignored_flag(true)
    }));
    trials
}

/// What takes too long for every day: name, guests, the machine's cores.
fn matrix() -> impl Iterator<Item = (&'static str, Job, u32)> {
    let job = |smt, vcores| Job::checked(HOST, smt, vcores);
    let slof = |mut job: Job| {
        job.guests.firmware = Firmware::Slof;
        job
    };
    let in_qemu = |mut job: Job| {
        job.guests.irqchip = Irqchip::Qemu;
        job
    };
    let two = |mut job: Job| {
        job.guests.machines = 2;
        job
    };
    let after_fuzz = |mut job: Job| {
        job.fuzz = 100;
        job
    };
    let by = |vmm, mut job: Job| {
        job.guests.vmm = vmm;
        job
    };
    let of = |guest, mut job: Job| {
        job.guests.guest_debian = guest;
        job.guests.net = true;
        job
    };
    let on = |host, mut job: Job| {
        job.host = host;
        job
    };
    [
        ("smt1", job(1, 1), 1),
        ("smt2", job(2, 1), 1),
        ("smt4-of-2-cores-on-1", job(4, 2), 1),
        ("smt4-of-2-cores", job(4, 2), 2),
        ("slof", slof(job(8, 1)), 1),
        ("irqchip-in-qemu", in_qemu(job(8, 1)), 1),
        ("2-machines", two(job(4, 1)), 1),
        ("2-machines-on-2-cores", two(job(8, 1)), 2),
        ("after-hostile-programs", after_fuzz(job(8, 1)), 1),
        ("on-6.12", on(Release::V6_12, job(8, 1)), 1),
        ("on-6.1", on(Release::V6_1, job(8, 1)), 1),
        ("of-6.12", of(Release::V6_12, job(8, 1)), 1),
        ("of-6.1", of(Release::V6_1, job(8, 1)), 1),
        ("by-qemu-10.0", by(Qemu::V10_0, job(8, 1)), 1),
    ]
    .into_iter()
}

/// The module is built without a warning.
fn builds(release: Release) -> Outcome {
    let built = kvm_module::build(&files(), release);
    built.map(drop).map_err(|error| format!("{error:#}"))
}

fn boot(name: &str, job: &Job, cores: u32) -> Result<Boot, String> {
    let files = files();
    let archive = guest::archive(&files, &images::folder(), job);
    let archive = archive.map_err(|error| format!("{error:#}"))?;
    Ok(Boot {
        tcg: Tcg::Counting,
        payload: Some(files.kernel(job.host)),
        initrd: Some(images::scratch_file(
            &format!("guest-{name}.cpio"),
            &archive,
        )),
        bootargs: job.bootargs(),
        extra: ["-m", guest::HOST_MEMORY].map(String::from).into(),
        limit: LIMIT,
        ..Boot::new(cores, 8)
    })
}

fn passes(name: &str, job: &Job, cores: u32) -> Outcome {
    // What not every day needs.
    let vmm = files().vmm(job.guests.vmm).map(drop);
    vmm.map_err(|error| format!("{error:#}"))?;
    let boot = boot(name, job, cores)?;
    let lines = boot.check(&End::Off, &Expected::lines([guest::DONE]))?;
    let faults = guest::faults(job, &lines);
    match faults.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{}\n  | {}",
            faults.join("\n"),
            lines.join("\n  | ")
        )),
    }
}

/// A guest that counts goes on where it was: stopped and continued, migrated to a file and from there into a
/// second QEMU, saved and loaded there, and migrated by a socket into a third; its memory is as it was. It sleeps
/// between two numbers, so that its decrementers are seen to come along.
fn saved_and_moved() -> Outcome {
    let mut job = Job::checked(HOST, 2, 1);
    job.scenario = Scenario::Moves;
    let expected = [
        "counts",
        "stop",
        "cont",
        "memory-by-monitor",
        "from-file",
        "savevm",
        "loadvm",
        "reset",
        "from-socket",
    ];
    let expected = expected.map(|what| format!("check: ok {what}"));
    let expected = Expected::lines(expected.into_iter().chain([guest::DONE.into()]));
    let expected = linux::FORBIDDEN
        .into_iter()
        .fold(expected, Expected::forbid);
    let boot = boot("saved-and-moved", &job, 1)?;
    boot.check(&End::Off, &expected).map(drop)
}

fn files() -> Files {
    Files::present().unwrap_or_else(|error| panic!("{error:#}"))
}

//! The module on a Linux host, tried by small programs: where it isn't loaded, registers, limits, lives.
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use tests::console::Expected;
use tests::images;
use tests::qemu::{Boot, End};
use xtask::guest::{self, module, registers};
use xtask::kvm_module;
use xtask::linux;
use xtask::setup::debian::{Files, Release};

use super::{HOST, LIMIT, files};
use crate::{Outcome, trial};

/// Machines that are killed each day, and where that is all.
const LIVES: u32 = 20;
const MANY_LIVES: u32 = 100;

/// How a host ends while machines run on both of its cores, and what it says then.
const ENDS: [(&str, &str); 4] = [
    ("reboot", "reboot: Restarting system"),
    ("panic", "Kernel panic - not syncing: sysrq triggered crash"),
    ("kexec", "kexec_core: Starting new kernel"),
    ("kdump", "Kernel panic - not syncing: sysrq triggered crash"),
];

pub fn trials() -> Vec<Trial> {
    let on_demand = |name: &str, run: fn() -> Outcome| {
        trial(format!("guest-matrix::{name}"), run).with_ignored_flag(true)
    };
    let ends = ENDS.map(|(name, last_words)| {
        let run = move || ends(name, last_words);
        trial(format!("guest-matrix::host-{name}"), run).with_ignored_flag(true)
    });
    let by_dkms = Release::WITH_MODULE.map(|release| {
        let name = format!("guest-matrix::module-by-dkms-for-{}", release.name());
        trial(name, move || by_dkms(release)).with_ignored_flag(true)
    });
    let trials = [
        trial("module::on-a-host", || on_a_host("on-a-host", LIVES)),
        on_demand("lives", || on_a_host("lives", MANY_LIVES)),
        on_demand("module-without-catnap", without_catnap),
        on_demand("module-of-a-host-with-all-threads", with_all_threads),
    ];
    trials.into_iter().chain(ends).chain(by_dkms).collect()
}

fn boot(name: &str, words: &str) -> Result<Boot, String> {
    boot_of(name, words, module::archive)
}

type Archive = fn(&Files, &Path, Release) -> anyhow::Result<Vec<u8>>;

fn boot_of(name: &str, words: &str, archive: Archive) -> Result<Boot, String> {
    let files = files();
    let archive = archive(&files, &images::folder(), HOST);
    let archive = archive.map_err(|error| format!("{error:#}"))?;
    Ok(Boot {
        payload: Some(files.kernel(HOST)),
        initrd: Some(images::scratch_file(
            &format!("module-{name}.cpio"),
            &archive,
        )),
        bootargs: format!("console=hvc0 {} {words}", guest::PATIENT),
        limit: LIMIT,
        ..Boot::new(1, 2)
    })
}

fn faultless(lines: &[&str]) -> Expected {
    let expected = Expected::lines(lines.iter().copied().chain([guest::DONE]));
    linux::FORBIDDEN
        .into_iter()
        .fold(expected, Expected::forbid)
}

fn on_a_host(name: &str, lives: u32) -> Outcome {
    let killed = format!("lives: {lives} of {lives} were killed");
    let expected = [
        "host: it says: the firmware has another version of the calls",
        "check: ok refused version",
        "host: it says: KVM has another backend already",
        "check: ok refused slot",
        "host: it says: guests of up to 2 threads a core",
        "registers: segments ok",
        "check: ok steps",
        "check: ok table",
        // ENOMEM, and why.
        "lives: beyond the limit: errno 12",
        "RLIMIT_MEMLOCK is 8388608 bytes",
        "check: ok busy",
        &killed,
        "check: ok memory",
        "check: ok tables",
        "check: ok machines",
        "check: ok unloaded",
        "check: ok reloaded",
        "check: ok table-by-linux",
        "check: ok kernel-log",
    ];
    let boot = boot(name, &format!("quiet module.lives={lives}"))?;
    let lines = boot.check(&End::Off, &faultless(&expected))?;
    let kbuild = files().kbuild(HOST);
    let list = kbuild.and_then(|kbuild| registers::list(&kbuild));
    let list = list.map_err(|error| format!("{error:#}"))?;
    let said = |what: &String| {
        lines
            .iter()
            .any(|line| line.trim_end().ends_with(what.as_str()))
    };
    let missing: Vec<_> = registers::expected(&list).filter(|it| !said(it)).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "never said: {}\n  | {}",
            missing.join("\nnever said: "),
            lines.join("\n  | ")
        )),
    }
}

/// The module as a machine's administrator has it built.
fn by_dkms(release: Release) -> Outcome {
    let built = kvm_module::dkms::build(&files(), release);
    built.map(drop).map_err(|error| format!("{error:#}"))
}

/// On the firmware that QEMU brings.
fn without_catnap() -> Outcome {
    let skiboot = PathBuf::from("skiboot.lid");
    let mut boot = boot("without-catnap", "quiet module.refused")?;
    boot.extra = vec!["-bios".into(), skiboot.display().to_string()];
    let why = "host: it says: this machine's firmware isn't catnap: /ibm,opal/smt isn't there";
    let expected = faultless(&[why, "check: ok refused here"]);
    boot.check(&End::Off, &expected).map(drop)
}

fn with_all_threads() -> Outcome {
    let boot = boot(
        "with-all-threads",
        "quiet catnap.threads=host module.refused",
    )?;
    let why = "host: it says: this host has all threads of its cores: boot it without catnap.threads=host";
    let expected = faultless(&[why, "check: ok refused here"]);
    boot.check(&End::Off, &expected).map(drop)
}

/// The next kernel, or the machine's next boot, runs machines as if nothing had been.
fn ends(name: &str, last_words: &str) -> Outcome {
    let words = format!("panic=1 crashkernel=512M module.end={name}");
    let boot = Boot {
        cores: 2,
        ..boot_of(name, &words, module::archive_for_kexec)?
    };
    let mut expected = Expected::lines(["check: ok running"])
        .then(last_words)
        .then("kvm: 2 of 2 machines were good")
        .then("check: ok again")
        .then("check: ok unloaded")
        .forbid("check: FAILED");
    if name == "kdump" {
        expected = expected.then("check: ok dump");
    }
    let expected = expected.then(guest::DONE).then("reboot: Power down");
    boot.check(&End::Off, &expected).map(drop)
}

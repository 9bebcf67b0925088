//! A Debian 12 on an NVMe disk: as far as its login, and with an address.
use std::time::Duration;

use libtest_mimic::Trial;
use tests::console::Expected;
use tests::images;
use tests::qemu::{Boot, End};
use xtask::debian::{self, Disk};
use xtask::linux::plugged;
use xtask::setup::debian::Release;

use crate::{Outcome, trial};

const LIMIT: Duration = Duration::from_secs(600);
/// Of a disk that is made.
const GIB: u32 = 4;

pub fn trials() -> Vec<Trial> {
    let on_demand = trial("pci-matrix::debian", login).with_ignored_flag(true);
    vec![on_demand]
}

/// The disk that `cargo xtask debian` keeps, made if it isn't there.
fn disk() -> Result<Disk, String> {
    let firmware = images::path("catnap.lid");
    let disk = debian::ensure(None, Release::V6_12, GIB, false, &firmware);
    disk.map_err(|error| format!("{error:#}"))
}

/// What is written is forgotten.
fn login() -> Outcome {
    let disk = disk()?;
    let plugged = plugged::arguments(&disk.image, true, false);
    let mut extra = plugged.map_err(|error| format!("{error:#}"))?;
    extra.push("-snapshot".into());
    let typed = |(awaited, typed): (&str, &str)| (awaited.to_string(), format!("{typed}\n"));
    let boot = Boot {
        payload: Some(disk.kernel()),
        initrd: Some(disk.initrd()),
        bootargs: disk.words(),
        talk: debian::TALK.map(typed).into(),
        extra,
        limit: LIMIT,
        ..Boot::new(2, 2)
    };
    let expected = Expected::lines(debian::WANTED).then("reboot: Power down");
    boot.check(&End::Off, &expected).map(drop)
}

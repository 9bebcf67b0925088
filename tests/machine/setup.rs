//! What the project's set-up brings where its first source fails.
use libtest_mimic::Trial;
use tests::images;
use tests::qemu::{Boot, End, Tcg};
use xtask::setup::{self, toolchain};

use crate::{Outcome, behaviours, trial};

/// Eight vcpus run.
const BEHAVIOUR: &str = "run8";

pub fn trials() -> Vec<Trial> {
    vec![
        trial("setup::newer-debians-qemu", newer_debians_qemu),
        trial("setup::debians-library-sources", debians_library_sources),
    ]
}

/// rustup can't bring Rust's library sources, and a suite isn't there: those of Debian's package come from
/// another suite.
fn debians_library_sources() -> Outcome {
    let dir = images::folder().join("library-sources");
    std::fs::remove_dir_all(&dir).ok();
    let suites: Vec<_> = ["no-such-suite"]
        .into_iter()
        .chain(toolchain::SUITES)
        .collect();
    let release = toolchain::release().map_err(|why| format!("{why:#}"))?;
    toolchain::from_debian(&suites, &release, &dir).map_err(|why| format!("{why:#}"))?;
    let core = dir.join("library/core/src/lib.rs");
    let is_there = core.is_file();
    std::fs::remove_dir_all(&dir).map_err(|why| why.to_string())?;
    match is_there {
        true => Ok(()),
        false => Err(format!("there is no {}", core.display())),
    }
}

/// The machine's own suites have no QEMU that is new enough: a newer Debian's is unpacked, with its
/// libraries, and boots a host that runs a guest.
fn newer_debians_qemu() -> Outcome {
    let none = || anyhow::bail!("backports have no QEMU any more");
    let programs = setup::bring_qemu(none).map_err(|error| format!("{error:#}"))?;
    let boot = Boot {
        programs: Some(programs.ok_or("QEMU was installed")?),
        ..behaviours::boot(BEHAVIOUR, Tcg::Multi)
    };
    boot.check(&End::Off, &behaviours::expected(BEHAVIOUR))
        .map(drop)
}

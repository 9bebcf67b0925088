//! Cross-building for POWER8 with the host's own toolchain.
//!
//! No release of Rust ships libraries for these targets, so `core` and `alloc` are built from
//! their sources along with our code. That, and describing a target in a file, are features that
//! a stable compiler grants only when it is told to bootstrap.
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::{process, project};

/// The profile of everything that runs on the machine.
pub const PROFILE: &str = "firmware";

/// The two targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    Big,
    Little,
}

impl Endian {
    /// The target's name, which is also its file's and its folder's in cargo's target folder.
    pub fn target(self) -> &'static str {
        match self {
            Endian::Big => "powernv8",
            Endian::Little => "powernv8-le",
        }
    }

    /// What tells two builds of a guest apart in target/catnap.
    pub fn suffix(self) -> &'static str {
        match self {
            Endian::Big => "be",
            Endian::Little => "le",
        }
    }

    pub fn target_file(self) -> PathBuf {
        project::root()
            .join("xtask/targets")
            .join(format!("{}.json", self.target()))
    }
}

/// `cargo <verb>` for a target; packages and what else is wanted can be added.
pub fn cargo(verb: &str, endian: Endian) -> Command {
    let mut cargo = project::cargo();
    cargo.env("RUSTC_BOOTSTRAP", "1");
    cargo.args([verb, "--locked", "--profile", PROFILE]);
    cargo.args([
        "-Zbuild-std=core,alloc,compiler_builtins",
        "-Zjson-target-spec",
    ]);
    cargo.arg("-Zbuild-std-features=compiler-builtins-mem");
    cargo.arg("--target").arg(endian.target_file());
    cargo
}

/// `cargo build` for a release: where this machine keeps the sources is nothing that what is built tells, or
/// depends on. In a target folder of its own, for all of it is built otherwise.
pub fn release_build(endian: Endian, target_dir: &Path) -> Command {
    let mut cargo = cargo("build", endian);
    cargo.args(["-Ztrim-paths", "--config"]);
    cargo.arg(format!("profile.{PROFILE}.trim-paths=\"all\""));
    cargo.arg("--target-dir").arg(target_dir);
    cargo
}

/// Build these binaries of one package.
pub fn build(package: &str, bins: &[String], endian: Endian, verbose: bool) -> Result<()> {
    let mut cargo = cargo("build", endian);
    cargo.args(["--package", package]);
    for bin in bins {
        cargo.args(["--bin", bin]);
    }
    if verbose {
        eprintln!("image: RUSTC_BOOTSTRAP=1 {}", process::typed(&cargo));
    } else {
        cargo.arg("--quiet");
    }
    process::run(&mut cargo)
}

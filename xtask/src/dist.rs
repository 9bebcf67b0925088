//! `cargo xtask dist`: a release, in one folder.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use sha2::{Digest, Sha256};

use crate::cross::{self, Endian};
use crate::project::{self, Workspace};
use crate::{hex, image, process, setup};

mod bom;

/// What else goes along, as git knows it: the calls for hosts in C, the module's sources, and all pages.
const SOURCES: [&str; 8] = [
    "linux",
    "docs",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
    "Cargo.lock",
];
const BILL: &str = "catnap.cdx.json";
const SUMS: &str = "SHA256SUMS";

#[derive(Args)]
pub struct DistOptions {
    /// Where the release goes; what is there is removed [default: target/dist/catnap-VERSION]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Show cargo's command.
    #[arg(short, long)]
    verbose: bool,
}

/// The command.
pub fn dist(options: &DistOptions) -> Result<ExitCode> {
    setup::quick()?;
    let target_dir = Workspace::read()?.target_dir()?;
    let version = env!("CARGO_PKG_VERSION");
    let out = options.out.clone();
    let out = out.unwrap_or_else(|| target_dir.join(format!("dist/catnap-{version}")));
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("removing {}", out.display()))?;
    }
    fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
    build(&target_dir.join("release-image"), &out, options.verbose)?;
    copy_sources(&out)?;
    let lid = fs::read(out.join("catnap.lid"))?;
    let bill = bom::bill(&sha256(&lid), &setup::toolchain::release()?)?;
    fs::write(out.join(BILL), bill)?;
    let sums = sums(&out)?;
    fs::write(out.join(SUMS), &sums)?;
    let files = sums.lines().count() + 1;
    println!("dist: {files} files in {}", out.display());
    println!("dist: catnap.lid {} {}", lid.len(), sha256(&lid));
    Ok(ExitCode::SUCCESS)
}

/// The firmware's three files, of which none tells of this machine.
fn build(target_dir: &Path, out: &Path, verbose: bool) -> Result<()> {
    let mut cargo = cross::release_build(Endian::Big, target_dir);
    cargo.args(["--package", image::FIRMWARE, "--bin", image::FIRMWARE_BIN]);
    if verbose {
        eprintln!("dist: RUSTC_BOOTSTRAP=1 {}", process::typed(&cargo));
    } else {
        eprintln!("dist: building the firmware");
        cargo.arg("--quiet");
    }
    process::run(&mut cargo)?;
    let built = image::built(target_dir, Endian::Big, image::FIRMWARE_BIN);
    image::firmware_files(&built, out)
}

fn copy_sources(out: &Path) -> Result<()> {
    let root = project::root();
    let mut list = Command::new("git");
    list.current_dir(&root).args(["ls-files", "-z", "--"]);
    let list = process::output(list.args(SOURCES))?;
    for name in list.split_terminator('\0') {
        let (from, to) = (root.join(name), out.join(name));
        let folder = to.parent().context("a file is in a folder")?;
        fs::create_dir_all(folder)?;
        fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
    }
    Ok(())
}

/// A line for each file, as `sha256sum -c` reads it, in the order of names.
fn sums(folder: &Path) -> Result<String> {
    let mut files = Vec::new();
    files_below(folder, &mut files)?;
    let mut names = Vec::new();
    for file in &files {
        let name = file.strip_prefix(folder)?.to_string_lossy().into_owned();
        names.push((name, sha256(&fs::read(file)?)));
    }
    names.sort();
    let lines = names.iter().filter(|(name, _)| name != SUMS);
    Ok(lines
        .map(|(name, sum)| format!("{sum}  {name}\n"))
        .collect())
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => files_below(&entry.path(), files)?,
            false => files.push(entry.path()),
        }
    }
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_as_others_check_them() {
        let folder = std::env::temp_dir().join(format!("catnap-dist-{}", std::process::id()));
        fs::create_dir_all(folder.join("b/c")).unwrap();
        for (name, text) in [("z", "one"), ("b/c/d", "two"), (SUMS, "old")] {
            fs::write(folder.join(name), text).unwrap();
        }
        let all = sums(&folder).unwrap();
        let names: Vec<_> = all
            .lines()
            .map(|line| line.split("  ").nth(1).unwrap())
            .collect();
        assert_eq!(names, ["b/c/d", "z"]);
        fs::write(folder.join(SUMS), &all).unwrap();
        let mut check = Command::new("sha256sum");
        check
            .current_dir(&folder)
            .args(["--check", "--quiet", SUMS]);
        process::output(&mut check).unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_release_has_the_header_the_module_and_the_guide() {
        let out = std::env::temp_dir().join(format!("catnap-copy-{}", std::process::id()));
        copy_sources(&out).unwrap();
        for name in [
            "linux/include/catnap.h",
            "linux/kvm-catnap/main.c",
            "docs/platform-rom.md",
            "LICENSE",
        ] {
            assert!(out.join(name).is_file(), "{name}");
        }
        fs::remove_dir_all(&out).unwrap();
    }
}

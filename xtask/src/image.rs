//! `cargo xtask image`: everything that the machine boots, in target/catnap.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::cross::{self, Endian};
use crate::project::{self, Workspace, write_if_changed};
use crate::{flat, setup, symbols};

pub const FIRMWARE: &str = "firmware";
pub const FIRMWARE_BIN: &str = "catnap";
const IMAGES: &str = "images";
const GUEST_PREFIX: &str = "guest-";
/// Programs for Linux on catnap.
const LINUX_PREFIX: &str = "linux-";

/// What was built.
pub struct Images {
    /// target/catnap.
    pub dir: PathBuf,
    /// Names of the guests' binaries.
    pub guests: Vec<String>,
}

impl Images {
    /// The flat firmware image.
    pub fn lid(&self) -> PathBuf {
        self.dir.join("catnap.lid")
    }

    /// The firmware with its symbols.
    pub fn elf(&self) -> PathBuf {
        self.dir.join("catnap.elf")
    }

    /// A payload: `host` or `testhost`.
    pub fn payload(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// The name of a guest's file in target/catnap.
pub fn guest_file(guest: &str, endian: Endian) -> String {
    format!("{guest}.{}", endian.suffix())
}

/// The command: build, and list what there is now.
pub fn command(verbose: bool) -> Result<ExitCode> {
    setup::quick()?;
    let images = build(verbose)?;
    let mut files: Vec<_> = fs::read_dir(&images.dir)?.collect::<Result<_, _>>()?;
    files.sort_by_key(|file| file.file_name());
    for file in files.iter().filter(|file| file.path().is_file()) {
        let bytes = file.metadata()?.len();
        println!("{:>10} bytes  {}", bytes, file.path().display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Build the firmware, hosts and guests and put them into target/catnap.
pub fn build(verbose: bool) -> Result<Images> {
    let workspace = Workspace::read()?;
    let dir = workspace.image_dir()?;
    let target_dir = workspace.target_dir()?;
    progress(verbose, "building the firmware");
    cross::build(FIRMWARE, &[FIRMWARE_BIN.to_string()], Endian::Big, verbose)?;
    firmware_files(&built(&target_dir, Endian::Big, FIRMWARE_BIN), &dir)?;

    let bins = workspace.bins(IMAGES);
    let with = |prefix| move |bin: &String| bin.starts_with(prefix);
    let (guests, others): (Vec<_>, Vec<_>) = bins.into_iter().partition(with(GUEST_PREFIX));
    let (programs, hosts): (Vec<_>, Vec<_>) = others.into_iter().partition(with(LINUX_PREFIX));
    ensure!(
        !guests.is_empty(),
        "package {IMAGES} has no binary {GUEST_PREFIX}*"
    );
    progress(verbose, "building hosts and guests, big-endian");
    cross::build(
        IMAGES,
        &[&hosts[..], &guests].concat(),
        Endian::Big,
        verbose,
    )?;
    progress(
        verbose,
        "building guests and programs for Linux, little-endian",
    );
    cross::build(
        IMAGES,
        &[&programs[..], &guests].concat(),
        Endian::Little,
        verbose,
    )?;

    for (bins, endian) in [(&hosts, Endian::Big), (&programs, Endian::Little)] {
        for bin in bins {
            copy(&built(&target_dir, endian, bin), &dir.join(bin))?;
        }
    }
    for endian in [Endian::Big, Endian::Little] {
        for guest in &guests {
            let to = dir.join(guest_file(guest, endian));
            copy(&built(&target_dir, endian, guest), &to)?;
        }
    }
    Ok(Images { dir, guests })
}

/// With -v each cargo command is shown instead.
fn progress(verbose: bool, what: &str) {
    if !verbose {
        eprintln!("image: {what}");
    }
}

/// Where cargo puts a binary.
pub fn built(target_dir: &Path, endian: Endian, bin: &str) -> PathBuf {
    target_dir
        .join(endian.target())
        .join(cross::PROFILE)
        .join(bin)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    write_if_changed(to, &bytes)?;
    Ok(())
}

/// catnap.elf, catnap.lid and catnap.map.
pub fn firmware_files(built: &Path, dir: &Path) -> Result<()> {
    let elf = fs::read(built).with_context(|| format!("reading {}", built.display()))?;
    let map = symbols::map(&elf)?;
    let mut lid =
        flat::image(&elf).with_context(|| format!("making an image of {}", built.display()))?;
    flat::append_map(&mut lid, &elf, map.as_bytes())?;
    write_if_changed(&dir.join("catnap.elf"), &elf)?;
    write_if_changed(&dir.join("catnap.lid"), &lid)?;
    write_if_changed(&dir.join("catnap.map"), map.as_bytes())?;
    let percent = lid.len() * 100 / flat::LIMIT_BYTES;
    eprintln!(
        "image: catnap.lid has {} bytes, {percent} % of what it may have",
        lid.len()
    );
    Ok(())
}

/// The file that guests hash when none is given.
pub fn default_input() -> PathBuf {
    project::root().join("Cargo.lock")
}

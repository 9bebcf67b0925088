//! Debian's QEMU for little-endian POWER, with the libraries and firmware that it needs: the program that
//! runs guests on a Linux host.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;
use object::elf::DT_NEEDED;
use object::read::elf::{Dyn, ElfFile64, FileHeader};

use super::{ARCHITECTURE, Files, SUITE};
use crate::process;
use crate::setup::apt::Apt;

const PACKAGE: &str = "qemu-system-ppc";
const PROGRAM: &str = "qemu-system-ppc64";
const LOADER: &str = "ld64.so.2";
/// What it boots guests by: SLOF, and a smaller one.
const FIRMWARE: [&str; 2] = ["slof.bin", "vof.bin"];

/// A QEMU of Debian's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Qemu {
    /// Of Debian 12.
    #[default]
    #[value(name = "7.2")]
    V7_2,
    /// Of Debian 13.
    #[value(name = "10.0")]
    V10_0,
}

impl Qemu {
    const fn suite(self) -> &'static str {
        match self {
            Self::V7_2 => SUITE,
            Self::V10_0 => "trixie",
        }
    }

    /// Its folder below target/linux.
    const fn folder(self) -> &'static str {
        match self {
            Self::V7_2 => "qemu",
            Self::V10_0 => "qemu-10.0",
        }
    }
}

/// The files.
pub struct Vmm {
    pub program: PathBuf,
    /// Name and path of each library.
    pub libraries: BTreeMap<String, PathBuf>,
    pub firmware: Vec<PathBuf>,
    /// What loads the libraries: of the same release as they.
    pub loader: PathBuf,
}

impl Files {
    /// QEMU for a Linux host; fetched if it isn't there.
    pub fn vmm(&self, qemu: Qemu) -> Result<Vmm> {
        let home = self.dir.join(qemu.folder());
        if !home.join(PROGRAM).is_file() {
            eprintln!(
                "linux: QEMU for {ARCHITECTURE} of {} is fetched",
                qemu.suite()
            );
            fetch(&home, qemu.suite())?;
        }
        let present = fs::read_dir(home.join("lib"))?.flatten();
        Ok(Vmm {
            program: home.join(PROGRAM),
            libraries: present
                .map(|entry| {
                    (
                        entry.file_name().to_string_lossy().into_owned(),
                        entry.path(),
                    )
                })
                .collect(),
            firmware: FIRMWARE.map(|name| home.join(name)).into(),
            loader: match home.join("lib").join(LOADER) {
                loader if loader.is_file() => loader,
                _ => self.tool(LOADER),
            },
        })
    }
}

fn fetch(home: &Path, suite: &str) -> Result<()> {
    fs::remove_dir_all(home).ok();
    let scratch = home.join("fetch");
    let apt = Apt::foreign(&scratch, ARCHITECTURE)?;
    // That of the release itself, and not of its backports.
    let own = apt.own_sources()?;
    apt.fetch_lists(&[own[0].sibling(suite)])?;
    let root = scratch.join("root");
    for package in apt.download_with_all(&[PACKAGE])? {
        let mut dpkg = Command::new("dpkg-deb");
        process::output(dpkg.arg("--extract").arg(package).arg(&root))?;
    }
    let mut files = BTreeMap::new();
    list(&root, &mut files)?;
    let file = |name: &str| {
        files
            .get(name)
            .with_context(|| format!("no {name} in {PACKAGE}"))
    };
    for (name, path) in libraries(file(PROGRAM)?, &files)? {
        super::copy(&path, &made(home.join("lib"))?.join(name))?;
    }
    for name in FIRMWARE {
        super::copy(file(name)?, &home.join(name))?;
    }
    // Last: whoever finds it finds the rest.
    super::copy(file(PROGRAM)?, &home.join(PROGRAM))?;
    fs::remove_dir_all(&scratch).with_context(|| format!("removing {}", scratch.display()))
}

fn made(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// All files below a folder, by name; of two with one name, one. Links that lead out of the folder are none.
fn list(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        let leads_out = fs::read_link(&path).is_ok_and(|to| to.is_absolute());
        if entry.file_type()?.is_dir() {
            list(&path, files)?;
        } else if !leads_out && path.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.insert(name, path);
        }
    }
    Ok(())
}

/// The libraries that a program needs, and those that they need.
fn libraries(
    program: &Path,
    files: &BTreeMap<String, PathBuf>,
) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![program.to_path_buf()];
    while let Some(path) = todo.pop() {
        for name in needed(&path)? {
            let library = files.get(&name);
            let library = library.with_context(|| format!("no library {name}"))?;
            if found.insert(name, library.clone()).is_none() {
                todo.push(library.clone());
            }
        }
    }
    Ok(found)
}

/// What a program or library names as needed.
fn needed(path: &Path) -> Result<Vec<String>> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let file = ElfFile64::<object::Endianness>::parse(&*bytes)?;
    let (endian, data) = (file.endian(), file.data());
    let sections = file.elf_header().sections(endian, data)?;
    let Some((dynamic, link)) = sections.dynamic(endian, data)? else {
        return Ok(vec![]);
    };
    let strings = sections.strings(endian, data, link)?;
    let needed = dynamic
        .iter()
        .filter(|entry| entry.tag(endian) == DT_NEEDED);
    needed
        .map(|entry| Ok(String::from_utf8_lossy(entry.string(endian, strings)?).into_owned()))
        .collect()
}

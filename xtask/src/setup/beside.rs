//! A newer Debian's QEMU, unpacked beside the machine's own programs with all libraries that it needs,
//! where no suite of the machine's own has one that is new enough.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::{Workspace, find};
use crate::setup::apt::Apt;
use crate::{process, qemu};

const PACKAGE: &str = "qemu-system-ppc";
/// Debian's suites that have QEMU 10 or newer, the likeliest first.
const SUITES: [&str; 4] = ["trixie", "stable", "forky", "sid"];

/// The folder with a program of QEMU's name, if it has been unpacked.
pub fn programs() -> Option<PathBuf> {
    let dir = home().ok()?.join("bin");
    dir.join(qemu::PROGRAM).is_file().then_some(dir)
}

fn home() -> Result<PathBuf> {
    Ok(Workspace::read()?.target_dir()?.join("setup/qemu"))
}

/// Unpacks it, unless that was done before; the folder with the program.
pub fn ensure() -> Result<PathBuf> {
    if let Some(dir) = programs() {
        return Ok(dir);
    }
    let home = home()?;
    fs::remove_dir_all(&home).ok();
    let packages = download(&home.join("apt"))?;
    let root = home.join("root");
    eprintln!("setup: unpacking {} packages beside", packages.len());
    for package in &packages {
        let mut dpkg = Command::new("dpkg-deb");
        process::output(dpkg.arg("--extract").arg(package).arg(&root))?;
    }
    fs::remove_dir_all(home.join("apt"))?;
    // Last: whoever finds it finds the rest.
    write_program(&home.join("bin"), &root)?;
    programs().context("QEMU was unpacked and isn't there")
}

/// The package and all that it depends on, from the first suite that has a new enough one.
fn download(dir: &Path) -> Result<Vec<PathBuf>> {
    let apt = Apt::new(dir)?;
    let archive = apt.own_sources()?.swap_remove(0);
    let mut seen = Vec::new();
    for suite in SUITES {
        if apt.fetch_lists(&[archive.sibling(suite)]).is_err() {
            eprintln!("setup: Debian's suite {suite} can't be had");
            continue;
        }
        let offered = apt.candidates(PACKAGE)?;
        let is_new = |version: &u32| *version >= qemu::MINIMUM;
        if offered
            .iter()
            .map(|offer| offer.major())
            .any(|major| is_new(&major))
        {
            eprintln!("setup: {PACKAGE} comes from Debian's suite {suite}");
            return apt.download_with_all(&[PACKAGE]);
        }
        seen.extend(offered.into_iter().map(|offer| offer.version));
    }
    bail!(
        "none of {SUITES:?} has {PACKAGE} {} or newer: {seen:?}",
        qemu::MINIMUM
    )
}

/// A program that starts QEMU by the loader that was unpacked with it: the machine's own C library may be
/// too old for it.
fn write_program(bin: &Path, root: &Path) -> Result<()> {
    let loader = find(root, &|name| name.starts_with("ld-linux")).context("no loader")?;
    let library = find(root, &|name| name == "libc.so.6").context("no C library")?;
    let libraries = library.parent().context("a library in no folder")?;
    // QEMU looks for modules where its own program lies, by /proc: that is the loader here.
    let modules = root
        .join("usr/lib")
        .join(libraries.file_name().unwrap_or_default())
        .join("qemu");
    let text = format!(
        "#!/bin/sh\nQEMU_MODULE_DIR='{}' exec '{}' --library-path '{}' '{}' -L '{}' \"$@\"\n",
        modules.display(),
        loader.display(),
        libraries.display(),
        root.join("usr/bin").join(qemu::PROGRAM).display(),
        root.join("usr/share/qemu").display(),
    );
    fs::create_dir_all(bin)?;
    let program = bin.join(qemu::PROGRAM);
    let new = program.with_extension("new");
    fs::write(&new, text)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    fs::rename(&new, &program).with_context(|| format!("writing {}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_takes_nothing_of_the_machines_own() {
        let dir = std::env::temp_dir().join(format!("xtask-beside-{}", std::process::id()));
        let libraries = dir.join("root/usr/lib/x86_64-linux-gnu");
        fs::create_dir_all(&libraries).unwrap();
        for name in ["ld-linux-x86-64.so.2", "libc.so.6"] {
            fs::write(libraries.join(name), "").unwrap();
        }
        write_program(&dir.join("bin"), &dir.join("root")).unwrap();
        let program = fs::read_to_string(dir.join("bin").join(qemu::PROGRAM)).unwrap();
        let libraries = libraries.display();
        let root = dir.join("root");
        for part in [
            format!("QEMU_MODULE_DIR='{libraries}/qemu' exec '{libraries}/ld-linux-x86-64.so.2'"),
            format!("--library-path '{libraries}'"),
            format!("-L '{}/usr/share/qemu'", root.display()),
        ] {
            assert!(program.contains(&part), "{program}");
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}

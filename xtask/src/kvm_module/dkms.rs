//! The module as DKMS builds it on the machine itself: here for that machine, into a folder of ours.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{NAME, PREFIX, ensure_compiler};
use crate::project::{self, Workspace};
use crate::setup::debian::{Files, Release};
use crate::{process, setup};

const PROGRAM: &str = "dkms";
const ARCHITECTURE: &str = "ppc64le";
/// Of a package with a kernel's headers.
const HEADERS: &str = "linux-headers-";

/// Has DKMS build it for a kernel, from the beginning; its path.
pub fn build(files: &Files, release: Release) -> Result<PathBuf> {
    let kbuild = files.kbuild(release)?;
    ensure_compiler(&kbuild)?;
    setup::ensure_program(PROGRAM, PROGRAM)?;
    let work = Workspace::read()?.target_dir()?.join("linux");
    let work = work.join(release.name()).join(PROGRAM);
    fs::remove_dir_all(&work).ok();
    let (sources, tree) = (work.join("sources"), work.join("tree"));
    fs::create_dir_all(&tree).with_context(|| format!("making {}", tree.display()))?;
    let version = env!("CARGO_PKG_VERSION");
    copy(
        &project::root().join("linux"),
        &sources.join(format!("{NAME}-{version}")),
    )?;
    let kernel = kbuild.folder.file_name().unwrap_or_default();
    let kernel = kernel.to_string_lossy();
    let kernel = kernel.strip_prefix(HEADERS).context("headers of no name")?;
    let mut dkms = Command::new(PROGRAM);
    dkms.env("CROSS_COMPILE", PREFIX).env("LC_ALL", "C");
    dkms.args(["build", "-m", NAME, "-v", version, "-k", kernel]);
    dkms.args(["-a", ARCHITECTURE, "--sourcetree"])
        .arg(&sources);
    dkms.arg("--dkmstree").arg(&tree);
    dkms.arg("--kernelsourcedir").arg(&kbuild.folder);
    let built = process::output(&mut dkms).map(drop);
    let made = tree
        .join(NAME)
        .join(version)
        .join(kernel)
        .join(ARCHITECTURE);
    let log = fs::read_to_string(made.join("log/make.log")).unwrap_or_default();
    built.with_context(|| log.clone())?;
    if log.contains("warning:") {
        bail!("{log}");
    }
    let module = made.join("module").join(format!("{NAME}.ko"));
    match module.is_file() {
        true => Ok(module),
        false => bail!("dkms has made no {}", module.display()),
    }
}

/// A folder, with all below it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    let mut copy = Command::new("cp");
    copy.args(["--archive"]).arg(from.join(".")).arg(to);
    process::output(&mut copy).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What dkms reads as the shell would: `KEY="value"`, a line each.
    #[test]
    fn dkms_builds_what_is_here() {
        let linux = project::root().join("linux");
        let text = fs::read_to_string(linux.join("dkms.conf")).unwrap();
        let value = |key: &str| {
            let of_key = |line: &str| {
                let rest = line.strip_prefix(key)?.strip_prefix("=\"")?;
                rest.strip_suffix('"').map(String::from)
            };
            let found: Vec<_> = text.lines().filter_map(of_key).collect();
            assert_eq!(found.len(), 1, "{key}");
            found[0].clone()
        };
        assert_eq!(value("PACKAGE_NAME"), NAME);
        assert_eq!(value("BUILT_MODULE_NAME[0]"), NAME);
        assert_eq!(value("PACKAGE_VERSION"), env!("CARGO_PKG_VERSION"));
        assert!(linux.join(value("BUILT_MODULE_LOCATION[0]")).is_dir());
        // dkms takes no other places than those of kernels' own modules.
        assert!(value("DEST_MODULE_LOCATION[0]").starts_with("/updates"));
        for key in ["MAKE[0]", "CLEAN"] {
            let make = value(key);
            let folder = make.strip_prefix("make -C ").unwrap();
            let (folder, words) = folder.split_once(' ').unwrap();
            let makefile = fs::read_to_string(linux.join(folder).join("Makefile")).unwrap();
            let (_, target) = words.rsplit_once(' ').unwrap();
            let targets = makefile.lines().find(|line| line.starts_with("modules "));
            assert!(targets.unwrap().contains(target), "{make}");
            assert!(words.contains("KDIR=$kernel_source_dir"));
        }
        assert_eq!(value("BUILD_EXCLUSIVE_ARCH"), "ppc64le");
    }
}

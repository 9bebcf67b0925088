//! Debian's kernels and programs for little-endian POWER, from the archive that this machine's apt
//! uses; kept in target/linux.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::apt::{Apt, Source};
use crate::process;
use crate::project::Workspace;

const ARCHITECTURE: &str = "ppc64el";
/// The package that depends on a suite's newest kernel.
const KERNEL_PACKAGE: &str = "linux-image-powerpc64le";
/// The suite of the programs; and of the older kernel.
const SUITE: &str = "bookworm";
const BACKPORTS: &str = "bookworm-backports";
/// Modules that are loaded at each boot, in this order.
pub const MODULES: [&str; 3] = ["ipmi_msghandler", "ipmi_powernv", "ipmi_devintf"];
/// Modules that an initial RAM disk has, too.
const MORE_MODULES: [&str; 2] = ["kvm", "kvm-hv"];
/// Programs and libraries: package, file in it, name in target/linux/tools.
const TOOLS: [(&str, &str, &str); 4] = [
    ("busybox-static", "bin/busybox", "busybox"),
    ("kexec-tools", "sbin/kexec", "kexec"),
    ("libc6", "lib/powerpc64le-linux-gnu/libc.so.6", "libc.so.6"),
    ("libc6", "lib/powerpc64le-linux-gnu/ld64.so.2", "ld64.so.2"),
];

/// A kernel of Debian's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Release {
    /// Of Debian 12's backports, and of Debian 13.
    #[value(name = "6.12")]
    V6_12,
    /// Of Debian 12.
    #[value(name = "6.1")]
    V6_1,
}

impl Release {
    pub const ALL: [Self; 2] = [Self::V6_12, Self::V6_1];

    pub const fn name(self) -> &'static str {
        match self {
            Self::V6_12 => "6.12",
            Self::V6_1 => "6.1",
        }
    }

    const fn suite(self) -> &'static str {
        match self {
            Self::V6_12 => BACKPORTS,
            Self::V6_1 => SUITE,
        }
    }
}

/// Files for a Linux host.
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// Those that are there; fetches what is missing and says so.
    pub fn ensure() -> Result<Self> {
        let files = Self::present()?;
        if let Some(what) = files.missing() {
            eprintln!("linux: {what} is missing; Debian's packages for {ARCHITECTURE} are fetched");
            files.fetch().context("fetching Debian's packages")?;
        }
        Ok(files)
    }

    /// Those that are there.
    pub fn present() -> Result<Self> {
        let dir = Workspace::read()?.target_dir()?.join("linux");
        Ok(Self { dir })
    }

    pub fn kernel(&self, release: Release) -> PathBuf {
        self.dir.join(release.name()).join("vmlinux")
    }

    /// The modules of a kernel's, as the package has them: perhaps compressed.
    pub fn modules(&self, release: Release) -> Vec<PathBuf> {
        let modules = all_modules().filter_map(|name| self.module(release, name));
        modules.collect()
    }

    fn module(&self, release: Release, name: &str) -> Option<PathBuf> {
        let plain = self.dir.join(release.name()).join(format!("{name}.ko"));
        let compressed = plain.with_added_extension("xz");
        [plain, compressed].into_iter().find(|path| path.is_file())
    }

    pub fn tool(&self, name: &str) -> PathBuf {
        self.dir.join("tools").join(name)
    }

    /// Where initial RAM disks are put.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The first file that isn't there.
    fn missing(&self) -> Option<String> {
        let kernel = Release::ALL.into_iter().find(|&it| !self.has_kernel(it));
        if let Some(release) = kernel {
            return Some(format!("Linux {}", release.name()));
        }
        let tools = TOOLS.iter().map(|(_, _, name)| name);
        let tool = tools.copied().find(|name| !self.tool(name).is_file());
        tool.map(String::from)
    }

    fn has_kernel(&self, release: Release) -> bool {
        let has = |name| self.module(release, name).is_some();
        self.kernel(release).is_file() && all_modules().all(has)
    }

    fn fetch(&self) -> Result<()> {
        let scratch = self.dir.join("fetch");
        fs::remove_dir_all(&scratch).ok();
        let apt = Apt::foreign(&scratch, ARCHITECTURE)?;
        apt.fetch_lists(&sources(&apt)?)?;
        for release in Release::ALL {
            if !self.has_kernel(release) {
                self.fetch_kernel(&apt, &scratch, release)?;
            }
        }
        self.fetch_tools(&apt, &scratch)?;
        fs::remove_dir_all(&scratch).with_context(|| format!("removing {}", scratch.display()))
    }

    fn fetch_kernel(&self, apt: &Apt, scratch: &Path, release: Release) -> Result<()> {
        let offered = apt.candidates(KERNEL_PACKAGE)?;
        let from_suite = |suite| offered.iter().find(|candidate| candidate.suite == suite);
        let Some(latest) = from_suite(release.suite()) else {
            bail!("apt knows no {KERNEL_PACKAGE} in {}", release.suite());
        };
        let image = apt.depends(KERNEL_PACKAGE, &latest.version)?;
        let image = image
            .iter()
            .find(|name| name.starts_with("linux-image-"))
            .with_context(|| format!("{KERNEL_PACKAGE} {} has no image", latest.version))?;
        let unpacked = unpack(apt, scratch, image, Some(&latest.version))?;
        let dir = self.dir.join(release.name());
        fs::create_dir_all(&dir)?;
        for module in all_modules() {
            let path = find(&unpacked.join("lib/modules"), &|name| {
                name == format!("{module}.ko") || name == format!("{module}.ko.xz")
            });
            let path = path.with_context(|| format!("{image} has no module {module}"))?;
            copy(&path, &dir.join(path.file_name().unwrap_or_default()))?;
        }
        let vmlinux = find(&unpacked.join("boot"), &|name| name.starts_with("vmlinux"));
        let vmlinux = vmlinux.with_context(|| format!("{image} has no vmlinux"))?;
        copy(&vmlinux, &self.kernel(release))
    }

    fn fetch_tools(&self, apt: &Apt, scratch: &Path) -> Result<()> {
        fs::create_dir_all(self.dir.join("tools"))?;
        for (package, path, name) in TOOLS {
            if !self.tool(name).is_file() {
                let unpacked = unpack(apt, scratch, package, None)?;
                copy(&unpacked.join(path), &self.tool(name))?;
            }
        }
        Ok(())
    }
}

fn all_modules() -> impl Iterator<Item = &'static str> {
    MODULES.into_iter().chain(MORE_MODULES)
}

/// The suites with all that is needed, of the archive that this machine uses.
fn sources(apt: &Apt) -> Result<Vec<Source>> {
    let own = apt.own_sources()?;
    Ok([SUITE, BACKPORTS].map(|suite| own[0].sibling(suite)).into())
}

/// Fetches a package and unpacks it; the folder.
fn unpack(apt: &Apt, scratch: &Path, package: &str, version: Option<&str>) -> Result<PathBuf> {
    let folder = scratch.join(package);
    let version = match version {
        Some(version) => version.to_string(),
        None => {
            let offered = apt.candidates(package)?;
            let from_suite = offered.iter().find(|candidate| candidate.suite == SUITE);
            from_suite
                .with_context(|| format!("apt knows no {package} in {SUITE}"))?
                .version
                .clone()
        }
    };
    if !folder.is_dir() {
        let package = apt.download(package, &version, &scratch.join("packages").join(package))?;
        let mut dpkg = Command::new("dpkg-deb");
        process::output(dpkg.arg("--extract").arg(&package).arg(&folder))?;
    }
    Ok(folder)
}

/// A file below a folder whose name is right.
fn find(folder: &Path, is_right: &impl Fn(&str) -> bool) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find(&path, is_right) {
                return Some(found);
            }
        } else if is_right(&entry.file_name().to_string_lossy()) {
            return Some(path);
        }
    }
    None
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    // Links within the package lead there, too.
    let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    crate::project::write_if_changed(to, &bytes).map(drop)
}

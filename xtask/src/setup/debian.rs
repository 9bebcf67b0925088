//! Debian's kernels and programs for little-endian POWER, from the archive that this machine's apt
//! uses; kept in target/linux.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::process;
use crate::project::Workspace;
use crate::project::find;
use crate::setup::apt::{Apt, Source};

mod kbuild;
mod system;
mod vmm;

pub use kbuild::Kbuild;
pub use system::System;
pub use vmm::{Qemu, Vmm};

const ARCHITECTURE: &str = "ppc64el";
/// The package that depends on a suite's newest kernel.
const KERNEL_PACKAGE: &str = "linux-image-powerpc64le";
/// The same for a kernel with pages of 64 KiB, where there is another with smaller ones.
const KERNEL_PACKAGE_64K: &str = "linux-image-powerpc64le-64k";
/// The suite of the programs; and of the older kernel.
const SUITE: &str = "bookworm";
const BACKPORTS: &str = "bookworm-backports";
/// Modules that are loaded at each boot, in this order.
pub const MODULES: [&str; 3] = ["ipmi_msghandler", "ipmi_powernv", "ipmi_devintf"];
/// Modules that an initial RAM disk has, too.
const MORE_MODULES: [&str; 5] = ["kvm", "kvm-hv", "mtd", "ofpart", "powernv_flash"];
/// Modules for PCI devices, in an order in which they can be loaded, behind a kernel's own
/// ([`Release::before_pci_modules`]).
const PCI_MODULES: [&str; 21] = [
    "nvme-core",
    "nvme",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
    "e1000e",
    "libahci",
    "ahci",
    "sd_mod",
    "megaraid_sas",
    "usb-common",
    "usbcore",
    "xhci-hcd",
    "xhci-pci",
    "usb-storage",
    "jbd2",
    "mbcache",
    "crc16",
    "crc32c_generic",
    "ext4",
];
/// Programs and libraries: package, file in it, name in target/linux/tools.
const TOOLS: [(&str, &str, &str); 6] = [
    ("busybox-static", "bin/busybox", "busybox"),
    ("kexec-tools", "sbin/kexec", "kexec"),
    ("opal-utils", "usr/sbin/pflash", "pflash"),
    ("opal-utils", "usr/sbin/opal-gard", "opal-gard"),
    ("libc6", "lib/powerpc64le-linux-gnu/libc.so.6", "libc.so.6"),
    ("libc6", "lib/powerpc64le-linux-gnu/ld64.so.2", "ld64.so.2"),
];

/// The kernel whose headers are kept, and where its package of headers for all machines has them.
pub const HEADERS_OF: Release = Release::V6_12;
const HEADERS_FOLDER: &str = "arch/powerpc/include/asm";
/// Hypercalls, OPAL's numbers, OPAL's calls, registers.
const HEADERS: [&str; 4] = ["hvcall.h", "opal-api.h", "opal.h", "reg.h"];

/// A kernel of Debian's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Release {
    /// Of Debian 12's backports, and of Debian 13.
    #[value(name = "6.12")]
    V6_12,
    /// Of Debian 12; it has pages of 64 KiB.
    #[value(name = "6.1")]
    V6_1,
    /// The first with pages of 64 KiB instead of 4 KiB.
    #[value(name = "6.12-64k")]
    V6_12Pages64K,
}

impl Release {
    /// Those that are always there.
    pub const ALL: [Self; 2] = [Self::V6_12, Self::V6_1];
    /// Those for which the module is built that runs guests on catnap's vcores.
    pub const WITH_MODULE: [Self; 3] = [Self::V6_12Pages64K, Self::V6_12, Self::V6_1];

    pub const fn name(self) -> &'static str {
        match self {
            Self::V6_12 => "6.12",
            Self::V6_1 => "6.1",
            Self::V6_12Pages64K => "6.12-64k",
        }
    }

    const fn package(self) -> &'static str {
        match self {
            Self::V6_12 | Self::V6_1 => KERNEL_PACKAGE,
            Self::V6_12Pages64K => KERNEL_PACKAGE_64K,
        }
    }

    /// Modules that those for PCI devices need.
    const fn before_pci_modules(self) -> &'static [&'static str] {
        match self {
            Self::V6_12 | Self::V6_12Pages64K => &["nvme-auth"],
            Self::V6_1 => &[
                "virtio_ring",
                "virtio_pci_modern_dev",
                "virtio_pci_legacy_dev",
                "virtio",
                "virtio_pci",
                "crct10dif_common",
                "crc-t10dif",
                "crc64",
                "crc64-rocksoft",
                "t10-pi",
            ],
        }
    }

    /// Modules for PCI devices, in an order in which they can be loaded.
    pub fn pci_modules(self) -> impl Iterator<Item = &'static str> {
        let before = self.before_pci_modules().iter().copied();
        before.chain(PCI_MODULES)
    }

    /// Modules for a disk and a network by virtio.
    pub fn virtio_modules(self) -> impl Iterator<Item = &'static str> {
        self.pci_modules()
            .filter(|name| name.starts_with("virtio") || name.ends_with("failover"))
    }

    const fn suite(self) -> &'static str {
        match self {
            Self::V6_12 | Self::V6_12Pages64K => BACKPORTS,
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

    /// Those that are there, with a kernel of which not everybody has a use.
    pub fn ensure_with(release: Release) -> Result<Self> {
        let files = Self::ensure()?;
        if !files.has_kernel(release) {
            eprintln!("linux: Linux {} is missing; it is fetched", release.name());
            files.with_apt("kernel", |apt, scratch| {
                files.fetch_kernel(apt, scratch, release)
            })?;
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
        let modules = all_modules(release).filter_map(|name| self.module(release, name));
        modules.collect()
    }

    /// One of them.
    pub fn module(&self, release: Release, name: &str) -> Option<PathBuf> {
        let plain = self.dir.join(release.name()).join(format!("{name}.ko"));
        let compressed = plain.with_added_extension("xz");
        [plain, compressed].into_iter().find(|path| path.is_file())
    }

    pub fn tool(&self, name: &str) -> PathBuf {
        self.dir.join("tools").join(name)
    }

    /// A header of [`HEADERS_OF`], with numbers that it shares with firmware.
    pub fn header(&self, name: &str) -> PathBuf {
        let kernel = self.dir.join(HEADERS_OF.name());
        kernel.join("headers").join(name)
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
        let header = HEADERS
            .into_iter()
            .find(|name| !self.header(name).is_file());
        if let Some(header) = header {
            return Some(header.to_string());
        }
        let tools = TOOLS.iter().map(|(_, _, name)| name);
        let tool = tools.copied().find(|name| !self.tool(name).is_file());
        tool.map(String::from)
    }

    fn has_kernel(&self, release: Release) -> bool {
        let has = |name| self.module(release, name).is_some();
        self.kernel(release).is_file() && all_modules(release).all(has)
    }

    fn fetch(&self) -> Result<()> {
        self.with_apt("fetch", |apt, scratch| {
            for release in Release::ALL {
                if !self.has_kernel(release) {
                    self.fetch_kernel(apt, scratch, release)?;
                }
            }
            self.fetch_headers(apt, scratch)?;
            self.fetch_tools(apt, scratch)
        })
    }

    /// Does something with apt for these packages, and a folder that is gone afterwards.
    fn with_apt(&self, name: &str, what: impl FnOnce(&Apt, &Path) -> Result<()>) -> Result<()> {
        let scratch = self.dir.join(name);
        fs::remove_dir_all(&scratch).ok();
        let apt = Apt::foreign(&scratch, ARCHITECTURE)?;
        apt.fetch_lists(&sources(&apt)?)?;
        what(&apt, &scratch)?;
        fs::remove_dir_all(&scratch).with_context(|| format!("removing {}", scratch.display()))
    }

    fn fetch_kernel(&self, apt: &Apt, scratch: &Path, release: Release) -> Result<()> {
        let (image, version) = newest_image(apt, release)?;
        let unpacked = unpack(apt, scratch, &image, Some(&version))?;
        let dir = self.dir.join(release.name());
        fs::create_dir_all(&dir)?;
        for module in all_modules(release) {
            let path = Self::module_below(&unpacked.join("lib/modules"), module)
                .with_context(|| format!("looking into {image}"))?;
            copy(&path, &dir.join(path.file_name().unwrap_or_default()))?;
        }
        let vmlinux = find(&unpacked.join("boot"), &|name| name.starts_with("vmlinux"));
        let vmlinux = vmlinux.with_context(|| format!("{image} has no vmlinux"))?;
        copy(&vmlinux, &self.kernel(release))
    }

    fn fetch_headers(&self, apt: &Apt, scratch: &Path) -> Result<()> {
        let (image, version) = newest_image(apt, HEADERS_OF)?;
        let package = headers_package(&image)
            .with_context(|| format!("{image} isn't named as a kernel for POWER is"))?;
        let unpacked = unpack(apt, scratch, &package, Some(&version))?;
        let sources = unpacked.join("usr/src").join(&package).join(HEADERS_FOLDER);
        for name in HEADERS {
            let header = self.header(name);
            fs::create_dir_all(header.parent().unwrap_or(&self.dir))?;
            copy(&sources.join(name), &header)?;
        }
        Ok(())
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

/// The package with a release's newest kernel, and its version.
fn newest_image(apt: &Apt, release: Release) -> Result<(String, String)> {
    let package = release.package();
    let offered = apt.candidates(package)?;
    let from_suite = |suite| offered.iter().find(|candidate| candidate.suite == suite);
    let Some(latest) = from_suite(release.suite()) else {
        bail!("apt knows no {package} in {}", release.suite());
    };
    let depends = apt.depends(package, &latest.version)?;
    let mut images = depends.into_iter();
    let image = images
        .find(|name| name.starts_with("linux-image-"))
        .with_context(|| format!("{package} {} has no image", latest.version))?;
    Ok((image, latest.version.clone()))
}

/// The package with the headers that a kernel has in common with those for other machines.
fn headers_package(image: &str) -> Option<String> {
    let release = image.strip_prefix("linux-image-")?;
    let release = release.strip_suffix("-powerpc64le")?;
    Some(format!("linux-headers-{release}-common"))
}

fn all_modules(release: Release) -> impl Iterator<Item = &'static str> {
    let more = MORE_MODULES.into_iter().chain(release.pci_modules());
    MODULES.into_iter().chain(more)
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

fn copy(from: &Path, to: &Path) -> Result<()> {
    // Links within the package lead there, too.
    let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    crate::project::write_if_changed(to, &bytes).map(drop)
}

#[cfg(test)]
mod tests {
    use super::headers_package;

    #[test]
    fn headers_are_named_as_their_kernel() {
        assert_eq!(
            headers_package("linux-image-6.12.57+deb12-powerpc64le").as_deref(),
            Some("linux-headers-6.12.57+deb12-common")
        );
        assert_eq!(headers_package("linux-image-6.1.0-47-amd64"), None);
        assert_eq!(headers_package("busybox"), None);
    }
}

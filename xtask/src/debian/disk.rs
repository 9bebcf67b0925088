//! Making the disk: packages are unpacked on the build host, and set up by their own scripts on catnap.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::unpack::{self, Unpacked};
use super::{PATIENT, READY};
use crate::console::{self, End, Limits};
use crate::cpio::{self, Content};
use crate::linux::plugged;
use crate::process;
use crate::qemu::{Boot, Machine};
use crate::setup::debian::{Files, Release};

const INIT: &str = include_str!("init.sh");
const SETUP: &str = include_str!("setup.sh");
const LOAD: &str = include_str!("../linux/load.sh");

/// Packages beside those that every Debian has: a system, its network, and what one looks at machines with.
const PACKAGES: [&str; 17] = [
    "?essential",
    // Instead of a package that converts systems, by Perl.
    "usr-is-merged",
    "apt",
    "systemd-sysv",
    "systemd-timesyncd",
    "udev",
    "dbus",
    "libpam-systemd",
    "iproute2",
    "iputils-ping",
    "kmod",
    "procps",
    "less",
    "nano",
    "pciutils",
    "opal-utils",
    "ethtool",
];
/// Files beside those of packages.
const FILES: [(&str, &str); 5] = [
    ("etc/hostname", "catnap\n"),
    ("etc/hosts", "127.0.0.1 localhost catnap\n"),
    ("etc/fstab", "/dev/root / ext4 defaults 0 1\n"),
    (
        "etc/systemd/network/80-dhcp.network",
        "[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n",
    ),
    // QEMU's own, in the network that it makes.
    ("etc/resolv.conf", "nameserver 10.0.2.3\n"),
];
const FORMAT_TIME: Duration = Duration::from_secs(300);
const SETUP_TIME: Duration = Duration::from_secs(3600);
/// Of a machine that has failed.
const SHOWN_LINES: usize = 25;
const MKE2FS: &str = "mke2fs";

/// A disk's file, with its kernel and the initial RAM disk that mounts it beside.
pub struct Disk {
    pub image: PathBuf,
}

impl Disk {
    pub fn kernel(&self) -> PathBuf {
        self.image.with_added_extension("vmlinux")
    }

    pub fn initrd(&self) -> PathBuf {
        self.image.with_added_extension("initrd")
    }

    pub fn is_there(&self) -> bool {
        [self.image.clone(), self.kernel(), self.initrd()]
            .iter()
            .all(|path| path.is_file())
    }

    /// Words for its kernel's command line.
    pub fn words(&self) -> String {
        format!("console=hvc0 root=/dev/nvme0n1 rw {PATIENT}")
    }

    /// Makes it; the disk's own file comes last, so that whoever finds it finds the rest.
    pub fn make(&self, release: Release, gib: u32, firmware: &Path) -> Result<()> {
        let started = Instant::now();
        eprintln!(
            "debian: {} is made, which takes minutes",
            self.image.display()
        );
        let scratch = self.image.with_added_extension("new");
        fs::remove_dir_all(&scratch).ok();
        fs::create_dir_all(&scratch).with_context(|| format!("making {}", scratch.display()))?;
        let (root, fresh) = (scratch.join("root"), scratch.join("disk.img"));

        let packages = Files::ensure()?.fetch_system(release, &PACKAGES, &scratch)?;
        eprintln!("  unpacking {} packages", packages.archives.len());
        let unpacked = unpack::unpack(&packages.archives, &root)?;
        unpack::copy_folder(&packages.modules, &root.join("usr/lib/modules"))?;
        for (path, text) in FILES {
            write(&root.join(path), text)?;
        }
        write(&root.join("etc/apt/sources.list"), &packages.sources)?;
        fs::copy(&packages.vmlinux, self.kernel()).context("copying the kernel")?;
        let initrd = initrd(&packages.modules, release, &unpacked)?;
        fs::write(self.initrd(), initrd).context("writing the initial RAM disk")?;

        format(&root, &fresh, gib)?;
        self.set_up(&fresh, firmware)?;
        fs::rename(&fresh, &self.image)?;
        fs::remove_dir_all(&scratch).with_context(|| format!("removing {}", scratch.display()))?;
        eprintln!("debian: made in {:.0} s", started.elapsed().as_secs_f32());
        Ok(())
    }

    /// Boots what is unpacked, to be set up.
    fn set_up(&self, fresh: &Path, firmware: &Path) -> Result<()> {
        let mut machine = Machine {
            threads: Some(1),
            ..Machine::default()
        };
        machine.extra = plugged::arguments(fresh, false, false)?;
        let mut qemu = machine.command(&Boot {
            firmware,
            payload: &self.kernel(),
            initrd: &self.initrd(),
            bootargs: &format!("{} debian.setup", self.words()),
            interactive: false,
        });
        let started = Instant::now();
        let (bar, mut lines) = (process::bar(), Vec::new());
        let limits = Limits {
            run: SETUP_TIME,
            switch_off: Duration::from_secs(10),
        };
        let end = console::watch(&mut qemu, limits, &mut io::sink(), |line| {
            bar.set_message(line.to_string());
            lines.push(line.to_string());
        })?;
        bar.finish_and_clear();
        if end != End::Exited(Some(0)) || !lines.iter().any(|line| line.contains(READY)) {
            let last = lines.len().saturating_sub(SHOWN_LINES);
            for line in &lines[last..] {
                eprintln!("  | {line}");
            }
            bail!("the packages could not be set up; the machine's end: {end:?}");
        }
        let seconds = started.elapsed().as_secs_f32();
        eprintln!("  setting the packages up, on catnap: done in {seconds:.1} s");
        Ok(())
    }
}

/// An ext4 file system with all that is below a folder, made without mounting anything.
fn format(root: &Path, disk: &Path, gib: u32) -> Result<()> {
    let mut mke2fs = Command::new(MKE2FS);
    // Not every user's path leads there.
    let path = std::env::var("PATH").unwrap_or_default();
    mke2fs.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    mke2fs.args(["-q", "-F", "-t", "ext4", "-L", "debian", "-d"]);
    mke2fs.arg(root).arg(disk).arg(format!("{gib}G"));
    process::condensed(&mut mke2fs, "making a file system", FORMAT_TIME)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// What mounts the disk: busybox, and modules of disks and their file system.
fn initrd(modules: &Path, release: Release, unpacked: &Unpacked) -> Result<Vec<u8>> {
    let files = Files::present()?;
    let busybox = fs::read(files.tool("busybox"))?;
    let owners = unpacked.owners.join("\n") + "\n";
    let order: Vec<&str> = release.pci_modules().collect();
    let order = order.join("\n");
    let folders = "bin sbin dev lib modules proc root sys tmp".split(' ');
    let mut entries: Vec<_> = folders.map(|name| (name, Content::Folder)).collect();
    entries.extend([
        ("dev/console", Content::Device(5, 1)),
        ("init", Content::Program(INIT.as_bytes())),
        ("setup.sh", Content::File(SETUP.as_bytes())),
        ("owners", Content::File(owners.as_bytes())),
        ("bin/load-module", Content::Program(LOAD.as_bytes())),
        ("bin/busybox", Content::Program(&busybox)),
        ("modules/order", Content::File(order.as_bytes())),
    ]);
    let mut found = Vec::new();
    for module in release.pci_modules() {
        let path = Files::module_below(modules, module)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        found.push((format!("modules/{name}"), fs::read(&path)?));
    }
    let found = found.iter().map(|(name, bytes)| (&**name, &**bytes));
    entries.extend(found.map(|(name, bytes)| (name, Content::File(bytes))));
    Ok(cpio::pack(entries.into_iter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shell that runs them isn't this machine's, but their syntax is every shell's.
    #[test]
    fn scripts_are_well_formed() {
        for script in [INIT, SETUP] {
            let mut shell = Command::new("sh");
            process::output(shell.args(["-n", "-c", script])).unwrap();
        }
    }

    #[test]
    fn a_half_made_disk_is_none() {
        let folder = std::env::temp_dir().join(format!("catnap-debian-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let disk = Disk {
            image: folder.join("x.img"),
        };
        fs::write(disk.kernel(), "").unwrap();
        fs::write(disk.initrd(), "").unwrap();
        assert!(!disk.is_there());
        fs::write(&disk.image, "").unwrap();
        assert!(disk.is_there());
        fs::remove_dir_all(&folder).unwrap();
    }
}

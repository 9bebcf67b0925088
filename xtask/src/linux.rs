//! `cargo xtask linux`: a Debian kernel on catnap, with a shell or with checks.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use crate::console::{self, Limits};
use crate::cpio::{self, Content};
use crate::image;
use crate::pnor;
use crate::qemu::{self, Boot, Machine};
use crate::setup;
use crate::setup::debian::{Files, MODULES, Release};

pub mod plugged;

const INIT: &str = include_str!("linux/init.sh");
const CHECK: &str = include_str!("linux/check.sh");
const LOAD: &str = include_str!("linux/load.sh");
const RATES: &str = include_str!("linux/rates.sh");

/// The program among the images that tries KVM.
const KVM: &str = "linux-kvm";
/// The checks' last line.
pub const DONE: &str = "check: done";
/// No good boot has Linux say one of these.
pub const FORBIDDEN: [&str; 10] = [
    "check: FAILED",
    "WARNING: ",
    "BUG: ",
    "Oops: ",
    "Call Trace:",
    "Kernel panic",
    "Unable to handle kernel",
    "OPAL Error",
    "rcu_sched detected stalls",
    "soft lockup",
];
/// Or the firmware something of such a level.
const LEVELS: [&str; 3] = [" WARN ", " ERROR ", " FATAL "];

/// Word of the command line that gives all threads to the host.
const ALL_THREADS: &str = "catnap.threads=host";

#[derive(Args)]
pub struct LinuxOptions {
    /// Boot this kernel: an ELF file such as Debian's /boot/vmlinux-*.
    #[arg(long, value_name = "VMLINUX", conflicts_with = "debian")]
    kernel: Option<PathBuf>,
    /// Boot this kernel of Debian's; it is fetched by apt.
    #[arg(long, value_enum, value_name = "VERSION", default_value = "6.12")]
    debian: Release,
    /// Boot with this initial RAM disk instead of busybox's.
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// Boot from a flash image, as `pnor` writes them, instead of what QEMU loads.
    #[arg(long)]
    flash: bool,
    /// Sign the flash image with the keys in this file, which is made if it isn't there, and have the firmware
    /// boot nothing else.
    #[arg(long, value_name = "KEY", requires = "flash")]
    sign: Option<PathBuf>,
    /// More words for the kernel's command line.
    #[arg(long, value_name = "WORDS")]
    append: Option<String>,
    /// Run checks instead of a shell, switch off, and judge all that was said.
    #[arg(long)]
    check: bool,
    /// End checks after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    time_limit: u64,
    /// Keep the machine's disk in this file [default: target/linux/disk.img, but with checks none]
    #[arg(long, value_name = "FILE")]
    disk: Option<PathBuf>,
    /// Leave out the network.
    #[arg(long)]
    no_net: bool,
    /// Show each cargo command and QEMU's.
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    machine: Machine,
}

/// The command.
pub fn linux(options: &LinuxOptions) -> Result<ExitCode> {
    setup::quick()?;
    let files = Files::ensure_with(options.debian)?;
    let images = image::build(options.verbose)?;
    let kernel = match &options.kernel {
        Some(kernel) => kernel.clone(),
        None => files.kernel(options.debian),
    };
    let initrd = match &options.initrd {
        Some(initrd) => initrd.clone(),
        None => {
            let release = options.kernel.is_none().then_some(options.debian);
            write_initrd(&files, &images.dir, release)?
        }
    };
    let bootargs = options.bootargs();
    let interactive = !options.check;
    let mut machine = options.machine.clone();
    // First, so that what the user adds finds its slots.
    machine.extra = [options.plugged(&files)?, machine.extra].concat();
    let mut qemu = match options.flash {
        true => {
            let written = pnor::for_boot(
                &images,
                &pnor::Content {
                    kernel: &kernel,
                    initrd: &initrd,
                    bootargs: &bootargs,
                    sign: options.sign.as_deref(),
                    for_all: false,
                },
            )?;
            machine.flash_command(&written.lid, &written.flash, interactive)
        }
        false => machine.command(&Boot {
            firmware: &images.lid(),
            payload: &kernel,
            initrd: &initrd,
            bootargs: &bootargs,
            interactive,
        }),
    };
    if options.verbose {
        eprintln!("linux: {}", qemu::typed(&qemu));
    }
    match options.check {
        true => check(options, &mut qemu),
        false => shell(&mut qemu),
    }
}

impl LinuxOptions {
    /// A disk and a network for who works in the shell; checks have what they are told.
    fn plugged(&self, files: &Files) -> Result<Vec<String>> {
        let disk = match &self.disk {
            Some(disk) => disk.clone(),
            None if self.check => return Ok(vec![]),
            None => files.dir().join("disk.img"),
        };
        plugged::arguments(&disk, !self.no_net, self.machine.default_devices)
    }

    fn bootargs(&self) -> String {
        let mut words = vec!["console=hvc0".to_string()];
        words.extend(self.append.clone());
        if self.check {
            let all = words.iter().any(|words| words.contains(ALL_THREADS));
            words.push(check_words(self.machine.cpus(all)));
            let has_modules = self.kernel.is_none();
            let has_bmc = !self.machine.no_bmc && has_modules;
            words.extend(has_bmc.then(|| CHECK_BMC.to_string()));
            words.extend((has_modules && self.flash).then(|| CHECK_FLASH.to_string()));
            words.extend((has_modules && !all).then(|| CHECK_KVM.to_string()));
        }
        words.join(" ")
    }
}

/// What the checks are told of a machine on which the host has that many threads.
pub fn check_words(cpus: u32) -> String {
    format!("catnap.check check.cpus={cpus} check.rtc")
}

/// The further word for a machine with a BMC.
pub const CHECK_BMC: &str = "check.ipmi";
/// The further word for a machine that has booted from flash.
pub const CHECK_FLASH: &str = "check.flash";
/// The further word for KVM, which wants one thread of each core.
pub const CHECK_KVM: &str = "check.kvm";

/// Puts an initial RAM disk where the kernels are. Modules are there for Debian's own alone.
pub fn write_initrd(files: &Files, images: &Path, release: Option<Release>) -> Result<PathBuf> {
    let name = release.map_or("other", Release::name);
    let path = files.dir().join(format!("initrd-{name}.cpio"));
    crate::project::write_if_changed(&path, &initrd(files, images, release)?)?;
    Ok(path)
}

/// An initial RAM disk with busybox, kexec, our programs, the checks, and a kernel's modules. `images` is
/// where images are.
pub fn initrd(files: &Files, images: &Path, release: Option<Release>) -> Result<Vec<u8>> {
    pack(files, images, release, &[])
}

/// The same with a kernel for kexec, which gets the plain one as its own.
pub fn initrd_for_kexec(files: &Files, images: &Path, release: Release) -> Result<Vec<u8>> {
    let kernel = read(&files.kernel(release))?;
    let inner = initrd(files, images, Some(release))?;
    let more: [(&str, &[u8]); 2] = [("vmlinux", &kernel), ("initrd", &inner)];
    pack(files, images, Some(release), &more)
}

fn pack(
    files: &Files,
    images: &Path,
    release: Option<Release>,
    more: &[(&str, &[u8])],
) -> Result<Vec<u8>> {
    let tool = |name: &str| read(&files.tool(name));
    let (busybox, kexec) = (tool("busybox")?, tool("kexec")?);
    let (pflash, gard) = (tool("pflash")?, tool("opal-gard")?);
    let (libc, loader) = (tool("libc.so.6")?, tool("ld64.so.2")?);
    let kvm = read(&images.join(KVM))?;
    let modules = modules(files, release)?;
    let order = MODULES.join("\n");
    let pci_order: Vec<&str> = release.into_iter().flat_map(Release::pci_modules).collect();
    let pci_order = pci_order.join("\n");

    let folders = "bin sbin dev etc lib lib64 modules proc sys tmp".split(' ');
    let mut entries: Vec<_> = folders.map(|name| (name, Content::Folder)).collect();
    entries.extend([
        ("dev/console", Content::Device(5, 1)),
        ("init", Content::Program(INIT.as_bytes())),
        ("check.sh", Content::File(CHECK.as_bytes())),
        ("rates.sh", Content::File(RATES.as_bytes())),
        ("bin/load-module", Content::Program(LOAD.as_bytes())),
        ("bin/linux-kvm", Content::Program(&kvm)),
        ("bin/busybox", Content::Program(&busybox)),
        ("sbin/kexec", Content::Program(&kexec)),
        ("sbin/pflash", Content::Program(&pflash)),
        ("sbin/opal-gard", Content::Program(&gard)),
        ("lib64/ld64.so.2", Content::Program(&loader)),
        ("lib/libc.so.6", Content::Program(&libc)),
    ]);
    if !modules.is_empty() {
        entries.push(("modules/order", Content::File(order.as_bytes())));
        entries.push(("modules/pci-order", Content::File(pci_order.as_bytes())));
    }
    let files = modules.iter().map(|(name, bytes)| (&**name, &**bytes));
    let files = files.chain(more.iter().copied());
    entries.extend(files.map(|(name, bytes)| (name, Content::File(bytes))));
    Ok(cpio::pack(entries.into_iter()))
}

/// Names in the archive, and bytes.
fn modules(files: &Files, release: Option<Release>) -> Result<Vec<(String, Vec<u8>)>> {
    let paths = release.map_or(vec![], |release| files.modules(release));
    paths
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Ok((format!("modules/{name}"), read(path)?))
        })
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

/// The terminal is the machine's until QEMU ends.
fn shell(qemu: &mut Command) -> Result<ExitCode> {
    println!("linux: Ctrl-A X ends the machine, Ctrl-A C is QEMU's monitor");
    console::leave_to(qemu)
}

fn check(options: &LinuxOptions, qemu: &mut Command) -> Result<ExitCode> {
    let started = Instant::now();
    let no_bmc = options.machine.no_bmc;
    let limits = Limits::of_boot(options.time_limit, no_bmc);
    let mut lines = Vec::new();
    let note = |line: &str| lines.push(line.to_string());
    let end = console::watch(qemu, limits, &mut io::stdout(), note)?;
    let mut faults = faults(&lines);
    faults.extend(end.fault(no_bmc));
    Ok(console::verdict("linux", &faults, started))
}

/// What is wrong with the lines of a boot with checks.
fn faults(lines: &[String]) -> Vec<String> {
    let mut faults: Vec<String> = lines
        .iter()
        .filter(|line| is_bad(line))
        .map(|line| format!("must not be said: {line}"))
        .collect();
    if !lines.iter().any(|line| line.contains(DONE)) {
        faults.push(format!("the checks never said `{DONE}`"));
    }
    faults
}

/// A line that no good boot has.
pub fn is_bad(line: &str) -> bool {
    let has_one_of = |parts: &[&str]| parts.iter().any(|part| line.contains(part));
    has_one_of(&FORBIDDEN) || has_one_of(&LEVELS) && !line.contains(console::SLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_judged_by_what_it_says() {
        let lines = |text: &str| text.lines().map(String::from).collect::<Vec<_>>();
        assert!(faults(&lines("check: ok cpus\ncheck: done")).is_empty());
        assert_eq!(faults(&lines("check: ok cpus")).len(), 1);
        assert_eq!(
            faults(&lines("[1.0] Oops: Exception\ncheck: done")).len(),
            1
        );
        assert_eq!(
            faults(&lines("check: FAILED cpus: is 1\ncheck: done")).len(),
            1
        );
        let warning = |what| format!("[1.0] WARN pir08: call 2 {what}\ncheck: done");
        assert!(faults(&lines(&warning("has taken 1200 ms"))).is_empty());
        assert_eq!(faults(&lines(&warning("has left 1 locks held"))).len(), 1);
    }

    /// The shell that runs them isn't this machine's, but their syntax is every shell's.
    #[test]
    fn scripts_are_well_formed() {
        for script in [INIT, CHECK, LOAD] {
            let mut shell = Command::new("sh");
            crate::process::output(shell.args(["-n", "-c", script])).unwrap();
        }
    }
}

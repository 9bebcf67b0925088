//! `cargo xtask guest`: catnap, Debian as the host, and QEMU with SMT guests of Debian's on it, by KVM.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::console::{self, Limits};
use crate::debian::Disk;
use crate::linux::plugged;
use crate::qemu::{self, Boot, Machine};
use crate::setup::debian::{Files, Qemu, Release};
use crate::{image, kvm_module, project, setup};

mod archive;
pub mod module;
pub mod registers;
mod traced;
mod verdict;

pub use traced::traced;

pub use archive::archive;
pub use verdict::faults;

/// The host's kernel, if no other is asked for: with pages of 64 KiB guests need no option of QEMU's.
const HOST: Release = Release::V6_12Pages64K;
/// Of the host, which holds the guests' memory.
pub const HOST_MEMORY: &str = "4G";
/// Kernels on a machine that is slower than what they are made for.
pub const PATIENT: &str = "nowatchdog rcupdate.rcu_cpu_stall_timeout=200";
/// QEMU's machine, with its own choices.
const MACHINE: &str = "pseries,accel=kvm";
/// What it has to be told where the host's pages have 4 KiB.
const SMALL_PAGES: &str = ",cap-hpt-max-page-size=4k,resize-hpt=disabled";
/// A network on which QEMU itself hands out the guests' files.
const NET: &str = " -netdev user,id=net,tftp=/guest -device virtio-net-pci,netdev=net,romfile=";
/// Tells the host that its disk is the guest's.
const HOSTS_DISK: &str = " guest.disk=/dev/nvme0n1";
/// Why checks end.
pub const DONE: &str = "check: done";

/// What a guest boots by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Firmware {
    /// QEMU's own, which starts the kernel at once.
    #[default]
    Vof,
    /// Open Firmware, as POWER servers have it.
    Slof,
}

/// Who keeps a guest's interrupt controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Irqchip {
    /// KVM, in the host's kernel.
    #[default]
    Kernel,
    Qemu,
}

/// The guests.
#[derive(Args, Clone, Debug)]
pub struct Guests {
    /// Threads of each of a guest's cores [default: 8, or what the machine's cores have]
    #[arg(long, value_name = "N", value_parser = qemu::power_of_two)]
    pub smt: Option<u32>,
    /// Cores of each guest: each a vcore.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=8))]
    pub vcores: u32,
    /// Guests at once; with more than one each runs its checks, and none has a shell.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=8))]
    pub machines: u32,
    /// Memory of each, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    pub memory: u32,
    /// What guests boot by.
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    pub firmware: Firmware,
    /// Who keeps their interrupt controllers.
    #[arg(long, value_enum, value_name = "WHO", default_value_t)]
    pub irqchip: Irqchip,
    /// Boot this kernel in the guests: an ELF file such as Debian's /boot/vmlinux-*.
    #[arg(long, value_name = "VMLINUX")]
    pub kernel: Option<PathBuf>,
    /// The guests' kernel, of Debian's.
    #[arg(long, value_enum, value_name = "VERSION", default_value_t = HOST)]
    pub guest_debian: Release,
    /// The QEMU that runs them, of Debian's.
    #[arg(long, value_enum, value_name = "VERSION", default_value_t)]
    pub vmm: Qemu,
    /// Give each a network, by which it fetches a file as one of its checks.
    #[arg(long)]
    pub net: bool,
    /// Have the guest live on this disk, which `cargo xtask debian` has made, with its kernel.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kernel", "machines"])]
    pub guest_disk: Option<PathBuf>,
    /// More words for the guests' kernel's command line.
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub append: String,
    /// More options for the guests' QEMU.
    #[arg(
        long,
        value_name = "OPTIONS",
        default_value = "",
        allow_hyphen_values = true
    )]
    pub qemu: String,
}

#[derive(Args)]
pub struct GuestOptions {
    #[command(flatten)]
    guests: Guests,
    /// The host's kernel, of Debian's; it is fetched by apt.
    #[arg(long, value_enum, value_name = "VERSION", default_value_t = HOST)]
    debian: Release,
    /// Run checks instead of a shell, switch all off, and judge what was said and computed.
    #[arg(long)]
    check: bool,
    /// First have so many programs ask for random things of the host's KVM, one after the other.
    #[arg(long, value_name = "N", default_value_t = 0)]
    fuzz: u32,
    /// End checks after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    time_limit: u64,
    /// Show each cargo command and QEMU's.
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    machine: Machine,
}

/// The command.
pub fn guest(options: &GuestOptions) -> Result<ExitCode> {
    setup::quick()?;
    let check = options.check || options.guests.machines > 1;
    let mut machine = options.machine.clone();
    // A guest's threads wait for each other in loops. With time counted each has its share of a run.
    machine.icount |= !machine.mttcg && !machine.single;
    machine.cores = machine.cores.or(Some(1));
    machine
        .extra
        .splice(0..0, ["-m".into(), HOST_MEMORY.into()]);
    let job = Job {
        guests: Guests {
            smt: Some(smt(&options.guests, &machine)?),
            ..options.guests.clone()
        },
        host: options.debian,
        fuzz: options.fuzz,
        scenario: Scenario::Checks,
        check,
    };
    if let Some(disk) = &job.guests.guest_disk {
        machine
            .extra
            .extend(plugged::arguments(disk, false, machine.default_devices)?);
    }
    let images = image::build(options.verbose)?;
    let files = ensure(options.debian)?;
    files.vmm(job.guests.vmm)?;
    Files::ensure_with(job.guests.guest_debian)?;
    let initrd = files.dir().join("guest.cpio");
    eprintln!("guest: the host's initial RAM disk: QEMU, the guests' kernel, the module");
    project::write_if_changed(&initrd, &archive(&files, &images.dir, &job)?)?;
    let mut qemu = machine.command(&Boot {
        firmware: &images.lid(),
        payload: &files.kernel(options.debian),
        initrd: &initrd,
        bootargs: &job.bootargs(),
        interactive: !check,
    });
    if options.verbose {
        eprintln!("guest: {}", qemu::typed(&qemu));
    }
    match check {
        true => judge(options, &job, &mut qemu),
        false => shell(&mut qemu),
    }
}

/// Threads of a guest's core: as many as the host machine's cores have, unless told.
fn smt(guests: &Guests, machine: &Machine) -> Result<u32> {
    let threads = machine.threads.unwrap_or(8);
    match guests.smt {
        Some(smt) if smt > threads => {
            bail!("a guest's core can't have more than {threads} threads here")
        }
        smt => Ok(smt.unwrap_or(threads)),
    }
}

/// All that tests of guests need: every kernel for which there is a module, and the modules.
pub fn ensure_all() -> Result<()> {
    for release in Release::WITH_MODULE {
        ensure(release)?;
    }
    Ok(())
}

/// All that is needed, fetched and built where it isn't there.
pub fn ensure(host: Release) -> Result<Files> {
    let files = Files::ensure_with(host)?;
    let files = match host {
        HOST => files,
        _ => Files::ensure_with(HOST)?,
    };
    files.vmm(Qemu::default())?;
    eprintln!("guest: building the module for Linux {}", host.name());
    kvm_module::build(&files, host)?;
    Ok(files)
}

/// What guests are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    Checks,
    /// One, which is saved and migrated.
    Moves,
    /// One, to which a debugger comes.
    Debugged,
    /// One, all of whose threads are at work while the firmware records what the hardware's do.
    Traced,
}

/// What is run on the host.
#[derive(Clone, Debug)]
pub struct Job {
    pub guests: Guests,
    pub host: Release,
    /// So many hostile programs before the guests.
    pub fuzz: u32,
    pub scenario: Scenario,
    pub check: bool,
}

impl Job {
    /// Checks of a guest of eight threads, or as many as are said.
    pub fn checked(host: Release, smt: u32, vcores: u32) -> Self {
        let guests = Guests {
            smt: Some(smt),
            vcores,
            machines: 1,
            memory: 256,
            firmware: Firmware::Vof,
            irqchip: Irqchip::Kernel,
            kernel: None,
            guest_debian: HOST,
            vmm: Qemu::default(),
            net: false,
            guest_disk: None,
            append: "quiet".into(),
            qemu: String::new(),
        };
        Self {
            guests,
            host,
            fuzz: 0,
            scenario: Scenario::Checks,
            check: true,
        }
    }

    fn smt(&self) -> u32 {
        self.guests.smt.unwrap_or(1)
    }

    /// Of each guest.
    pub fn cpus(&self) -> u32 {
        self.smt() * self.guests.vcores
    }

    /// The host's kernel's command line.
    pub fn bootargs(&self) -> String {
        let check = if self.check { " guest.check" } else { "" };
        let (machines, fuzz) = (self.guests.machines, self.fuzz);
        let scenario = match self.scenario {
            Scenario::Checks => "",
            Scenario::Moves => " guest.moves",
            Scenario::Debugged => " guest.debugged",
            Scenario::Traced => " guest.traced catnap.trace=on",
        };
        let disk = if self.guests.guest_disk.is_some() {
            HOSTS_DISK
        } else {
            ""
        };
        format!(
            "console=hvc0 quiet {PATIENT} guest.machines={machines} guest.fuzz={fuzz}{check}{scenario}{disk}"
        )
    }

    /// The guests' kernels'.
    fn words(&self) -> String {
        let (smt, cpus) = (self.smt(), self.cpus());
        let check = if self.check { " guest.check" } else { "" };
        let more = &self.guests.append;
        if self.guests.guest_disk.is_some() {
            return format!("console=hvc0 root=/dev/vda rw {PATIENT} {more}");
        }
        let net = if self.guests.net { " guest.net" } else { "" };
        format!("console=hvc0 {PATIENT} guest.smt={smt} guest.cpus={cpus}{check}{net} {more}")
    }

    /// The guests' QEMU's.
    fn options(&self) -> String {
        let guests = &self.guests;
        let (smt, cpus) = (self.smt(), self.cpus());
        let (small, room) = match self.host {
            // A page table for more memory has room for real mode's pages, of which a group has one.
            Release::V6_12 => (SMALL_PAGES, format!(",maxmem={}M", 4 * guests.memory)),
            _ => ("", String::new()),
        };
        let vof = if guests.firmware == Firmware::Vof {
            ",x-vof=on"
        } else {
            ""
        };
        let irqchip = if guests.irqchip == Irqchip::Kernel {
            "on"
        } else {
            "off"
        };
        let net = if guests.net { NET } else { "" };
        format!(
            "-machine {MACHINE}{small}{vof},kernel-irqchip={irqchip} -cpu host \
             -smp {cpus},threads={smt} -m {}M{room} -nodefaults -nographic -serial mon:stdio -no-reboot{net} {}",
            guests.memory, guests.qemu
        )
    }

    fn disk(&self) -> Option<Disk> {
        let image = self.guests.guest_disk.clone()?;
        Some(Disk { image })
    }

    fn kernel(&self, files: &Files) -> PathBuf {
        let own = self
            .disk()
            .map(|disk| disk.kernel())
            .or(self.guests.kernel.clone());
        own.unwrap_or_else(|| files.kernel(self.guests.guest_debian))
    }
}

/// The terminal is the machine's until QEMU ends.
fn shell(qemu: &mut Command) -> Result<ExitCode> {
    println!("guest: Ctrl-A X ends the machine; the guest's shell comes in a minute or two");
    console::leave_to(qemu)
}

fn judge(options: &GuestOptions, job: &Job, qemu: &mut Command) -> Result<ExitCode> {
    let started = Instant::now();
    let no_bmc = options.machine.no_bmc;
    let limits = Limits::of_boot(options.time_limit, no_bmc);
    let mut lines = Vec::new();
    let note = |line: &str| lines.push(line.to_string());
    let end = console::watch(qemu, limits, &mut io::stdout(), note)?;
    let mut faults = faults(job, &lines);
    faults.extend(end.fault(no_bmc));
    Ok(console::verdict("guest", &faults, started))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_well_formed() {
        for script in archive::SCRIPTS {
            let mut shell = Command::new("sh");
            crate::process::output(shell.args(["-n", "-c", script])).unwrap();
        }
    }

    #[test]
    fn qemu_is_told_what_is_asked_for() {
        let mut job = Job::checked(HOST, 4, 2);
        assert!(
            job.options().contains("-smp 8,threads=4 "),
            "{}",
            job.options()
        );
        assert!(!job.options().contains("hpt-max-page-size"));
        assert!(job.options().contains("x-vof=on,kernel-irqchip=on"));
        job.host = Release::V6_12;
        job.guests.firmware = Firmware::Slof;
        job.guests.irqchip = Irqchip::Qemu;
        assert!(job.options().contains("-m 256M,maxmem=1024M"));
        assert!(!job.options().contains("vof"));
        assert!(job.options().contains("kernel-irqchip=off"));
    }
}

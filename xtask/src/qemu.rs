//! QEMU: which version this machine has, and the command line of a POWER8 machine.
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use clap::Args;

use crate::process;
use crate::setup::beside;

/// The program.
pub const PROGRAM: &str = "qemu-system-ppc64";
/// Older ones know no cores whose threads share special-purpose registers.
pub const MINIMUM: u32 = 10;

const DEFAULT_CORES: u32 = 2;
const DEFAULT_THREADS: u32 = 8;

/// Chips whose cores the firmware has a use for: QEMU gives no access to further ones' interrupts.
pub const MAX_CHIPS: u32 = 2;

/// The machine to boot.
#[derive(Args, Clone, Debug, Default)]
pub struct Machine {
    /// Cores of each chip [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32))]
    pub cores: Option<u32>,
    /// Hardware threads of each core: 1, 2, 4 or 8 [default: 8]
    #[arg(long, value_name = "N", value_parser = power_of_two)]
    pub threads: Option<u32>,
    /// Chips of the machine [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=8))]
    pub chips: Option<u32>,
    /// QEMU's own form of cores and threads, instead of the above.
    #[arg(long, value_name = "SMP", conflicts_with_all = ["cores", "threads", "chips"])]
    pub smp: Option<String>,
    /// All devices that QEMU's machine has by itself, a BMC and PCI among them.
    #[arg(long, conflicts_with = "no_bmc")]
    pub default_devices: bool,
    /// Leave out the BMC, which is what can switch the machine off.
    #[arg(long)]
    pub no_bmc: bool,
    /// A host thread for each thread of the machine (QEMU's own choice as a rule).
    #[arg(long, conflicts_with_all = ["single", "icount"])]
    pub mttcg: bool,
    /// One host thread runs the machine's threads in turn.
    #[arg(long)]
    pub single: bool,
    /// Time counts instructions, one a nanosecond: runs are alike to the instruction. `run` does
    /// so unless one of the two above is given.
    #[arg(long)]
    pub icount: bool,
    /// Further arguments for QEMU, after `--`.
    #[arg(last = true, value_name = "QEMU ARGUMENTS")]
    pub extra: Vec<String>,
}

/// A count of threads, or of vcpus in a vcore.
pub fn power_of_two(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(n @ (1 | 2 | 4 | 8)) => Ok(n),
        _ => Err("must be 1, 2, 4 or 8".to_string()),
    }
}

/// Has a command, and what it starts, find QEMU: the machine's own or, where that isn't new enough, the one
/// that was unpacked beside it.
pub fn find_by_path(command: &mut Command) {
    static BESIDE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let is_new = || matches!(installed(), Ok(Some((major, _))) if major >= MINIMUM);
    let beside = BESIDE.get_or_init(|| beside::programs().filter(|_| !is_new()));
    if let Some(dir) = beside {
        search_first(command, dir);
    }
}

/// Has a command find programs in a folder before any others.
pub fn search_first(command: &mut Command, dir: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = iter::once(dir.to_path_buf()).chain(std::env::split_paths(&path));
    if let Ok(path) = std::env::join_paths(dirs) {
        command.env("PATH", path);
    }
}

/// What the machine boots.
pub struct Boot<'a> {
    pub firmware: &'a Path,
    pub payload: &'a Path,
    pub initrd: &'a Path,
    pub bootargs: &'a str,
    /// The terminal is the machine's, with QEMU's monitor behind Ctrl-A.
    pub interactive: bool,
}

impl Machine {
    /// QEMU's command, with the console on its standard output. QEMU is killed when the thread
    /// that starts it ends, however that happens.
    pub fn command(&self, boot: &Boot) -> Command {
        let mut qemu = self.without_payload(boot.firmware, boot.interactive);
        qemu.arg("-kernel").arg(boot.payload);
        qemu.arg("-initrd").arg(boot.initrd);
        if !boot.bootargs.is_empty() {
            qemu.args(["-append", boot.bootargs]);
        }
        qemu.args(&self.extra);
        qemu
    }

    /// The same for a machine that has kernel, RAM disk and command line in a flash image.
    pub fn flash_command(&self, firmware: &Path, flash: &Path, interactive: bool) -> Command {
        let mut qemu = self.without_payload(firmware, interactive);
        let drive = format!("file={},format=raw,if=mtd", flash.display());
        qemu.args(["-drive", &drive]);
        qemu.args(&self.extra);
        qemu
    }

    fn without_payload(&self, firmware: &Path, interactive: bool) -> Command {
        let mut qemu = Command::new("setpriv");
        qemu.args(["--pdeathsig", "KILL", PROGRAM]);
        find_by_path(&mut qemu);
        qemu.args(["-machine", "powernv8", "-smp", &self.smp(), "-m", "2G"]);
        if !self.default_devices {
            qemu.arg("-nodefaults");
        }
        let serial = if interactive { "mon:stdio" } else { "stdio" };
        qemu.args(["-display", "none", "-serial", serial]);
        if self.default_devices && !interactive {
            qemu.args(["-monitor", "none"]);
        }
        if !self.no_bmc && !self.default_devices {
            qemu.args(["-device", "ipmi-bmc-sim,id=bmc0"]);
            qemu.args(["-device", "isa-ipmi-bt,bmc=bmc0,irq=10"]);
        }
        if self.mttcg {
            qemu.args(["-accel", "tcg,thread=multi"]);
        } else if self.single {
            qemu.args(["-accel", "tcg,thread=single"]);
        }
        if self.icount {
            qemu.args(["-icount", "shift=0,sleep=off"]);
        }
        qemu.arg("-bios").arg(firmware);
        qemu
    }

    /// Threads that a host has: one of each core, or all.
    pub fn cpus(&self, all: bool) -> u32 {
        let (chips, cores, threads) = match &self.smp {
            Some(smp) => parts_of(smp),
            None => self.parts(),
        };
        chips.min(MAX_CHIPS) * cores * if all { threads } else { 1 }
    }

    /// Chips, cores of each, threads of each.
    fn parts(&self) -> (u32, u32, u32) {
        (
            self.chips.unwrap_or(1),
            self.cores.unwrap_or(DEFAULT_CORES),
            self.threads.unwrap_or(DEFAULT_THREADS),
        )
    }

    fn smp(&self) -> String {
        if let Some(smp) = &self.smp {
            return smp.clone();
        }
        let (chips, cores, threads) = self.parts();
        let all = chips * cores * threads;
        format!("{all},sockets={chips},cores={cores},threads={threads}")
    }
}

/// Chips, cores and threads by an argument of `-smp`. Of what is left out QEMU takes one chip, one
/// thread, and as many cores as make the whole; with cores given, as many chips.
fn parts_of(smp: &str) -> (u32, u32, u32) {
    let part = |names: [&str; 2]| {
        let parts = smp.split(',').map(str::trim);
        let mut values = parts.filter_map(|part| part.split_once('=').or(Some(("cpus", part))));
        values.find_map(|(name, value)| names.contains(&name).then(|| value.parse().ok())?)
    };
    let given = |name| part([name, name]);
    let (chips, cores, threads) = (given("sockets"), given("cores"), given("threads"));
    let parts = (chips.unwrap_or(1), cores.unwrap_or(1), threads.unwrap_or(1));
    let all = part(["cpus", "maxcpus"]).unwrap_or(parts.0 * parts.1 * parts.2);
    match (chips, cores, threads) {
        (_, None, _) => (parts.0, all / (parts.0 * parts.2), parts.2),
        (None, Some(cores), _) => (all / (cores * parts.2), cores, parts.2),
        (Some(chips), Some(cores), None) => (chips, cores, all / (chips * cores)),
        _ => parts,
    }
}

/// The installed QEMU's version; None when there is none.
pub fn installed() -> Result<Option<(u32, u32)>> {
    version_of(Path::new(PROGRAM))
}

/// The version of a program of QEMU's; `None` if it isn't there.
pub fn version_of(program: &Path) -> Result<Option<(u32, u32)>> {
    match Command::new(program).arg("--version").output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(PROGRAM),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            let version = version(&text);
            Ok(Some(version.with_context(|| {
                format!("{PROGRAM} --version says: {text}")
            })?))
        }
    }
}

/// Major and minor version out of `QEMU emulator version 10.0.2 (Debian …)`.
fn version(text: &str) -> Option<(u32, u32)> {
    let numbers = text.lines().next()?.split_once("version ")?.1;
    let mut parts = numbers.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// QEMU's part of a command as one would type it.
pub fn typed(qemu: &Command) -> String {
    let whole = process::typed(qemu);
    let from = whole.find(PROGRAM).unwrap_or(0);
    whole[from..].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed_machine(machine: &Machine, bootargs: &str) -> String {
        let path = Path::new;
        let (firmware, payload) = (path("catnap.lid"), path("host"));
        let initrd = path("initrd.cpio");
        typed(&machine.command(&Boot {
            firmware,
            payload,
            initrd,
            bootargs,
            interactive: false,
        }))
    }

    #[test]
    fn hosts_have_a_thread_of_each_core_or_all() {
        let machine = Machine::default();
        assert_eq!((machine.cpus(false), machine.cpus(true)), (2, 16));
        let of = |smp: &str| Machine {
            smp: Some(smp.into()),
            ..Machine::default()
        };
        let two_chips = of("8,sockets=2,cores=1,threads=4");
        assert_eq!((two_chips.cpus(false), two_chips.cpus(true)), (2, 8));
        assert_eq!((of("1").cpus(false), of("1").cpus(true)), (1, 1));
        assert_eq!((of("12").cpus(false), of("12").cpus(true)), (12, 12));
        let two_chips = of("cpus=12,cores=3,threads=2");
        assert_eq!((two_chips.cpus(false), two_chips.cpus(true)), (6, 12));
        let threads = of("16,sockets=1,cores=2");
        assert_eq!((threads.cpus(false), threads.cpus(true)), (2, 16));
        let four_chips = of("8,sockets=4,cores=1,threads=2");
        assert_eq!((four_chips.cpus(false), four_chips.cpus(true)), (2, 4));
    }

    #[test]
    fn versions_are_understood() {
        let debian = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\nCopyri";
        assert_eq!(version(debian), Some((10, 0)));
        assert_eq!(version("QEMU emulator version 7.2.19"), Some((7, 2)));
        assert_eq!(
            version("QEMU emulator version 11.1.50 (v11.1.0-12-gabc)"),
            Some((11, 1))
        );
        assert_eq!(version("QEMU emulator version unknown"), None);
        assert_eq!(version(""), None);
    }

    #[test]
    fn machine_as_it_is_by_default() {
        assert_eq!(
            typed_machine(&Machine::default(), ""),
            "qemu-system-ppc64 -machine powernv8 -smp 16,sockets=1,cores=2,threads=8 -m 2G \
             -nodefaults -display none -serial stdio -device ipmi-bmc-sim,id=bmc0 \
             -device isa-ipmi-bt,bmc=bmc0,irq=10 -bios catnap.lid -kernel host \
             -initrd initrd.cpio"
        );
    }

    #[test]
    fn options_reach_the_command_line() {
        let machine = Machine {
            cores: Some(1),
            threads: Some(4),
            chips: Some(2),
            no_bmc: true,
            single: true,
            icount: true,
            extra: vec!["-d".into(), "int".into()],
            ..Machine::default()
        };
        let line = typed_machine(&machine, "smt=4 ptid=packed");
        assert!(
            line.contains("-smp 8,sockets=2,cores=1,threads=4 "),
            "{line}"
        );
        assert!(
            line.contains("-accel tcg,thread=single -icount shift=0,sleep=off "),
            "{line}"
        );
        assert!(
            line.ends_with("-append 'smt=4 ptid=packed' -d int"),
            "{line}"
        );
        assert!(!line.contains("ipmi"), "{line}");
    }

    #[test]
    fn widths_are_powers_of_two_up_to_eight() {
        for good in ["1", "2", "4", "8"] {
            power_of_two(good).unwrap();
        }
        for bad in ["0", "3", "16", "two", "-1", ""] {
            power_of_two(bad).unwrap_err();
        }
    }
}

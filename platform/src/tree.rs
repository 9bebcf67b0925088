//! The machine, as the flattened device tree that QEMU hands over describes it.
//!
//! The tree is not trusted: whatever is in it, reading it ends with a [`Machine`] that holds
//! together or with the reason why not.
mod cells;
mod error;
pub mod flat;
mod lpc;
mod nodes;
pub mod outline;
mod pci;
mod secure;

pub use error::TreeError;

use crate::memory::region::Region;
use alloc::string::String;
use alloc::vec::Vec;
use dtoolkit::Node;
use dtoolkit::fdt::Fdt;
use flat::MAGIC;
use nodes::Found;
use outline::Outline;

/// Largest tree that is looked at, in bytes. QEMU's own limit.
pub const MAX_TREE_LEN: u32 = 1 << 20;
/// Nodes nested deeper than this are refused, so that a walk can use the stack.
pub const MAX_DEPTH: u32 = 16;
/// PIRs and interrupt servers are below this.
pub const MAX_PIR: u32 = 2048;
pub const MAX_CORES: usize = 128;
pub const MAX_CHIPS: usize = 16;
/// PCI host bridges of a chip: its interrupt numbers have room for no more.
pub const MAX_PCI_BRIDGES: u32 = 3;
pub const MAX_RAM_REGIONS: usize = 64;
/// Hardware threads of a core.
pub const MAX_THREADS: usize = 8;
/// Bytes of real address space that a chip's XSCOM window takes.
pub const XSCOM_WINDOW_LEN: u64 = 8 << 32;
/// Real addresses of memory are below this (50 bits on POWER8).
pub const MAX_REAL: u64 = 1 << 50;

/// What the firmware needs to know of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// In order of PIR; at least one.
    pub cores: Vec<Core>,
    /// PIRs of cores that are left out: no access to their interrupt presentation pages arrives.
    pub unreachable: Vec<u32>,
    /// In order of address, none overlapping; at least one.
    pub ram: Vec<Region>,
    /// The initial RAM disk: RAM.
    pub initrd: Option<Region>,
    /// The payload's command line.
    pub bootargs: String,
    /// In order of id; at least one.
    pub chips: Vec<Chip>,
    /// The LPC bus of the chip that has the machine's UART and BMC.
    pub lpc: Option<LpcBus>,
    /// PCI host bridges, in order of chip and index.
    pub pci_bridges: Vec<PciBridge>,
    pub secure_boot: SecureBoot,
    /// Ticks of the time base in a second.
    pub timebase_hz: u32,
    /// The machine is QEMU's.
    pub is_qemu: bool,
}

/// A core and its hardware threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// PIR of thread 0. Thread n has PIR `pir + n`, which is its interrupt server number, too.
    pub pir: u32,
    /// Id of its chip, which is one of [`Machine::chips`].
    pub chip: u32,
    /// 1, 2, 4 or 8.
    pub threads: usize,
    /// Interrupt server numbers; those of threads that don't exist are 0.
    pub servers: [u32; MAX_THREADS],
    /// Real addresses of the threads' interrupt presentation pages; 0 likewise.
    pub icp: [u64; MAX_THREADS],
}

/// A chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chip {
    pub id: u32,
    /// Real address of its XSCOM window.
    pub xscom_base: u64,
    /// The machine's LPC bus is this chip's.
    pub has_primary_lpc: bool,
}

/// A PCI host bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PciBridge {
    /// Id of its chip, which is one of [`Machine::chips`].
    pub chip: u32,
    /// Which of the chip's it is.
    pub index: u32,
    /// Real address of its chip's XSCOM window.
    pub xscom_base: u64,
    /// XSCOM address of its registers in the nest.
    pub nest_pcba: u32,
}

/// The machine's LPC bus and what is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LpcBus {
    /// Real address of its chip's XSCOM window.
    pub xscom_base: u64,
    /// XSCOM address of the bridge to the bus.
    pub pcba: u32,
    pub uart: Option<UartPort>,
    /// First I/O port of the BMC's block-transfer interface.
    pub bt_port: Option<u16>,
    /// First I/O port of the clock.
    pub rtc_port: Option<u16>,
    /// XSCOM address of the bridge that passes the bus's interrupts on.
    pub psi_pcba: Option<u32>,
}

/// Bytes of a SHA-512.
pub const KEY_HASH_BYTES: usize = 64;

/// Whether the machine lets nothing run that isn't signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecureBoot {
    pub is_enforced: bool,
    /// The SHA-512 of the hardware keys that it trusts.
    pub key_hash: Option<[u8; KEY_HASH_BYTES]>,
}

/// A UART on the LPC bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UartPort {
    pub first_port: u16,
    /// Bits per second.
    pub baud: u32,
}

impl Machine {
    /// Whether there is a BMC to ask for power off and reboot.
    #[must_use]
    pub fn has_bmc(&self) -> bool {
        self.lpc.is_some_and(|lpc| lpc.bt_port.is_some())
    }

    /// Hardware threads of all cores.
    #[must_use]
    pub fn thread_count(&self) -> usize {
        self.cores.iter().map(|core| core.threads).sum()
    }
}

/// The bytes of the tree at a real address.
///
/// # Errors
/// There is no tree, or none of a plausible size.
///
/// # Safety
/// [`MAX_TREE_LEN`] bytes from `real` are RAM, and stay as they are for as long as the result is
/// used.
pub unsafe fn bytes_at(real: u64) -> Result<&'static [u8], TreeError> {
    let start = crate::memory::real::ptr(real);
    // SAFETY: the caller's promise; any eight bytes are two u32.
    let [magic, len] = unsafe { start.cast::<[[u8; 4]; 2]>().read() }.map(u32::from_be_bytes);
    if magic != MAGIC {
        return Err(TreeError::Magic(magic));
    }
    if !(MIN_TREE_LEN..=MAX_TREE_LEN).contains(&len) {
        return Err(TreeError::Size(len));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { core::slice::from_raw_parts(start, len as usize) })
}

/// A header is this long.
const MIN_TREE_LEN: u32 = 40;

/// Reads the tree.
///
/// # Errors
/// The tree is malformed, or says something that can't be.
pub fn read(tree: &[u8]) -> Result<Machine, TreeError> {
    check_header(tree)?;
    let fdt = Fdt::new(tree).map_err(TreeError::Structure)?;
    // The library has seen all else that an outline asks for.
    if Outline::of(tree).is_none() {
        return Err(TreeError::Depth { limit: MAX_DEPTH });
    }
    let mut found = Found::default();
    found.root(&fdt.root())?;
    for node in fdt.root().children() {
        match node.name_without_address() {
            "cpus" => found.cpus(&node)?,
            "chosen" => found.chosen(&node)?,
            "interrupt-controller" => found.interrupt_controller(&node)?,
            "ibm,secureboot" => found.secure_boot(&node)?,
            "memory" => found.memory(&node)?,
            "xscom" => found.xscom(&node)?,
            _ => {}
        }
    }
    found.into_machine()
}

fn check_header(tree: &[u8]) -> Result<(), TreeError> {
    let magic = tree.first_chunk().copied().map_or(0, u32::from_be_bytes);
    if magic != MAGIC {
        return Err(TreeError::Magic(magic));
    }
    match u32::try_from(tree.len()) {
        Ok(MIN_TREE_LEN..=MAX_TREE_LEN) => Ok(()),
        _ => Err(TreeError::Size(
            u32::try_from(tree.len()).unwrap_or(u32::MAX),
        )),
    }
}

#[cfg(test)]
mod tests;

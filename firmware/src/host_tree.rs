//! The device tree that the host gets: QEMU's own, with OPAL's nodes, one thread of each core, and
//! the firmware's memory marked as taken.
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use dtoolkit::error::FdtParseError;
use dtoolkit::fdt::Fdt;
use dtoolkit::model::DeviceTree;
use platform::memory::region::Region;
use platform::tree::Machine;
use platform::tree::flat::RESERVATION_BYTES;
use platform::tree::outline::Outline;
use skiboot_compat::tree::{compatible, name, property};
use thiserror::Error;
use writer::Writer;

mod flash;
mod machines;
mod opal;
mod pci;
mod writer;

pub use pci::PciHost;

pub use flash::{FlashParams, Measured};

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HostTreeError {
    #[error("host's tree: {0}")]
    Structure(#[from] FdtParseError),
    #[error("host's tree: the machine's has nodes that are nested too deep")]
    Depth,
    #[error("host's tree: machine's tree has no {0}")]
    Missing(&'static str),
}

/// What the tree says that isn't the machine's. All addresses are real.
#[derive(Clone, Copy, Debug)]
pub struct HostTreeParams<'a> {
    /// PIR of the thread on which the host is entered.
    pub boot_pir: u32,
    /// The host has every thread, instead of one of each core.
    pub all_threads: bool,
    pub opal_base: u64,
    pub opal_entry: u64,
    pub opal_runtime_len: u64,
    /// Header of the log in memory.
    pub memcons: u64,
    pub version: &'a str,
    pub nvram_bytes: u32,
    /// The event that tells of a message from the BMC.
    pub ipmi_event: u32,
    /// Memory that the host must keep out of, each with a node's name.
    pub reserved: &'a [(&'a str, Region)],
    /// The firmware's symbols, as text.
    pub symbol_map: Option<Region>,
    /// Memory that a host can read as files.
    pub exports: &'a [(&'a str, Region)],
    pub chosen: &'a Chosen,
    /// If there is one with a partition table.
    pub flash: Option<FlashParams<'a>>,
    pub smt: SmtParams<'a>,
    pub pci: &'a [PciHost<'a>],
}

/// What the firmware has chosen for the host, where the machine's tree doesn't say it.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    pub initrd: Option<Region>,
    pub bootargs: Option<String>,
    /// What was read from flash.
    pub measured: Vec<Measured>,
}

/// What `/ibm,opal/smt` says.
#[derive(Clone, Copy, Debug)]
pub struct SmtParams<'a> {
    /// Lowest and highest version of the interface.
    pub versions: [u32; 2],
    /// First and last token.
    pub tokens: [u32; 2],
    /// Vcpus that may make a vcore.
    pub widths: &'a [u32],
    pub page_bytes: u32,
    pub features: u64,
}

/// Builds the host's tree from the machine's.
///
/// # Errors
/// `fdt` is not the tree that `machine` was read from.
pub fn build(
    fdt: &[u8],
    machine: &Machine,
    params: &HostTreeParams,
) -> Result<Vec<u8>, HostTreeError> {
    let mut theirs = outline(fdt)?;
    let unique;
    if theirs.may_have_twins() {
        // Of nodes or properties with one name the library keeps the last.
        unique = DeviceTree::from_fdt(&Fdt::new(fdt)?).to_dtb();
        theirs = outline(&unique)?;
    }
    let mut tree = Writer::copying(&theirs);
    let handles = Handles::free_in(&theirs);
    let reserved = Reserved::new(params.reserved);
    machines::copy(
        &mut tree,
        theirs.root(),
        machine,
        params,
        &reserved,
        |root| {
            xics(root, handles.xics);
            opal::add(root, machine, params, &handles);
            for host in params.pci {
                pci::add(root, host, handles.xics);
            }
            reserved.add(root);
        },
    )?;
    let entries = [theirs.reservations(), &reserved.entries].concat();
    Ok(tree.finish(&entries, params.boot_pir))
}

fn outline(fdt: &[u8]) -> Result<Outline<'_>, HostTreeError> {
    match Outline::of(fdt) {
        Some(outline) => Ok(outline),
        None => {
            Fdt::new(fdt)?;
            Err(HostTreeError::Depth)
        }
    }
}

/// Nodes of the firmware's own, right below the root: the machine's of these names are left out.
fn is_own(name: &[u8], params: &HostTreeParams) -> bool {
    [name::XICS, name::OPAL, name::RESERVED_MEMORY]
        .iter()
        .any(|own| name == own.as_bytes())
        || name.starts_with(b"pciex@")
            && params
                .pci
                .iter()
                .any(|host| name == pci::name(host).as_bytes())
}

/// Numbers by which nodes refer to each other.
struct Handles {
    xics: u32,
    event: u32,
}

impl Handles {
    /// Numbers that no node has yet.
    fn free_in(theirs: &Outline) -> Self {
        let taken = theirs
            .nodes()
            .filter_map(|node| node.cell(property::PHANDLE));
        let free = taken.max().unwrap_or(0).saturating_add(1);
        Self {
            xics: free,
            event: free.wrapping_add(1),
        }
    }
}

/// The interrupt sources: Linux binds those of GET_XIVE and SET_XIVE to this node, and makes it
/// the parent of all interrupts that name none.
fn xics(tree: &mut Writer, handle: u32) {
    tree.node(name::XICS, |node| {
        node.set(property::COMPATIBLE, compatible::XICS);
        node.set(property::DEVICE_TYPE, "PowerPC-Interrupt-Source-Controller");
        node.set(property::INTERRUPT_CONTROLLER, [0_u8; 0]);
        node.set("#address-cells", 0_u32);
        node.set(property::INTERRUPT_CELLS, 2_u32);
        node.set(property::PHANDLE, handle);
        node.set("reg", [0_u32; 4]);
    });
}

/// Memory marked as taken in all three ways that hosts look at: the header's reservations, the
/// root's lists, and `/reserved-memory`.
struct Reserved {
    names: Vec<String>,
    entries: Vec<[u8; RESERVATION_BYTES]>,
}

impl Reserved {
    fn new(reserved: &[(&str, Region)]) -> Self {
        let name = |(name, region): &(&str, Region)| format!("{name}@{:x}", region.start());
        let entry = |(_, region): &(&str, Region)| {
            let entry = u128::from(region.start()) << 64 | u128::from(region.len_bytes());
            entry.to_be_bytes()
        };
        Self {
            names: reserved.iter().map(name).collect(),
            entries: reserved.iter().map(entry).collect(),
        }
    }

    fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// Address and length of each, two cells each.
    fn ranges(&self) -> &[u8] {
        self.entries.as_flattened()
    }

    fn add(&self, tree: &mut Writer) {
        tree.node(name::RESERVED_MEMORY, |parent| {
            set_cells(parent, 2, 2);
            parent.set("ranges", [0_u8; 0]);
            for (name, entry) in self.names.iter().zip(&self.entries) {
                parent.node(name, |child| child.set("reg", *entry));
            }
        });
    }
}

/// Address and length, two cells each.
fn range(region: &Region) -> [u32; 4] {
    let (start, len) = (region.start(), region.len_bytes());
    [
        (start >> 32) as u32,
        start as u32,
        (len >> 32) as u32,
        len as u32,
    ]
}

fn set_cells(node: &mut Writer, address: u32, size: u32) {
    node.set("#address-cells", address);
    node.set("#size-cells", size);
}

#[cfg(test)]
#[path = "host_tree_tests.rs"]
mod tests;

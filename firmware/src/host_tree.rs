//! The device tree that the host gets: QEMU's own, with OPAL's nodes, one thread of each core, and
//! the firmware's memory marked as taken.
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use dtoolkit::error::FdtParseError;
use dtoolkit::fdt::Fdt;
use dtoolkit::memreserve::MemoryReservation;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::{Node, Property, ToPropertyValue};
use platform::memory::region::Region;
use platform::tree::Machine;
use skiboot_compat::tree::{compatible, name, node, property};
use thiserror::Error;

mod flash;
mod opal;
mod pci;

pub use pci::PciHost;

pub use flash::{FlashParams, Measured};

/// Where the header keeps the PIR of the thread that boots.
const BOOT_CPUID_OFFSET: usize = 28;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HostTreeError {
    #[error("host's tree: {0}")]
    Structure(#[from] FdtParseError),
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
    let mut tree = DeviceTree::from_fdt(&Fdt::new(fdt)?);
    leave_out(&mut tree, &machine.unreachable);
    if !params.all_threads {
        keep_first_threads(&mut tree)?;
    }
    sort_cores(&mut tree);
    say_where(&mut tree);
    reserve_uart(&mut tree, machine);
    point_to_console(&mut tree);
    choose(&mut tree, params);
    say_version(&mut tree, params.version);
    let handles = Handles::free_in(&tree.root);
    tree.root.add_child(xics(handles.xics));
    tree.root.add_child(opal::node(machine, params, &handles));
    for host in params.pci {
        tree.root.add_child(pci::node(host, handles.xics));
    }
    reserve_memory(&mut tree, params.reserved);
    let mut bytes = tree.to_dtb();
    bytes[BOOT_CPUID_OFFSET..][..4].copy_from_slice(&params.boot_pir.to_be_bytes());
    Ok(bytes)
}

/// The PIR of a core's thread 0; None for what isn't a core.
fn first_server(cpu: &DeviceTreeNode) -> Option<u32> {
    let servers = cpu.property(property::INTERRUPT_SERVERS)?;
    servers
        .value()
        .first_chunk()
        .copied()
        .map(u32::from_be_bytes)
}

/// Removes the cores with those PIRs.
fn leave_out(tree: &mut DeviceTree, pirs: &[u32]) {
    let Some(cpus) = tree.find_node_mut(node::CPUS) else {
        return;
    };
    let is_left_out =
        |cpu: &DeviceTreeNode| first_server(cpu).is_some_and(|pir| pirs.contains(&pir));
    let cores = cpus.children().filter(|cpu| is_left_out(cpu));
    let names: Vec<String> = cores.map(|cpu| cpu.name().to_string()).collect();
    for name in names {
        cpus.remove_child(&name);
    }
}

/// The host has each core's thread 0; the others are the firmware's.
fn keep_first_threads(tree: &mut DeviceTree) -> Result<(), HostTreeError> {
    let cpus = tree
        .find_node_mut(node::CPUS)
        .ok_or(HostTreeError::Missing("cpus"))?;
    for cpu in cpus.children_mut() {
        if let Some(servers) = cpu.property_mut(property::INTERRUPT_SERVERS) {
            let first = (&*servers).value().first_chunk::<4>().copied();
            servers.set_value(first.ok_or(HostTreeError::Missing("interrupt server"))?);
        }
    }
    Ok(())
}

/// QEMU names its last core first. Linux numbers threads in the tree's order and, told to start so
/// many (`maxcpus=`), takes the first: they have to make whole cores, the boot thread's among them.
fn sort_cores(tree: &mut DeviceTree) {
    let Some(cpus) = tree.find_node_mut(node::CPUS) else {
        return;
    };
    let cores = cpus.children();
    let mut cores: Vec<(u32, String)> = cores
        .filter_map(|cpu| Some((first_server(cpu)?, cpu.name().to_string())))
        .collect();
    cores.sort_unstable();
    // Each becomes the last in its turn.
    for (_, name) in cores {
        if let Some(core) = cpus.remove_child(&name) {
            cpus.add_child(core);
        }
    }
}

/// Which chip cores and memory belong to: Linux makes a NUMA node of each chip.
fn say_where(tree: &mut DeviceTree) {
    let chip = |node: &DeviceTreeNode| -> Option<u32> {
        node.property(property::CHIP_ID)?.value_as().ok()
    };
    for node in tree.root.children_mut() {
        if node.name().starts_with("memory@") {
            if let Some(chip) = chip(node) {
                set(node, property::ASSOCIATIVITY, [4, 0, 0, 0, chip]);
            }
        } else if node.name() == "cpus" {
            for (number, cpu) in (1_u32..).zip(node.children_mut()) {
                if let Some(chip) = chip(cpu) {
                    set(cpu, property::ASSOCIATIVITY, [5, 0, 0, 0, chip, number]);
                }
            }
        }
    }
}

/// The UART is the firmware's; the host goes by its calls.
fn reserve_uart(tree: &mut DeviceTree, machine: &Machine) {
    let Some(port) = machine.lpc.and_then(|lpc| lpc.uart) else {
        return;
    };
    let uart = format!("isa-serial@i{:x}", port.first_port);
    let buses = tree
        .root
        .children_mut()
        .flat_map(DeviceTreeNode::children_mut);
    for node in buses.filter_map(|bus| bus.child_mut(&uart)) {
        set(node, "status", "reserved");
    }
}

fn point_to_console(tree: &mut DeviceTree) {
    if tree.find_node(node::CHOSEN).is_none() {
        tree.root.add_child(new_node("chosen"));
    }
    if let Some(chosen) = tree.find_node_mut(node::CHOSEN) {
        set(chosen, property::STDOUT_PATH, node::CONSOLE);
        set(chosen, property::LINUX_STDOUT_PATH, node::CONSOLE);
    }
}

/// Tools of hosts list versions of all firmware by this node; on hardware what ran before has begun it.
fn say_version(tree: &mut DeviceTree, version: &str) {
    const PATH: &str = "/ibm,firmware-versions";
    if tree.find_node(PATH).is_none() {
        tree.root.add_child(new_node(name::FIRMWARE_VERSIONS));
    }
    if let Some(versions) = tree.find_node_mut(PATH) {
        set(versions, "catnap", version);
    }
}

/// For [`point_to_console`] has made sure that there is `/chosen`.
fn choose(tree: &mut DeviceTree, params: &HostTreeParams) {
    let Some(chosen) = tree.find_node_mut(node::CHOSEN) else {
        return;
    };
    if params.flash.is_some() {
        set(chosen, property::SYSTEM_FLASH, node::FLASH);
    }
    let choice = params.chosen;
    if let Some(initrd) = &choice.initrd {
        set(chosen, "linux,initrd-start", initrd.start());
        set(chosen, "linux,initrd-end", initrd.end());
    }
    if let Some(bootargs) = &choice.bootargs {
        set(chosen, "bootargs", bootargs.as_str());
    }
}

/// Numbers by which nodes refer to each other.
struct Handles {
    xics: u32,
    event: u32,
}

impl Handles {
    /// Numbers that no node has yet.
    fn free_in(root: &DeviceTreeNode) -> Self {
        let free = highest_handle(root).saturating_add(1);
        Self {
            xics: free,
            event: free.wrapping_add(1),
        }
    }
}

fn highest_handle(node: &DeviceTreeNode) -> u32 {
    let own = node.property(property::PHANDLE);
    let own = own.and_then(|property| property.value_as().ok());
    let below = node.children().map(highest_handle);
    below.chain(own).max().unwrap_or(0)
}

/// The interrupt sources: Linux binds those of GET_XIVE and SET_XIVE to this node, and makes it
/// the parent of all interrupts that name none.
fn xics(handle: u32) -> DeviceTreeNode {
    let mut node = new_node(name::XICS);
    set(&mut node, property::COMPATIBLE, compatible::XICS);
    set(
        &mut node,
        property::DEVICE_TYPE,
        "PowerPC-Interrupt-Source-Controller",
    );
    set(&mut node, property::INTERRUPT_CONTROLLER, [0_u8; 0]);
    set(&mut node, "#address-cells", 0_u32);
    set(&mut node, property::INTERRUPT_CELLS, 2_u32);
    set(&mut node, property::PHANDLE, handle);
    set(&mut node, "reg", [0_u32; 4]);
    node
}

/// Marks memory as taken in all three ways that hosts look at: the header's reservations, the
/// root's lists, and `/reserved-memory`.
fn reserve_memory(tree: &mut DeviceTree, reserved: &[(&str, Region)]) {
    let mut parent = new_node(name::RESERVED_MEMORY);
    set_cells(&mut parent, 2, 2);
    set(&mut parent, "ranges", [0_u8; 0]);
    let mut names = Vec::with_capacity(reserved.len());
    let mut ranges = Vec::with_capacity(reserved.len());
    for (name, region) in reserved {
        let name = format!("{name}@{:x}", region.start());
        let mut child = new_node(name.as_str());
        set(&mut child, "reg", range(region));
        parent.add_child(child);
        names.push(name);
        ranges.extend(range(region));
        let reservation = MemoryReservation::new(region.start(), region.len_bytes());
        tree.memory_reservations.push(reservation);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    set(&mut tree.root, property::RESERVED_NAMES, names);
    set(&mut tree.root, property::RESERVED_RANGES, ranges);
    tree.root.add_child(parent);
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

/// Names are this module's own, or made of parts that are; there is nothing to check.
fn new_node(name: &str) -> DeviceTreeNode {
    DeviceTreeNode::new_unchecked(name)
}

fn set(node: &mut DeviceTreeNode, name: &str, value: impl ToPropertyValue) {
    node.add_property(DeviceTreeProperty::new_unchecked(name, value));
}

fn set_cells(node: &mut DeviceTreeNode, address: u32, size: u32) {
    set(node, "#address-cells", address);
    set(node, "#size-cells", size);
}

#[cfg(test)]
#[path = "host_tree_tests.rs"]
mod tests;

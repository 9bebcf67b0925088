//! PCI host bridges and what is plugged in: Linux sees the functions that have a node, and no others.
use super::set_cells;
use super::writer::Writer;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use platform::chip::pci::bridge::{M32_PCI_START, PES, RESERVED_PE};
use platform::chip::pci::{Function, HostBridge};
use skiboot_compat::pci::DIAG_LEN;
use skiboot_compat::tree::{INTERRUPT_LEVEL, compatible, pci, property};

/// The top 64 KiB of 32-bit addresses are where MSIs go.
const MSI_PAGE_BYTES: u64 = 0x1_0000;
/// Logarithms of the page sizes that DMA windows can have.
const TCE_SIZES: [u32; 4] = [12, 16, 24, 28];
/// Of `interrupt-map-mask`: the two bits of the device's number that a pin's way depends on, and the pin.
const DEVICE_MASK: u32 = 0x1800;
const PIN_MASK: u32 = 7;
const DEVICE_SHIFT: u32 = 11;
const PINS: u32 = 4;

/// A host bridge and what is behind it.
#[derive(Clone, Copy, Debug)]
pub struct PciHost<'a> {
    pub bridge: HostBridge,
    pub functions: &'a [Function],
}

pub fn name(host: &PciHost) -> String {
    format!("pciex@{:x}", host.bridge.registers)
}

/// `xics`: the handle of the interrupt sources.
pub fn add(tree: &mut Writer, host: &PciHost, xics: u32) {
    tree.node(name(host), |node| {
        describe(node, &host.bridge);
        node.set(property::INTERRUPT_PARENT, xics);
        add_bus(node, host, None, xics);
    });
}

fn describe(node: &mut Writer, bridge: &HostBridge) {
    node.set(property::COMPATIBLE, compatible::PHB3);
    node.set(property::DEVICE_TYPE, pci::DEVICE_TYPE);
    node.set("reg", cells([bridge.registers, pci::REGISTERS_LEN]));
    node.set(property::CHIP_ID, bridge.chip);
    node.set(property::ASSOCIATIVITY, [4, 0, 0, 0, bridge.chip]);
    node.set("bus-range", [0_u32, 0xff]);
    node.set("ranges", ranges(bridge));
    node.set(pci::PHB_ID, u64::from(bridge.id()));
    node.set(pci::PHB_INDEX, bridge.index);
    let m64 = &bridge.m64;
    let window = [m64.start(), m64.start(), m64.len_bytes()];
    node.set(pci::M64_WINDOW, cells(window));
    node.set(pci::PES, PES as u32);
    node.set(pci::RESERVED_PE, u32::from(RESERVED_PE));
    node.set(pci::MSI_RANGES, [bridge.first_isn(), bridge.msis()]);
    node.set(pci::TCE_SIZES, TCE_SIZES);
    node.set(pci::DIAG_BYTES, DIAG_LEN as u32);
}

/// Two for each number.
fn cells<const N: usize>(numbers: [u64; N]) -> Vec<u32> {
    let halves = |number| [(number >> 32) as u32, number as u32];
    numbers.into_iter().flat_map(halves).collect()
}

/// Memory of devices with 32-bit addresses: PCI address, the host's, length.
fn ranges(bridge: &HostBridge) -> Vec<u32> {
    const MEMORY_32: u32 = 0x0200_0000;
    let len = bridge.m32.len_bytes() - MSI_PAGE_BYTES;
    let mut ranges = alloc::vec![MEMORY_32];
    ranges.extend(cells([M32_PCI_START, bridge.m32.start(), len]));
    ranges
}

/// What a node needs that has a bus, and the functions on it: behind the bridge at a place in the list, or
/// on the root bus.
fn add_bus(node: &mut Writer, host: &PciHost, behind: Option<usize>, xics: u32) {
    set_cells(node, 3, 2);
    node.set(property::INTERRUPT_CELLS, 1_u32);
    let bridge = behind.and_then(|place| host.functions[place].bridge);
    // On the root bus and on a link there is device 0 alone.
    let devices = if bridge.is_none_or(|bridge| bridge.is_link) {
        1
    } else {
        PINS
    };
    let mask = if devices == 1 { 0 } else { DEVICE_MASK };
    node.set(pci::INTERRUPT_MAP_MASK, [mask, 0, 0, PIN_MASK]);
    let mut map: Vec<u32> = Vec::new();
    for device in 0..devices {
        for pin in 0..PINS {
            let isn = host
                .bridge
                .lsi(root_pin(host.functions, behind, device + pin));
            let entry = [
                device << DEVICE_SHIFT,
                0,
                0,
                pin + 1,
                xics,
                isn,
                INTERRUPT_LEVEL,
            ];
            map.extend(entry);
        }
    }
    node.set(pci::INTERRUPT_MAP, map);
    for (place, function) in host.functions.iter().enumerate() {
        if function.parent == behind {
            add_function(node, function, place, host, xics);
        }
    }
}

/// What a pin on a bus is on the root bus: each bridge on the way turns it by its own number.
fn root_pin(functions: &[Function], mut behind: Option<usize>, mut pin: u32) -> u32 {
    while let Some(place) = behind {
        behind = functions[place].parent;
        pin += u32::from(functions[place].address.device());
    }
    pin % PINS
}

fn add_function(tree: &mut Writer, function: &Function, place: usize, host: &PciHost, xics: u32) {
    let at = function.address;
    let unit = match at.function() {
        0 => format!("{:x}", at.device()),
        number => format!("{:x},{number}", at.device()),
    };
    let name = match function.bridge {
        Some(_) => format!("pci@{unit}"),
        None => format!("pci{:x},{:x}@{unit}", function.vendor, function.device),
    };
    let id =
        u32::from(at.bus()) << 16 | u32::from(at.device()) << 11 | u32::from(at.function()) << 8;
    tree.node(name, |node| {
        node.set("reg", [id, 0, 0, 0, 0]);
        node.set(pci::VENDOR_ID, u32::from(function.vendor));
        node.set(pci::DEVICE_ID, u32::from(function.device));
        node.set(pci::REVISION_ID, u32::from(function.revision));
        node.set(pci::CLASS_CODE, function.class);
        node.set(pci::CONFIG_SPACE, u32::from(function.is_express));
        if function.pin > 0 {
            node.set(property::INTERRUPTS, u32::from(function.pin));
        }
        if function.bridge.is_some() {
            let kind = if function.is_express {
                pci::DEVICE_TYPE
            } else {
                "pci"
            };
            node.set(property::DEVICE_TYPE, kind);
            // Addresses behind a bridge are those in front of it.
            node.set("ranges", [0_u8; 0]);
            add_bus(node, host, Some(place), xics);
        }
    });
}

#[cfg(test)]
#[path = "pci_tests.rs"]
mod tests;

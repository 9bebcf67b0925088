//! Finding what is plugged in: depth first through bridges and switches, which get their bus numbers on the
//! way.
//!
//! Devices aren't trusted. One whose configuration space contradicts itself costs a line on the log and is
//! left out; buses, depth, devices and lines are limited.
use alloc::vec::Vec;
use log::warn;
use pci_types::{ConfigRegionAccess, HeaderType, PciAddress, PciHeader};
use thiserror::Error;

/// Buses behind buses, the root bus counted.
pub const MAX_DEPTH: usize = 16;
/// Functions behind a host bridge.
pub const MAX_FUNCTIONS: usize = 512;
/// Lines about devices that are left out; further ones are only counted.
const MAX_LINES: u32 = 8;

const LAST_BUS: u8 = 0xff;
/// Numbers that an empty slot of a switch keeps beside its own: something with bridges may be plugged in.
/// As many as hosts find on other firmware.
const SPARE_BUSES: u8 = 4;
const DEVICES: u8 = 32;
const FUNCTIONS: u8 = 8;

/// Offsets in configuration space (PCI Local Bus Specification 3.0, 6.1; PCI-to-PCI Bridge Architecture
/// Specification 1.2, 3.2).
const COMMAND_STATUS: u16 = 0x04;
const BUS_NUMBERS: u16 = 0x18;
const CAPABILITIES: u16 = 0x34;
const INTERRUPT: u16 = 0x3c;

/// Status, in the upper half of [`COMMAND_STATUS`]: there is a list of capabilities.
const HAS_CAPABILITIES: u32 = 1 << 20;
/// Where the first capability can be, and how many there is room for.
const FIRST_CAPABILITY: u16 = 0x40;
const MAX_CAPABILITIES: usize = 48;
const CAPABILITY_PCIE: u8 = 0x10;
/// What a PCIe capability says of the kind of port (PCI Express Base Specification 3.0, 7.8.2).
const PORT_SHIFT: u32 = 20;
const ROOT_PORT: u8 = 4;
const DOWNSTREAM_PORT: u8 = 6;

/// Base class and sub-class of a bridge from PCI to PCI.
const CLASS_BRIDGE: u32 = 0x0604;
/// What a device answers that isn't ready yet.
const VENDOR_NOT_READY: u16 = 0x0001;

/// A function of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    pub address: PciAddress,
    pub vendor: u16,
    pub device: u16,
    /// Base class, sub-class and programming interface.
    pub class: u32,
    pub revision: u8,
    /// 1 to 4 for INTA to INTD; 0: it has none.
    pub pin: u8,
    /// It has a PCIe capability.
    pub is_express: bool,
    /// The place of the bridge that it is behind, in the list of functions.
    pub parent: Option<usize>,
    pub bridge: Option<Bridge>,
}

/// What else a function is that is a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bridge {
    pub primary: u8,
    pub secondary: u8,
    /// The last bus behind it.
    pub subordinate: u8,
    /// Behind it is a link, with one device.
    pub is_link: bool,
}

impl Bridge {
    /// Puts the bus numbers into a bridge's registers.
    pub fn write_numbers(&self, access: &dyn ConfigRegionAccess, at: PciAddress) {
        write(access, at, BUS_NUMBERS, self.numbers());
    }

    const fn numbers(&self) -> u32 {
        self.primary as u32 | (self.secondary as u32) << 8 | (self.subordinate as u32) << 16
    }
}

/// Why a device is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    #[error("isn't ready")]
    NotReady,
    #[error("has a header of type {0:#x}")]
    Header(u8),
    #[error("is of class {0:06x}, which its header isn't")]
    Class(u32),
    #[error("has a list of capabilities that leads nowhere")]
    Capabilities,
    #[error("doesn't keep its bus numbers")]
    BusNumbers,
    #[error("is a bridge too many: all buses have numbers")]
    NoBus,
    #[error("is a bridge behind {MAX_DEPTH} others")]
    Depth,
    #[error("is a device too many")]
    TooMany,
}

/// All functions behind a host bridge whose PCI domain is `segment`, each behind the bridge that it is
/// behind. None may do DMA when this ends.
#[must_use]
pub fn scan(access: &dyn ConfigRegionAccess, segment: u16) -> Vec<Function> {
    let mut scan = Scan {
        access,
        segment,
        found: Vec::new(),
        next_bus: Some(1),
        left_out: 0,
    };
    // The root bus has one device: the root port.
    scan.device(0, 0, None, 1);
    if scan.left_out > MAX_LINES {
        warn!("pci: {segment:04x}: {} devices are left out", scan.left_out);
    }
    scan.found
}

struct Scan<'a> {
    access: &'a dyn ConfigRegionAccess,
    segment: u16,
    found: Vec<Function>,
    next_bus: Option<u8>,
    left_out: u32,
}

impl Scan<'_> {
    fn device(&mut self, bus: u8, device: u8, parent: Option<usize>, depth: usize) {
        let address = |function| PciAddress::new(self.segment, bus, device, function);
        let addresses: [PciAddress; FUNCTIONS as usize] =
            core::array::from_fn(|function| address(function as u8));
        if self.function(addresses[0], parent, depth) {
            for address in &addresses[1..] {
                self.function(*address, parent, depth);
            }
        }
    }

    /// Whether there is a function that says of its device that it has several.
    fn function(&mut self, at: PciAddress, parent: Option<usize>, depth: usize) -> bool {
        let header = PciHeader::new(at);
        let (vendor, _) = header.id(self.access);
        if vendor == 0xffff || vendor == 0 {
            return false;
        }
        let added = match vendor {
            VENDOR_NOT_READY => Err(Fault::NotReady),
            _ if self.found.len() == MAX_FUNCTIONS => Err(Fault::TooMany),
            _ => self.add(&header, parent, depth),
        };
        match added {
            Ok(()) => header.has_multiple_functions(self.access),
            Err(fault) => {
                self.left_out += 1;
                if self.left_out <= MAX_LINES {
                    warn!("pci: {at} {fault}: it is left out");
                }
                false
            }
        }
    }

    fn add(
        &mut self,
        header: &PciHeader,
        parent: Option<usize>,
        depth: usize,
    ) -> Result<(), Fault> {
        let function = examine(self.access, header, parent)?;
        let Some(bridge) = function.bridge else {
            self.found.push(function);
            return Ok(());
        };
        let bridge = self.number(function.address, bridge, depth)?;
        let place = self.found.len();
        self.found.push(function);
        let devices = if bridge.is_link { 1 } else { DEVICES };
        for device in 0..devices {
            self.device(bridge.secondary, device, Some(place), depth + 1);
        }
        // An empty slot of the host bridge keeps all buses: something may come.
        let is_empty = self.found.len() == place + 1;
        if is_empty && bridge.is_link && parent.is_some() {
            let spare = |next: u8| next.checked_add(SPARE_BUSES);
            self.next_bus = self.next_bus.and_then(spare);
        }
        let last = self.next_bus.map_or(LAST_BUS, |next| next - 1);
        let subordinate = if is_empty && parent.is_none() {
            LAST_BUS
        } else {
            last
        };
        let bridge = Bridge {
            subordinate,
            ..bridge
        };
        bridge.write_numbers(self.access, function.address);
        self.found[place].bridge = Some(bridge);
        Ok(())
    }

    /// Gives a bridge the next bus and, until it is known better, all that follow.
    fn number(&mut self, at: PciAddress, bridge: Bridge, depth: usize) -> Result<Bridge, Fault> {
        if depth == MAX_DEPTH {
            return Err(Fault::Depth);
        }
        let secondary = self.next_bus.ok_or(Fault::NoBus)?;
        let bridge = Bridge {
            secondary,
            subordinate: LAST_BUS,
            ..bridge
        };
        bridge.write_numbers(self.access, at);
        if read(self.access, at, BUS_NUMBERS) & 0xff_ffff != bridge.numbers() {
            write(self.access, at, BUS_NUMBERS, 0);
            return Err(Fault::BusNumbers);
        }
        self.next_bus = secondary.checked_add(1);
        Ok(bridge)
    }
}

/// What a function says of itself. It may do no DMA from then on.
fn examine(
    access: &dyn ConfigRegionAccess,
    header: &PciHeader,
    parent: Option<usize>,
) -> Result<Function, Fault> {
    let address = header.address();
    write(access, address, COMMAND_STATUS, 0);
    let (vendor, device) = header.id(access);
    let (revision, base, sub, interface) = header.revision_and_class(access);
    let class = u32::from(base) << 16 | u32::from(sub) << 8 | u32::from(interface);
    let is_bridge = match header.header_type(access) {
        HeaderType::Endpoint => false,
        HeaderType::PciPciBridge => true,
        HeaderType::CardBusBridge => return Err(Fault::Header(2)),
        HeaderType::Unknown(kind) => return Err(Fault::Header(kind)),
        _ => return Err(Fault::Header(u8::MAX)),
    };
    if is_bridge != (class >> 8 == CLASS_BRIDGE) {
        return Err(Fault::Class(class));
    }
    let port = express_port(access, address)?;
    let bridge = Bridge {
        primary: address.bus(),
        secondary: 0,
        subordinate: 0,
        is_link: matches!(port, Some(ROOT_PORT | DOWNSTREAM_PORT)),
    };
    let pin = (read(access, address, INTERRUPT) >> 8) as u8;
    Ok(Function {
        address,
        vendor,
        device,
        class,
        revision,
        pin: if pin <= 4 { pin } else { 0 },
        is_express: port.is_some(),
        parent,
        bridge: is_bridge.then_some(bridge),
    })
}

/// The kind of port, of a function with a PCIe capability.
fn express_port(access: &dyn ConfigRegionAccess, at: PciAddress) -> Result<Option<u8>, Fault> {
    if read(access, at, COMMAND_STATUS) & HAS_CAPABILITIES == 0 {
        return Ok(None);
    }
    let mut offset = read(access, at, CAPABILITIES) as u16 & 0xfc;
    for _ in 0..MAX_CAPABILITIES {
        if offset == 0 {
            return Ok(None);
        }
        if offset < FIRST_CAPABILITY {
            return Err(Fault::Capabilities);
        }
        let capability = read(access, at, offset);
        if capability as u8 == CAPABILITY_PCIE {
            return Ok(Some((capability >> PORT_SHIFT & 0xf) as u8));
        }
        offset = (capability >> 8) as u16 & 0xfc;
    }
    Err(Fault::Capabilities)
}

fn read(access: &dyn ConfigRegionAccess, at: PciAddress, offset: u16) -> u32 {
    // SAFETY: reading a function's header, or one of its capabilities, has no effect.
    unsafe { access.read(at, offset) }
}

fn write(access: &dyn ConfigRegionAccess, at: PciAddress, offset: u16, value: u32) {
    // SAFETY: the command register gets all that is off, so that the function reaches no memory; bus numbers
    // only say which configuration accesses a bridge passes on.
    unsafe { access.write(at, offset, value) }
}

#[cfg(any(test, fuzzing))]
pub mod sim;
#[cfg(test)]
mod tests;

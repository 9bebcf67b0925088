//! Simulated devices: configuration spaces that bridges pass accesses on to by the bus numbers they got.
extern crate std;
use super::{BUS_NUMBERS, CAPABILITIES, COMMAND_STATUS, HAS_CAPABILITIES};
use core::cell::{Cell, RefCell};
use pci_types::{ConfigRegionAccess, PciAddress};
use std::vec::Vec;

/// How a device misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    None,
    /// Each read answers something else.
    Noise,
    /// It has an id, and nothing but ones behind.
    Ones,
    /// Bus numbers don't stay.
    StuckNumbers,
    /// It answers as all eight functions, and on every bus behind it.
    Everywhere,
}

/// A function of a device.
#[derive(Clone, Debug)]
pub struct SimDevice {
    /// The place of the bridge that it is behind.
    pub parent: Option<usize>,
    pub device: u8,
    pub function: u8,
    pub config: [u32; 64],
    pub lie: Lie,
}

impl SimDevice {
    /// Something of that class, with a header for it.
    pub fn new(parent: Option<usize>, device: u8, class: u32) -> Self {
        let mut config = [0; 64];
        config[0] = 0x0010_1b36;
        config[2] = class << 8 | 2;
        config[3] = u32::from(class >> 8 == super::CLASS_BRIDGE) << 16;
        config[15] = 1 << 8;
        Self {
            parent,
            device,
            function: 0,
            config,
            lie: Lie::None,
        }
    }

    /// The same with a PCIe capability for that kind of port.
    pub fn express(mut self, port: u32) -> Self {
        self.config[1] |= HAS_CAPABILITIES;
        self.config[usize::from(CAPABILITIES) / 4] = 0x48;
        self.config[0x48 / 4] = port << 20 | 0x10;
        self
    }
}

/// A host bridge with devices.
#[derive(Debug, Default)]
pub struct Sim {
    devices: RefCell<Vec<SimDevice>>,
    reads: Cell<u32>,
}

impl Sim {
    pub fn new(devices: Vec<SimDevice>) -> Self {
        Self {
            devices: RefCell::new(devices),
            reads: Cell::new(0),
        }
    }

    /// How often it was read.
    pub fn reads(&self) -> u32 {
        self.reads.get()
    }

    pub fn word(&self, place: usize, offset: u16) -> u32 {
        self.devices.borrow()[place].config[usize::from(offset) / 4]
    }

    /// The place of the device that an access arrives at.
    fn target(&self, at: PciAddress) -> Option<usize> {
        let devices = self.devices.borrow();
        let (mut parent, mut bus) = (None, 0);
        // Each round goes a bridge deeper.
        for _ in 0..=devices.len() {
            let behind = |device: &SimDevice| device.parent == parent;
            if bus == at.bus() {
                return devices.iter().position(|device| {
                    let is_there = device.device == at.device() && device.function == at.function();
                    behind(device) && (is_there || device.lie == Lie::Everywhere)
                });
            }
            let next = devices.iter().position(|device| {
                let [_, secondary, subordinate, _] = numbers(device);
                behind(device) && (secondary..=subordinate).contains(&at.bus()) && secondary > 0
            })?;
            (parent, bus) = (Some(next), numbers(&devices[next])[1]);
        }
        None
    }
}

fn numbers(device: &SimDevice) -> [u8; 4] {
    device.config[usize::from(BUS_NUMBERS) / 4].to_le_bytes()
}

impl ConfigRegionAccess for Sim {
    unsafe fn read(&self, at: PciAddress, offset: u16) -> u32 {
        self.reads.set(self.reads.get() + 1);
        let Some(place) = self.target(at) else {
            return u32::MAX;
        };
        let device = &self.devices.borrow()[place];
        match device.lie {
            Lie::Noise => self.reads.get().wrapping_mul(0x9e37_79b9).rotate_left(13),
            Lie::Ones if offset > 0 => u32::MAX,
            Lie::StuckNumbers if offset == BUS_NUMBERS => 0x00ff_0101,
            _ => device.config[usize::from(offset) / 4 % 64],
        }
    }

    unsafe fn write(&self, at: PciAddress, offset: u16, value: u32) {
        let Some(place) = self.target(at) else { return };
        let device = &mut self.devices.borrow_mut()[place];
        let is_bridge = device.config[3] >> 16 & 0x7f == 1;
        match offset {
            COMMAND_STATUS => device.config[1] = device.config[1] & 0xffff_0000 | value & 0xffff,
            BUS_NUMBERS if is_bridge => device.config[usize::from(BUS_NUMBERS) / 4] = value,
            _ => {}
        }
    }
}

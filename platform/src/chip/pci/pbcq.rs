//! PBCQ: the part of a chip that connects a host bridge with it. It gives the bridge its place in memory
//! and its interrupt numbers, and is reached by XSCOM.
use super::bridge::HostBridge;
use crate::chip::xscom::Xscom;
use crate::memory::region::Region;
use crate::tree::{MAX_REAL, PciBridge};
use asm::ibm_field;
use thiserror::Error;

/// Registers, counted from the bridge's nest address.
const IRSN_COMPARE: u32 = 0x1a;
const IRSN_MASK: u32 = 0x1b;
const LSI_SOURCE_ID: u32 = 0x1f;
const MMIO_BAR: [u32; 2] = [0x40, 0x41];
const PHB_BAR: u32 = 0x42;
const MMIO_MASK: [u32; 2] = [0x43, 0x44];
const BAR_ENABLE: u32 = 0x45;

/// Both windows, the bridge's registers, and interrupts in both directions.
const ENABLE_ALL: u64 = ibm_field(0, 4);
/// Addresses in BARs begin at this bit, masks cover the same bits.
const BAR_SHIFT: u32 = 14;
const IRSN_SHIFT: u32 = 45;
/// The numbers are compared but for their lowest eleven bits: 2048 sources.
const IRSN_ALL: u64 = ibm_field(0, 7);
/// The LSIs are the top eight of the sources.
const LSI_TOP: u64 = ibm_field(0, 7);

/// Real address space of a bridge's registers.
pub const REGISTERS_LEN: u64 = 0x1000;
/// The smallest window for 64-bit addresses: a segment of it for each PE can't be smaller than 1 MiB.
const MIN_M64_LEN: u64 = 256 << 20;
/// Devices with 32-bit addresses have that much of memory.
pub const M32_LEN: u64 = 0x8000_0000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PbcqError {
    #[error("its registers are said to be at {0:#x}")]
    Registers(u64),
    #[error("its window {0} isn't as it should be")]
    Window(usize),
}

/// Switches a bridge on, from whatever state it is in, and answers where it is then. `is_ram`: whether
/// there is memory in a range of addresses.
///
/// # Errors
/// The chip says something of the bridge that can't be; then it is off.
///
/// # Safety
/// `node` is what the machine's tree says.
pub unsafe fn switch_on(
    node: &PciBridge,
    is_qemu: bool,
    is_ram: impl Fn(&Region) -> bool,
) -> Result<HostBridge, PbcqError> {
    // SAFETY: the caller's promise.
    let xscom = unsafe { Xscom::new(node.xscom_base) };
    let register = |number| node.nest_pcba + number;
    let off = || xscom.write(register(BAR_ENABLE), 0);
    // What a run before this one has switched on stays so: QEMU loses the windows within one that is mapped
    // anew. Nothing half on is left.
    if xscom.read(register(BAR_ENABLE)) != ENABLE_ALL {
        off();
    }
    let bridge = place(node, is_qemu, xscom, is_ram).inspect_err(|_| off())?;
    let first_isn = u64::from(bridge.first_isn());
    xscom.write(register(IRSN_COMPARE), first_isn << IRSN_SHIFT);
    xscom.write(register(IRSN_MASK), IRSN_ALL);
    xscom.write(register(LSI_SOURCE_ID), LSI_TOP);
    xscom.write(register(BAR_ENABLE), ENABLE_ALL);
    Ok(bridge)
}

/// Where the chip's registers say that a bridge is.
fn place(
    node: &PciBridge,
    is_qemu: bool,
    xscom: Xscom,
    is_ram: impl Fn(&Region) -> bool,
) -> Result<HostBridge, PbcqError> {
    let register = |number| node.nest_pcba + number;
    let region = |start, len| {
        Region::new(start, len).filter(|region| region.end() <= MAX_REAL && !is_ram(region))
    };
    let window = |place: usize| {
        let bar = xscom.read(register(MMIO_BAR[place]));
        let mask = xscom.read(register(MMIO_MASK[place]));
        let len = (!mask >> BAR_SHIFT) + 1;
        let start = bar >> BAR_SHIFT;
        let fits = start != 0 && len.is_power_of_two() && start.is_multiple_of(len);
        region(start, len).filter(|_| fits)
    };
    let at = xscom.read(register(PHB_BAR)) >> BAR_SHIFT;
    let is_page = at != 0 && at.is_multiple_of(REGISTERS_LEN);
    let registers = region(at, REGISTERS_LEN).filter(|_| is_page);
    let registers = registers.ok_or(PbcqError::Registers(at))?;
    Ok(HostBridge {
        chip: node.chip,
        index: node.index,
        registers: registers.start(),
        m64: window(0)
            .filter(|m64| m64.len_bytes() >= MIN_M64_LEN)
            .ok_or(PbcqError::Window(0))?,
        m32: window(1)
            .filter(|m32| m32.len_bytes() == M32_LEN)
            .ok_or(PbcqError::Window(1))?,
        is_qemu,
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::boxed::Box;
    use std::vec;

    const PCBA: u32 = 0x400;
    const M64: u64 = 0x3_d010_0000_0000;
    const M32: u64 = 0x3_ff80_8000_0000;
    const PHB: u64 = 0x3_fffe_4010_0000;

    /// XSCOM registers 0x400 to 0x450 in memory, each where spread addresses put it.
    struct Chip(Box<[u64]>);

    fn place(register: u32) -> usize {
        let pcba = PCBA + register;
        ((pcba & !0xf) << 1 | (pcba & 0xf)) as usize
    }

    impl Chip {
        /// As a reset leaves it, or a run before it.
        fn new() -> Self {
            let mut chip = Self(vec![0; place(0x60)].into());
            chip.set(MMIO_BAR[0], M64 << BAR_SHIFT);
            chip.set(MMIO_MASK[0], 0xfffc_0000_0000_0000);
            chip.set(MMIO_BAR[1], M32 << BAR_SHIFT);
            chip.set(MMIO_MASK[1], 0xffff_e000_0000_0000);
            chip.set(PHB_BAR, PHB << BAR_SHIFT);
            chip.set(BAR_ENABLE, ENABLE_ALL);
            chip
        }

        fn set(&mut self, register: u32, value: u64) {
            self.0[place(register)] = value.to_be();
        }

        fn get(&self, register: u32) -> u64 {
            u64::from_be(self.0[place(register)])
        }

        fn switch_on(&mut self) -> Result<HostBridge, PbcqError> {
            let node = PciBridge {
                chip: 0,
                index: 1,
                xscom_base: crate::memory::real::address(self.0.as_mut_ptr()),
                nest_pcba: PCBA,
            };
            // SAFETY: all registers of the bridge lie in the memory behind `self.0`.
            unsafe { switch_on(&node, true, |region| region.start() < 4 << 30) }
        }
    }

    #[test]
    fn a_bridge_is_switched_on() {
        let mut chip = Chip::new();
        let bridge = chip.switch_on().unwrap();
        assert_eq!((bridge.registers, bridge.id()), (PHB, 1));
        assert_eq!(bridge.m64, Region::new(M64, 64 << 30).unwrap());
        assert_eq!(bridge.m32, Region::new(M32, 2 << 30).unwrap());
        assert_eq!(chip.get(BAR_ENABLE), 0xf8 << 56);
        assert_eq!(chip.get(IRSN_COMPARE), 0x1000 << 45);
        assert_eq!(chip.get(IRSN_MASK), 0xff << 56);
        assert_eq!(chip.get(LSI_SOURCE_ID), 0xff << 56);
    }

    /// What can't be is refused, and nothing of the bridge is mapped then.
    #[test]
    fn places_that_cannot_be_are_refused() {
        let wrong = [
            (PHB_BAR, 0),
            (PHB_BAR, 0x8000 << BAR_SHIFT),
            (PHB_BAR, (PHB | 0x800) << BAR_SHIFT),
            (PHB_BAR, u64::MAX),
            (MMIO_BAR[0], 0),
            (MMIO_BAR[0], (M64 | 0x1000) << BAR_SHIFT),
            (MMIO_MASK[0], 0xff00_0000_0000_0000 | 1 << 20),
            (MMIO_BAR[1], 0x8000_0000 << BAR_SHIFT),
            (MMIO_MASK[0], u64::MAX),
            (MMIO_MASK[1], 0),
            (MMIO_MASK[1], u64::MAX),
        ];
        for (register, value) in wrong {
            let mut chip = Chip::new();
            chip.set(register, value);
            assert!(chip.switch_on().is_err(), "{register:#x} {value:#x}");
            assert_eq!(chip.get(BAR_ENABLE), 0);
        }
    }
}

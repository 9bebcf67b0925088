//! PHB3, a host bridge of POWER8: configuration accesses, tables, windows, interrupts.
//!
//! Nothing here is unsafe to call: whatever its arguments, a bridge reaches what its tables allow, and those
//! are this driver's own.
mod interrupts;
mod m64;
mod registers;
mod tables;
mod windows;

use super::bridge::{HostBridge, M32_PCI_START, PES};
use super::scan::{Bridge, Function};
use crate::cpu::lock::Lock;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
pub use interrupts::Msi;
use pci_types::{ConfigRegionAccess, PciAddress};
use registers::{ALL, BAR_ENABLE, CONFIG, LSI_TOP, Register, Registers, Table};
use tables::Tables;
use thiserror::Error;
pub use windows::{REAL_GRAIN_BYTES, SECOND_WINDOW, TceWindow};

/// Segments of the window for 32-bit addresses.
pub const M32_SEGMENTS: u64 = 256;
/// What a version register reads as that nobody answers for.
const NOBODY: u64 = u64::MAX;

/// Bridge control, the upper half of the word at this offset of the root port: resets the bus behind.
const BRIDGE_CONTROL: u16 = 0x3c;
const SECONDARY_BUS_RESET: u32 = 1 << 22;

/// Why a bridge doesn't do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PciError {
    #[error("an argument is wrong")]
    Argument,
    #[error("this bridge can't")]
    Unsupported,
    #[error("a window isn't set yet")]
    Partial,
    #[error("nobody answers")]
    Hardware,
    #[error("no memory for tables")]
    NoMemory,
}

/// Bytes of an access to configuration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Byte = 0,
    Half = 1,
    Word = 2,
}

/// Which requester ids a PE gets: those that agree with `rid` where `mask` has ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rids {
    pub rid: u16,
    pub mask: u16,
}

/// A host bridge that is on.
pub struct Phb3 {
    pub bridge: HostBridge,
    registers: Registers,
    tables: Tables,
    /// By PE: what the host has declared frozen.
    frozen: [AtomicU8; PES],
    shared: Lock<Shared>,
}

/// What one thread at a time may use: two pairs of registers, and what belongs to them.
struct Shared {
    /// Windows that are noted, on or off.
    m64: [m64::Window; m64::WINDOWS],
    /// Bus numbers of the bridges behind the root port, which a reset of the bus takes from them.
    numbers: Vec<(PciAddress, Bridge)>,
}

impl Phb3 {
    /// Takes a bridge that the PBCQ has switched on into use, with empty tables.
    ///
    /// # Errors
    /// It doesn't answer, or there is no memory for its tables.
    ///
    /// # Safety
    /// The bridge's registers are mapped where `bridge` says.
    pub unsafe fn start(bridge: HostBridge) -> Result<Self, PciError> {
        // SAFETY: the caller's promise.
        let registers = unsafe { Registers::new(bridge.registers) };
        if registers.read(Register::Version) == NOBODY {
            return Err(PciError::Hardware);
        }
        let phb = Self {
            bridge,
            registers,
            tables: Tables::create().ok_or(PciError::NoMemory)?,
            frozen: [const { AtomicU8::new(0) }; PES],
            shared: Lock::new(Shared {
                m64: Default::default(),
                numbers: Vec::new(),
            }),
        };
        // The tables that a run before this one had are forgotten before the bridge looks at new ones.
        phb.clear_tables();
        phb.point_to_tables();
        Ok(phb)
    }

    fn point_to_tables(&self) {
        const IVT_LEN: u64 = super::bridge::SOURCES as u64;
        let m32 = &self.bridge.m32;
        let tables = &self.tables;
        for (register, value) in [
            (Register::Control, 0),
            (Register::LsiSourceId, LSI_TOP),
            (Register::RttBar, BAR_ENABLE | tables.rtt_address()),
            (Register::PeltvBar, BAR_ENABLE | tables.peltv_address()),
            (Register::PestBar, BAR_ENABLE | tables.pest_address()),
            (
                Register::IvtBar,
                BAR_ENABLE | tables.ivt_address() | IVT_LEN,
            ),
            (Register::RbaBar, 0),
            (Register::M32Base, m32.start()),
            (Register::M32Mask, !(m32.len_bytes() - 1)),
            (Register::M32Start, M32_PCI_START),
            (Register::M64UpperBits, 0),
            (Register::Config, CONFIG),
        ] {
            self.registers.write(register, value);
        }
        self.forget_copies();
    }

    /// What the bridge has copied out of its tables isn't used any more.
    fn forget_copies(&self) {
        for register in [
            Register::RtcInvalidate,
            Register::IvcInvalidate,
            Register::TceKill,
        ] {
            self.registers.write(register, ALL);
        }
    }

    /// Notes what is plugged in: a reset of the bus has to tell bridges their numbers again.
    pub fn note_functions(&self, functions: &[Function]) {
        let behind = functions
            .iter()
            .filter(|function| function.parent.is_some());
        let numbers = behind.filter_map(|function| Some((function.address, function.bridge?)));
        self.shared.lock().numbers = numbers.collect();
    }

    /// No device has a PE, a window or an interrupt, and nothing is frozen.
    pub fn clear_tables(&self) {
        let mut shared = self.shared.lock();
        self.tables.clear();
        self.registers.fill(Table::Lxivt, interrupts::LSI_MASKED);
        for table in [Table::Tvt, Table::M64bt, Table::M32dt] {
            self.registers.fill(table, 0);
        }
        shared.m64 = Default::default();
        self.forget_copies();
        for frozen in &self.frozen {
            frozen.store(0, Relaxed);
        }
    }

    /// Resets the bus behind the root port, or ends the reset.
    pub fn reset_bus(&self, assert: bool) {
        const ROOT_PORT: u16 = 0;
        let access = |value: Option<u32>| match value {
            None => self.read_config(ROOT_PORT, BRIDGE_CONTROL, Width::Word),
            Some(value) => self
                .write_config(ROOT_PORT, BRIDGE_CONTROL, Width::Word, value)
                .map(|()| value),
        };
        let control = access(None).unwrap_or(0);
        let _ = match assert {
            true => access(Some(control | SECONDARY_BUS_RESET)),
            false => access(Some(control & !SECONDARY_BUS_RESET)),
        };
        if !assert {
            // Outermost first: each is reached through those before it.
            let numbers = self.shared.lock().numbers.clone();
            for (address, bridge) in numbers {
                bridge.write_numbers(self, address);
            }
        }
    }

    /// Gives requester ids a PE, or takes it from those that have it.
    pub fn set_pe(&self, pe: u8, rids: Rids, map: bool) {
        let Rids { rid, mask } = rids;
        let shared = self.shared.lock();
        let is_bus = mask & 0xff == 0;
        for bus in (0..=u8::MAX).filter(|&bus| (u16::from(bus) << 8 ^ rid) & mask & 0xff00 == 0) {
            if is_bus && map {
                self.tables.set_bus_pe(bus, pe);
                continue;
            }
            for rid in (0..=u8::MAX)
                .map(|devfn| u16::from(bus) << 8 | u16::from(devfn))
                .filter(|own| (own ^ rid) & mask == 0)
            {
                if map {
                    self.tables.set_pe(rid, pe);
                } else if self.tables.pe(rid) == u16::from(pe) {
                    self.tables.set_pe(rid, super::bridge::RESERVED_PE);
                }
            }
        }
        self.registers.write(Register::RtcInvalidate, ALL);
        drop(shared);
    }

    /// Whether `child` is frozen with `parent`.
    pub fn set_child(&self, parent: u8, child: u8, is_child: bool) {
        let shared = self.shared.lock();
        self.tables.set_child(parent, child, is_child);
        drop(shared);
    }

    /// Gives a segment of the window for 32-bit addresses a PE.
    ///
    /// # Errors
    /// There is no such segment.
    pub fn map_m32(&self, pe: u8, segment: u64) -> Result<(), PciError> {
        if segment >= M32_SEGMENTS {
            return Err(PciError::Argument);
        }
        let _shared = self.shared.lock();
        self.registers
            .set_entry(Table::M32dt, segment, u64::from(pe) << 48);
        Ok(())
    }

    /// Gives a PE a DMA window by tables, or takes it.
    ///
    /// # Errors
    /// The window isn't this PE's, or the tables can't be.
    pub fn map_dma(&self, pe: u8, window: u64, tce: Option<&TceWindow>) -> Result<(), PciError> {
        let entry = match tce {
            Some(tce) => tce.entry().ok_or(PciError::Argument)?,
            None => 0,
        };
        self.set_dma_window(pe, window, entry)
    }

    /// Gives a PE a DMA window onto memory as it is, or takes it (of no length).
    ///
    /// # Errors
    /// The window isn't this PE's, or begins or ends where it can't.
    pub fn map_dma_real(&self, pe: u8, window: u64, start: u64, len: u64) -> Result<(), PciError> {
        let entry = match len {
            0 => 0,
            _ => windows::real_entry(window, start, len).ok_or(PciError::Argument)?,
        };
        self.set_dma_window(pe, window, entry)
    }

    fn set_dma_window(&self, pe: u8, window: u64, entry: u64) -> Result<(), PciError> {
        if window >> 1 != u64::from(pe) {
            return Err(PciError::Argument);
        }
        let _shared = self.shared.lock();
        self.registers.set_entry(Table::Tvt, window, entry);
        Ok(())
    }

    /// What of a PE the host has declared frozen: 1 for accesses to it, 2 for its DMA.
    #[inline]
    pub fn frozen(&self, pe: u8) -> u8 {
        self.frozen[usize::from(pe)].load(Relaxed)
    }

    /// Declares parts of a PE frozen, or not any more.
    pub fn set_frozen(&self, pe: u8, parts: u8, is_frozen: bool) {
        let frozen = &self.frozen[usize::from(pe)];
        match is_frozen {
            true => frozen.fetch_or(parts, Relaxed),
            false => frozen.fetch_and(!parts, Relaxed),
        };
    }

    /// Reads configuration space; all ones where nothing is.
    ///
    /// # Errors
    /// The offset is too large or not a multiple of the width; or the id is on the root bus, where an access
    /// to anything but the root port has no end.
    #[inline(always)]
    pub fn read_config(&self, rid: u16, offset: u16, width: Width) -> Result<u32, PciError> {
        let address = config_address(rid, offset, width)?;
        let _shared = self.shared.lock();
        self.registers.write(Register::ConfigAddress, address);
        Ok(self.registers.read_config(offset, width as u32))
    }

    /// Writes it.
    ///
    /// # Errors
    /// As above.
    #[inline]
    pub fn write_config(
        &self,
        rid: u16,
        offset: u16,
        width: Width,
        value: u32,
    ) -> Result<(), PciError> {
        let address = config_address(rid, offset, width)?;
        let _shared = self.shared.lock();
        self.registers.write(Register::ConfigAddress, address);
        self.registers.write_config(offset, width as u32, value);
        Ok(())
    }
}

impl fmt::Debug for Phb3 {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.bridge.fmt(f)
    }
}

/// What [`Register::ConfigAddress`] is told.
#[inline(always)]
fn config_address(rid: u16, offset: u16, width: Width) -> Result<u64, PciError> {
    const RID_SHIFT: u32 = 44;
    const OFFSET_SHIFT: u32 = 32;
    const ENABLE: u64 = asm::ibm(0);
    if offset > 0xfff || offset & ((1 << width as u16) - 1) != 0 {
        return Err(PciError::Argument);
    }
    if (1..=0xff).contains(&rid) {
        return Err(PciError::Hardware);
    }
    Ok(ENABLE | u64::from(rid) << RID_SHIFT | u64::from(offset & 0xffc) << OFFSET_SHIFT)
}

/// For finding devices.
impl ConfigRegionAccess for Phb3 {
    unsafe fn read(&self, at: PciAddress, offset: u16) -> u32 {
        self.read_config(rid(at), offset, Width::Word)
            .unwrap_or(u32::MAX)
    }

    unsafe fn write(&self, at: PciAddress, offset: u16, value: u32) {
        let _ = self.write_config(rid(at), offset, Width::Word, value);
    }
}

fn rid(at: PciAddress) -> u16 {
    u16::from(at.bus()) << 8 | u16::from(at.device()) << 3 | u16::from(at.function())
}

#[cfg(test)]
mod tests;

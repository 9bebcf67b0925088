//! A bridge's interrupts: MSIs by the table in memory, LSIs by the table on the chip.
use super::registers::{FFI_SOURCE_SHIFT, Register, Table, ivc};
use super::tables::Ive;
use super::{PciError, Phb3};
use crate::chip::interrupts::{MASKED, Route};
use crate::chip::pci::bridge::{FIRST_LSI, SOURCES};
use asm::op;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

const LSI_SERVER_SHIFT: u32 = 40;
const LSI_PRIORITY_SHIFT: u32 = 32;
/// An entry of an LSI that is off.
pub const LSI_MASKED: u64 = (MASKED as u64) << LSI_PRIORITY_SHIFT;

/// In [`Ive::route`] and [`Ive::p`].
const SERVER_SHIFT: u32 = 8;
const P: u8 = 1;
const GEN_SHIFT: u32 = 1;
const GEN_MASK: u8 = 3;
const Q: u8 = 1;

/// An MSI's data has that much of its number, its address the rest.
const DATA_MASK: u32 = 0x1f;
const NUMBER_SHIFT: u32 = 4;
/// Where devices write MSIs to.
const MSI_64: u64 = 1 << 60;
const MSI_32: u64 = 0xffff_0000;

/// Looks at the lock of [`Register::FfiRequest`] before an MSI counts as lost.
const MAX_POLLS: u32 = 10_000;

/// Address and data of an MSI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msi {
    pub address: u64,
    pub data: u32,
}

impl Phb3 {
    /// Says whom a source interrupts. One that the bridge hasn't is nobody's.
    #[inline(never)]
    pub fn set_route(&self, source: u32, route: Route) {
        if let Some(ive) = self.tables.ive(source) {
            self.set_msi_route(source, ive, route);
        } else if let Some(lsi) = lsi(source) {
            let entry = u64::from(route.server) << LSI_SERVER_SHIFT
                | u64::from(route.priority) << LSI_PRIORITY_SHIFT;
            let _shared = self.shared.lock();
            self.registers.set_entry(Table::Lxivt, lsi, entry);
        }
    }

    /// Whom a source interrupts.
    #[inline(never)]
    pub fn route(&self, source: u32) -> Route {
        if let Some(ive) = self.tables.ive(source) {
            let route = u32::from_be(ive.route.load(Relaxed));
            return Route {
                server: (route >> SERVER_SHIFT) as u16,
                priority: route as u8,
            };
        }
        let entry = match lsi(source) {
            Some(lsi) => {
                let _shared = self.shared.lock();
                self.registers.entry(Table::Lxivt, lsi)
            }
            None => LSI_MASKED,
        };
        Route {
            server: (entry >> LSI_SERVER_SHIFT) as u16,
            priority: (entry >> LSI_PRIORITY_SHIFT) as u8,
        }
    }

    /// One store, so that the bridge sees no half of it; what is pending stays so.
    fn set_msi_route(&self, source: u32, ive: &Ive, to: Route) {
        let route = u32::from(to.server) << SERVER_SHIFT | u32::from(to.priority);
        ive.route.store(route.to_be(), Relaxed);
        let change = ivc::SERVER | ivc::PRIORITY;
        let server = u64::from(to.server) << ivc::SERVER_SHIFT;
        let priority = u64::from(to.priority) << ivc::PRIORITY_SHIFT;
        self.update_copy(source, change | server | priority);
        if to.priority == MASKED {
            // One that comes from now on sets Q alone, and is sent when it is unmasked.
            ive.p.store(0, Relaxed);
            ive.q.store(0, Relaxed);
            self.update_copy(source, ivc::P | ivc::Q | ivc::GEN);
        } else if ive.q.load(Acquire) & Q != 0 && ive.p.load(Acquire) & P == 0 {
            self.send_again(source, ive);
        }
    }

    /// The end of an MSI: it may come again; one that has come meanwhile does.
    ///
    /// # Errors
    /// There is no such MSI.
    #[inline]
    pub fn end_msi(&self, source: u32) -> Result<(), PciError> {
        let ive = self.tables.ive(source).ok_or(PciError::Argument)?;
        let old = ive.p.load(Relaxed) >> GEN_SHIFT & GEN_MASK;
        let generation = (old + 1) & GEN_MASK;
        ive.p.store(generation << GEN_SHIFT, Relaxed);
        let generations =
            u64::from(old) << ivc::MATCH_SHIFT | u64::from(generation) << ivc::GEN_SHIFT;
        self.update_copy(source, ivc::P | ivc::GEN | generations);
        // P is seen before Q is looked at: otherwise one that comes in between is lost.
        op::sync();
        if ive.q.load(Acquire) & Q != 0 {
            self.send_again(source, ive);
        }
        Ok(())
    }

    /// The bridge copies entries; it is told of a change.
    #[inline]
    fn update_copy(&self, source: u32, change: u64) {
        self.registers
            .write(Register::IvcUpdate, change | u64::from(source));
    }

    #[cold]
    fn send_again(&self, source: u32, ive: &Ive) {
        if ive.q.fetch_and(!Q, AcqRel) & Q == 0 {
            return;
        }
        self.update_copy(source, ivc::Q);
        // Reading takes the lock, unless it is taken; the bridge gives it back.
        if (0..MAX_POLLS).any(|_| self.registers.read(Register::FfiLock) == 0) {
            let request = u64::from(source) << FFI_SOURCE_SHIFT;
            self.registers.write(Register::FfiRequest, request);
        } else {
            log::warn!(
                "pci: bridge {} never sends MSI {source:#x} again",
                self.bridge.id()
            );
        }
    }

    /// The PE whose devices may send an MSI.
    ///
    /// # Errors
    /// There is no such MSI.
    pub fn set_msi_pe(&self, source: u32, pe: u8) -> Result<(), PciError> {
        let ive = self.tables.ive(source).ok_or(PciError::Argument)?;
        ive.pe.store(u16::from(pe).to_be(), Relaxed);
        let copy = u64::from(source) << ivc::INVALIDATE_SHIFT;
        self.registers.write(Register::IvcInvalidate, copy);
        Ok(())
    }

    /// What a device has to write where, to send an MSI; with an address of 32 bits, if it can't use more.
    ///
    /// # Errors
    /// There is no such MSI.
    pub fn msi(&self, source: u32, is_32_bit: bool) -> Result<Msi, PciError> {
        if source >= FIRST_LSI {
            return Err(PciError::Argument);
        }
        let base = if is_32_bit { MSI_32 } else { MSI_64 };
        Ok(Msi {
            address: base | u64::from(source & !DATA_MASK) << NUMBER_SHIFT,
            data: source & DATA_MASK,
        })
    }
}

fn lsi(source: u32) -> Option<u64> {
    match source {
        FIRST_LSI..SOURCES => Some(u64::from(source - FIRST_LSI)),
        _ => None,
    }
}

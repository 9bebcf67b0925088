//! Windows of memory for 64-bit addresses: their entries in the bridge's table, and who may set them.
//!
//! A window is either cut into a segment for each PE, or all of it is one PE's, as devices with many virtual
//! functions want it. The two forms have units and places of their own in an entry (IODA2, M64BT).
use super::registers::Table;
use super::{PciError, Phb3};
use crate::memory::region::Region;
use asm::ibm;

pub const WINDOWS: usize = 16;
/// A window's place and length are multiples of this; if it is one PE's, of the second.
const UNIT_SHIFT: u32 = 20;
const SINGLE_UNIT_SHIFT: u32 = 25;
const ENABLED: u64 = ibm(0);
const SINGLE: u64 = ibm(1);
/// Addresses have 50 bits.
const ADDRESS_SHIFT: u32 = 50;

/// A window, as hosts have set it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    region: Option<Region>,
    /// Whose all of it is.
    pe: Option<u8>,
    is_on: bool,
}

impl Window {
    fn unit_bytes(&self) -> u64 {
        match self.pe {
            Some(_) => 1 << SINGLE_UNIT_SHIFT,
            None => 1 << UNIT_SHIFT,
        }
    }

    /// The entry that switches it on; `None`: it was never set.
    fn entry(&self) -> Option<u64> {
        let region = self.region?;
        // The mask has a one for each bit of an address that has to agree.
        let mask = |unit_shift: u32| {
            (1 << (ADDRESS_SHIFT - unit_shift)) - (region.len_bytes() >> unit_shift)
        };
        Some(match self.pe {
            None => ENABLED | region.start() >> UNIT_SHIFT << 32 | mask(UNIT_SHIFT),
            Some(pe) => {
                let pe = u64::from(pe);
                let place =
                    region.start() >> SINGLE_UNIT_SHIFT << 37 | mask(SINGLE_UNIT_SHIFT) << 5;
                ENABLED | SINGLE | place | pe >> 5 << 32 | pe & 0x1f
            }
        })
    }
}

impl Phb3 {
    /// Sets a window, with addresses that are the same on both sides; it is off.
    ///
    /// # Errors
    /// There is no such window, or it isn't part of the bridge's own.
    pub fn set_m64(&self, window: u64, region: Region) -> Result<(), PciError> {
        let mut shared = self.shared.lock();
        let noted = shared.m64.get_mut(window as usize);
        let noted = noted.ok_or(PciError::Argument)?;
        let fits = self.bridge.m64.contains(&region)
            && region.len_bytes().is_power_of_two()
            && region.len_bytes() >= noted.unit_bytes()
            && region.start().is_multiple_of(region.len_bytes());
        if !fits {
            return Err(PciError::Argument);
        }
        noted.region = Some(region);
        noted.is_on = false;
        self.registers.set_entry(Table::M64bt, window, 0);
        Ok(())
    }

    /// Gives all of a window to one PE, until it is switched off.
    ///
    /// # Errors
    /// There is no such window; it is on; it was set to what only a window for all PEs can be.
    pub fn give_m64(&self, window: u64, pe: u8) -> Result<(), PciError> {
        let mut shared = self.shared.lock();
        let noted = shared.m64.get_mut(window as usize);
        let noted = noted.ok_or(PciError::Argument)?;
        if noted.is_on {
            return Err(PciError::Partial);
        }
        let given = Window {
            pe: Some(pe),
            ..*noted
        };
        let is_too_small = |region: Region| region.len_bytes() < given.unit_bytes();
        if given.region.is_some_and(is_too_small) {
            return Err(PciError::Argument);
        }
        *noted = given;
        Ok(())
    }

    /// Switches a window on: for `single`, it must be one PE's, else it has a segment for each PE.
    ///
    /// # Errors
    /// There is no such window, it is of the other form, or it was never set.
    pub fn enable_m64(&self, window: u64, single: bool) -> Result<(), PciError> {
        let mut shared = self.shared.lock();
        let noted = shared.m64.get_mut(window as usize);
        let noted = noted.filter(|window| window.pe.is_some() == single);
        let noted = noted.ok_or(PciError::Argument)?;
        let entry = noted.entry().ok_or(PciError::Partial)?;
        noted.is_on = true;
        self.registers.set_entry(Table::M64bt, window, entry);
        Ok(())
    }

    /// Switches a window off. It isn't one PE's any more.
    ///
    /// # Errors
    /// There is no such window.
    pub fn disable_m64(&self, window: u64) -> Result<(), PciError> {
        let mut shared = self.shared.lock();
        let noted = shared.m64.get_mut(window as usize);
        let noted = noted.ok_or(PciError::Argument)?;
        noted.pe = None;
        noted.is_on = false;
        self.registers.set_entry(Table::M64bt, window, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_both_forms() {
        let window = |start, len, pe| Window {
            region: Region::new(start, len),
            pe,
            is_on: false,
        };
        // As the firmware of such machines writes it.
        let all = window(0x3_d000_0000_0000, 64 << 30, None);
        assert_eq!(all.entry(), Some(0xbd00_0000_3fff_0000));
        let least = window(0x3_d020_0040_0000, 1 << 20, None);
        assert_eq!(least.entry(), Some(0xbd02_0004_3fff_ffff));
        // Base in units of 32 MiB from bit 2 on, PE 0xa5 as 5 in bits 27 to 31 and 5 in the last five bits.
        let one = window(0x3_d020_0200_0000, 64 << 20, Some(0xa5));
        let base = 0x3_d020_0200_0000_u64 >> 25 << 37;
        let expected = ibm(0) | ibm(1) | base | 5 << 32 | ((1 << 25) - 2) << 5 | 5;
        assert_eq!(one.entry(), Some(expected));
        assert_eq!(Window::default().entry(), None);
    }
}

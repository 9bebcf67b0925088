//! XSCOM: the chip's internal registers, seen through one window of memory per chip.

use crate::memory::{mmio, real};

/// A chip's window.
#[derive(Clone, Copy, Debug)]
pub struct Xscom {
    base: u64,
}

impl Xscom {
    /// The window at real address `base`.
    ///
    /// # Safety
    /// `base` is where the machine's tree puts a chip's XSCOM window, not memory in use.
    #[must_use]
    pub const unsafe fn new(base: u64) -> Self {
        Self { base }
    }

    /// Where the register with XSCOM address `pcba` (PCB address) is. POWER8 spreads the address:
    /// its low four bits begin at bit 3 of the offset (numbered from the right), the others at
    /// bit 8.
    #[inline]
    const fn address(self, pcba: u32) -> u64 {
        let pcba = pcba as u64;
        self.base + ((pcba & !0xf) << 4 | (pcba & 0xf) << 3)
    }

    /// Reads the 64-bit register `pcba`.
    #[inline]
    #[must_use]
    pub fn read(self, pcba: u32) -> u64 {
        // SAFETY: inside the window that `new` was promised.
        unsafe { mmio::read64(real::ptr(self.address(pcba))) }
    }

    /// Writes the 64-bit register `pcba`.
    #[inline]
    pub fn write(self, pcba: u32, value: u64) {
        // SAFETY: inside the window that `new` was promised.
        unsafe { mmio::write64(real::ptr(self.address(pcba)), value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::XSCOM_WINDOW_LEN;

    #[test]
    fn addresses_are_those_of_power8() {
        // SAFETY: no register is touched.
        let chip = unsafe { Xscom::new(0x3_fc00_0000_0000) };
        assert_eq!(chip.address(0), 0x3_fc00_0000_0000);
        assert_eq!(chip.address(0xb_0020), 0x3_fc00_00b0_0200);
        assert_eq!(chip.address(0xb_0023), 0x3_fc00_00b0_0218);
        assert!(chip.address(u32::MAX) < 0x3_fc00_0000_0000 + 2 * XSCOM_WINDOW_LEN);
    }
}

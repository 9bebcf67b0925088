//! What is fixed about a host bridge: where it is, and the numbers it has.
use crate::memory::region::Region;

/// PEs (partitionable endpoints) of a bridge: the units that errors and DMA windows are kept apart by.
pub const PES: usize = 256;
/// The PE of whatever has no other: it has no DMA window.
pub const RESERVED_PE: u8 = 255;

/// Where devices with 32-bit addresses see their window.
pub const M32_PCI_START: u64 = 0x8000_0000;

/// Interrupts of a bridge: MSIs, and behind them [`LSIS`].
pub const SOURCES: u32 = 2048;
/// Level-signalled interrupts, the last of a bridge's numbers; the first four are INTA to INTD.
pub const LSIS: u32 = 8;
/// The number of the first LSI among a bridge's sources.
pub const FIRST_LSI: u32 = SOURCES - LSIS;

/// MSIs that hosts may use on QEMU: it loses a rejected MSI for ever unless the lower six bits of its number
/// are below 32.
const QEMU_MSIS: u32 = 32;

/// Where a chip's interrupt numbers begin, and those of a bridge within them.
const CHIP_SHIFT: u32 = 13;
const BRIDGE_SHIFT: u32 = 11;

/// A host bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostBridge {
    /// Id of its chip.
    pub chip: u32,
    /// Its place on the chip.
    pub index: u32,
    /// Real address of its registers.
    pub registers: u64,
    /// Memory of devices with 32-bit addresses, as the host sees it: 2 GiB.
    pub m32: Region,
    /// Memory of devices with 64-bit addresses, which are the same on both sides.
    pub m64: Region,
    pub is_qemu: bool,
}

impl HostBridge {
    /// The number by which calls name the bridge; also the PCI domain.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.chip * 4 + self.index
    }

    /// Global number of its first interrupt.
    #[must_use]
    pub const fn first_isn(&self) -> u32 {
        self.chip << CHIP_SHIFT | (self.index + 1) << BRIDGE_SHIFT
    }

    /// How many MSIs hosts may use.
    #[must_use]
    pub const fn msis(&self) -> u32 {
        match self.is_qemu {
            true => QEMU_MSIS,
            false => FIRST_LSI,
        }
    }

    /// Global number of the LSI that a pin (0 for INTA) ends at.
    #[must_use]
    pub const fn lsi(&self, pin: u32) -> u32 {
        self.first_isn() + FIRST_LSI + pin % 4
    }

    /// The source with a global number, if it is one of this bridge.
    #[inline]
    #[must_use]
    pub const fn source(&self, isn: u64) -> Option<u32> {
        let source = isn.wrapping_sub(self.first_isn() as u64);
        match source < SOURCES as u64 {
            true => Some(source as u32),
            false => None,
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn bridge(chip: u32, index: u32) -> HostBridge {
        let at = |base: u64, len| Region::new(base, len).unwrap();
        HostBridge {
            chip,
            index,
            registers: 0x3_fffe_4000_0000 + u64::from(index << 20),
            m32: at(
                0x3_ff80_0000_0000 + u64::from(index) * 0x8000_0000,
                0x8000_0000,
            ),
            m64: at(0x3_d000_0000_0000, 0x10_0000_0000),
            is_qemu: true,
        }
    }

    #[test]
    fn numbers_are_those_of_power8() {
        let first = bridge(0, 0);
        assert_eq!(
            (first.id(), first.first_isn(), first.lsi(0)),
            (0, 0x800, 0xff8)
        );
        assert_eq!((bridge(0, 1).id(), bridge(0, 1).lsi(1)), (1, 0x17f9));
        assert_eq!((bridge(1, 2).id(), bridge(1, 2).first_isn()), (6, 0x3800));
    }

    #[test]
    fn a_number_leads_to_one_source() {
        let bridge = bridge(0, 1);
        assert_eq!(bridge.source(0x1000), Some(0));
        assert_eq!(bridge.source(0x17ff), Some(SOURCES - 1));
        for other in [0xfff, 0x1800, 0x10, u64::MAX] {
            assert_eq!(bridge.source(other), None);
        }
    }
}

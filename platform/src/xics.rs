//! The interrupt presentation controller (ICP) of a thread: IPIs between threads.
//!
//! Register layout as POWER8's ICP has it (PAPR 6 and the XICS chapter of the POWER8 User's
//! Manual): +0 poll, +4 XIRR, +12 MFRR. MFRR is a level: two IPIs can merge into one.
use crate::mmio;

const POLL: u64 = 0;
const XIRR: u64 = 4;
const MFRR: u64 = 12;
/// XISR of an interrupt that MFRR caused.
pub const XISR_IPI: u32 = 2;
const XISR_MASK: u32 = 0x00ff_ffff;
/// No IPI wanted.
const MFRR_NONE: u8 = 0xff;
/// The most favoured priority: passes every CPPR but 0.
const MFRR_NOW: u8 = 0;

/// A thread's ICP, by the real address of its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icp(u64);

impl Icp {
    /// # Safety
    /// `real` is the real address of an ICP page, from the device tree.
    #[must_use]
    pub const unsafe fn new(real: u64) -> Self {
        Self(real)
    }

    /// Lets interrupts of every priority through.
    pub fn open(self) {
        // SAFETY: `self` names an ICP; CPPR is its thread's alone and changes no memory.
        unsafe { mmio::write8(self.0 + XIRR, 0xff) }
    }

    /// Sends the thread an IPI; all earlier stores are seen before it.
    pub fn send_ipi(self) {
        // SAFETY: as above; `write8` orders earlier stores by `sync`.
        unsafe { mmio::write8(self.0 + MFRR, MFRR_NOW) }
    }

    /// An IPI has been sent and not been taken.
    #[must_use]
    pub fn ipi_sent(self) -> bool {
        // SAFETY: reading MFRR has no effect.
        unsafe { mmio::read8(self.0 + MFRR) != MFRR_NONE }
    }

    /// What interrupt is presented, without accepting it; 0 for none.
    #[must_use]
    pub fn poll(self) -> u32 {
        // SAFETY: +0 is XIRR without the side effect.
        unsafe { mmio::read32(self.0 + POLL) & XISR_MASK }
    }

    /// The presented interrupt is an IPI.
    #[must_use]
    pub fn ipi_presented(self) -> bool {
        self.poll() == XISR_IPI
    }

    /// Takes this thread's own IPI: no other is wanted, accept what is presented, end it. An
    /// interrupt from a device is left alone. False: there was no IPI.
    pub fn take_ipi(self) -> bool {
        // SAFETY: `self` is the calling thread's ICP; its registers change no memory.
        unsafe {
            mmio::write8(self.0 + MFRR, MFRR_NONE);
            if !self.ipi_presented() {
                return false;
            }
            let xirr = mmio::read32(self.0 + XIRR);
            mmio::write32(self.0 + XIRR, xirr);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sixteen bytes that stand for an ICP with one interrupt presented.
    fn icp(presented: u32, mfrr: u8) -> [u32; 4] {
        let word = (0xff00_0000 | presented).to_be();
        [word, word, 0, (u32::from(mfrr) << 24).to_be()]
    }

    #[test]
    fn an_ipi_is_taken_and_a_device_is_left() {
        let mut ipi = icp(2, 0);
        // SAFETY: the array lives as long as the test and has the ICP's layout.
        let it = unsafe { Icp::new(crate::real::address(ipi.as_mut_ptr())) };
        assert!(it.ipi_sent() && it.take_ipi() && !it.ipi_sent());
        let mut device = icp(0x1234, 0);
        // SAFETY: as above.
        let it = unsafe { Icp::new(crate::real::address(device.as_mut_ptr())) };
        assert!(!it.take_ipi());
        assert_eq!(it.poll(), 0x1234);
    }
}

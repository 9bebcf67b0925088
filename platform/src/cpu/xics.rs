//! The interrupt presentation controller (ICP) of a thread: IPIs between threads.
//!
//! Register layout as POWER8's ICP has it (PAPR 6 and the XICS chapter of the POWER8 User's
//! Manual): +0 poll, +4 XIRR, +12 MFRR. MFRR is a level: two IPIs can merge into one.
use crate::memory::{mmio, real};
use core::sync::atomic::{Ordering::SeqCst, fence};

const POLL: usize = 0;
const XIRR: usize = 4;
const MFRR: usize = 12;
/// XISR of an interrupt that MFRR caused.
pub const XISR_IPI: u32 = 2;
const XISR_MASK: u32 = 0x00ff_ffff;
/// No IPI wanted.
const MFRR_NONE: u8 = 0xff;
/// The most favoured priority, which passes every CPPR but 0. The firmware's IPIs have it, and nothing
/// else has (`SET_XIVE`).
pub const FIRMWARE_PRIORITY: u8 = 0;
/// CPPR that only [`FIRMWARE_PRIORITY`] passes.
const CPPR_FIRMWARE: u8 = FIRMWARE_PRIORITY + 1;
/// CPPR that every interrupt passes.
const CPPR_ALL: u8 = 0xff;

/// A thread's ICP, by the effective address of its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icp(usize);

impl Icp {
    /// # Safety
    /// `real` is the real address of an ICP page, from the device tree.
    #[must_use]
    pub unsafe fn new(real: u64) -> Self {
        Self(real::ptr(real).expose_provenance())
    }

    #[inline(always)]
    fn register(self, offset: usize) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(self.0 + offset)
    }

    /// For a thread of the firmware's: lets the firmware's IPIs through and nothing else. A host may have left a
    /// device's interrupt to a thread that it has given back, and that would wake the thread without end.
    pub fn hear_firmware(self) {
        self.set_cppr(CPPR_FIRMWARE);
    }

    /// For a thread that becomes a host's: lets interrupts of every priority through.
    pub fn hear_all(self) {
        self.set_cppr(CPPR_ALL);
    }

    fn set_cppr(self, cppr: u8) {
        // SAFETY: `self` names an ICP; CPPR is its thread's alone and changes no memory.
        unsafe { mmio::write8(self.register(XIRR), cppr) }
    }

    /// Sends the thread an IPI; all earlier stores are seen before it.
    #[inline(always)]
    pub fn send_ipi(self) {
        fence(SeqCst);
        self.send_next_ipi();
    }

    /// The same, of stores that were made before an earlier IPI of this thread.
    #[inline(always)]
    pub fn send_next_ipi(self) {
        // SAFETY: as above.
        unsafe { mmio::next_write8(self.register(MFRR), FIRMWARE_PRIORITY) }
    }

    /// Takes back an IPI that its thread hasn't accepted.
    pub fn withdraw_ipi(self) {
        // SAFETY: as above.
        unsafe { mmio::write8(self.register(MFRR), MFRR_NONE) }
    }

    /// An IPI has been sent and not been taken.
    #[must_use]
    pub fn ipi_sent(self) -> bool {
        // SAFETY: reading MFRR has no effect.
        unsafe { mmio::read8(self.register(MFRR)) != MFRR_NONE }
    }

    /// What interrupt is presented, without accepting it; 0 for none.
    #[must_use]
    pub fn poll(self) -> u32 {
        // SAFETY: +0 is XIRR without the side effect.
        unsafe { mmio::read32(self.register(POLL)) & XISR_MASK }
    }

    /// The presented interrupt is an IPI.
    #[must_use]
    pub fn ipi_presented(self) -> bool {
        self.poll() == XISR_IPI
    }

    /// Takes this thread's own IPI: accepts it, wants no other, ends it. An interrupt from a device is
    /// left alone. False: there was no IPI. Memory that is read afterwards is at least as new as what
    /// the IPI's sender saw before it.
    #[inline(always)]
    pub fn take_ipi(self) -> bool {
        self.take_presented_ipi() || self.take_hidden()
    }

    /// The same for one that is presented, as most are; false: it may be there all the same.
    #[inline(always)]
    pub fn take_presented_ipi(self) -> bool {
        // SAFETY: `self` is the calling thread's ICP; its registers change no memory.
        unsafe {
            if mmio::next_read32(self.register(POLL)) & XISR_MASK != XISR_IPI {
                return false;
            }
            let xirr = mmio::next_read32(self.register(XIRR));
            mmio::next_write8(self.register(MFRR), MFRR_NONE);
            mmio::next_write32(self.register(XIRR), xirr);
        }
        fence(SeqCst);
        true
    }

    /// The same for one that isn't presented, since a device's interrupt or CPPR stands before it.
    #[inline(always)]
    fn take_hidden(self) -> bool {
        let sent = self.ipi_sent();
        if sent {
            self.withdraw_ipi();
        }
        fence(SeqCst);
        sent
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

    /// B29.
    #[test]
    fn an_ipi_is_taken_and_a_device_is_left() {
        let mut ipi = icp(2, 0);
        // SAFETY: the array lives as long as the test and has the ICP's layout.
        let it = unsafe { Icp::new(crate::memory::real::address(ipi.as_mut_ptr())) };
        assert!(it.ipi_sent() && it.take_ipi() && !it.ipi_sent());
        for (mfrr, taken) in [(0xff, false), (0, true)] {
            let mut device = icp(0x1234, mfrr);
            // SAFETY: as above.
            let it = unsafe { Icp::new(crate::memory::real::address(device.as_mut_ptr())) };
            assert_eq!(it.take_ipi(), taken);
            assert!(!it.ipi_sent());
            assert_eq!(it.poll(), 0x1234);
        }
    }
}

//! XSCOM: the chip's internal registers, seen through one window of memory per chip.
//!
//! HMER of the thread that makes an access tells how it has ended (POWER8 User's Manual, "HMER"). By an erratum of
//! the processor (HW822317) a thread can be told of the end of another thread's access, so there is one access
//! at a time in the whole machine; and what has failed shows up only when HMER is read once more.

use crate::cpu::hmi::{XSCOM_DONE, XSCOM_FAILED, XSCOM_STATUS, forget_accesses};
use crate::cpu::lock::{Lock, LockGuard};
use crate::memory::{mmio, real};
use thiserror::Error;

/// Looks at HMER before an access counts as lost. One takes about a microsecond.
const MAX_LOOKS: u32 = 100_000;
/// How often an access is made that others block.
const MAX_TRIES: u32 = 1_000;
/// Status: others have blocked the access, and it may be made again.
const BLOCKED: u64 = 1;
/// Registers of the engine that makes accesses: writing 0 to each sets it going again after a failed one, or the
/// next would hang.
const ENGINE: [u32; 3] = [0x0202_000f, 0x0202_0007, 0x0202_0009];

/// Held during an access.
static ACCESS: Lock<()> = Lock::new(());

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum XscomError {
    #[error("XSCOM register {pcba:#x}: status {status}")]
    Failed { pcba: u32, status: u64 },
    #[error("XSCOM register {pcba:#x}: the access never ends")]
    Endless { pcba: u32 },
}

/// A chip's window.
#[derive(Clone, Copy, Debug)]
pub struct Xscom {
    base: u64,
    /// Accesses wait for those of other threads.
    waits: bool,
}

impl Xscom {
    /// The window at real address `base`.
    ///
    /// # Safety
    /// `base` is where the machine's tree puts a chip's XSCOM window, not memory in use.
    #[must_use]
    pub const unsafe fn new(base: u64) -> Self {
        Self { base, waits: true }
    }

    /// The same for a thread's last words: it may hold the lock, or whoever holds it may be dead.
    #[must_use]
    pub const fn without_lock(self) -> Self {
        Self {
            waits: false,
            ..self
        }
    }

    /// Where the register with XSCOM address `pcba` (PCB address) is. POWER8 spreads the address:
    /// its low four bits begin at bit 3 of the offset (numbered from the right), the others at
    /// bit 8.
    #[inline]
    const fn address(self, pcba: u32) -> u64 {
        let pcba = pcba as u64;
        self.base + ((pcba & !0xf) << 4 | (pcba & 0xf) << 3)
    }

    /// For one access, or several that belong together: others wait until it is dropped.
    #[inline]
    #[must_use]
    pub fn begin(self) -> Accesses {
        Accesses {
            window: self,
            _others_wait: self.waits.then(|| ACCESS.lock()),
        }
    }

    /// Reads the 64-bit register `pcba`; all ones if it can't be read.
    #[inline]
    #[must_use]
    pub fn read(self, pcba: u32) -> u64 {
        self.begin().read(pcba).unwrap_or(u64::MAX)
    }

    /// Writes the 64-bit register `pcba`, if it can be written.
    #[inline]
    pub fn write(self, pcba: u32, value: u64) {
        // Who has to know asks [`Accesses`].
        let _ = self.begin().write(pcba, value);
    }
}

/// Accesses by one thread, while others wait.
pub struct Accesses {
    window: Xscom,
    _others_wait: Option<LockGuard<'static, ()>>,
}

impl Accesses {
    /// Reads the 64-bit register `pcba`.
    ///
    /// # Errors
    /// HMER says that the access has failed, or it never ends.
    #[inline]
    pub fn read(&self, pcba: u32) -> Result<u64, XscomError> {
        let address = self.window.address(pcba);
        // SAFETY: inside the window that `new` was promised.
        self.access(pcba, || unsafe { mmio::read64(real::ptr(address)) })
    }

    /// Writes the 64-bit register `pcba`.
    ///
    /// # Errors
    /// As [`Accesses::read`].
    #[inline]
    pub fn write(&self, pcba: u32, value: u64) -> Result<(), XscomError> {
        let address = self.window.address(pcba);
        // SAFETY: inside the window that `new` was promised.
        self.access(pcba, || unsafe { mmio::write64(real::ptr(address), value) })
    }

    #[inline(always)]
    fn access<T>(&self, pcba: u32, once: impl Fn() -> T) -> Result<T, XscomError> {
        forget_accesses();
        let value = once();
        if hmer() & XSCOM_DONE != 0 && hmer() & XSCOM_FAILED == 0 {
            return Ok(value);
        }
        self.finish(pcba, value, once)
    }

    /// Goes on with an access that was made and isn't over, or has failed.
    #[cold]
    #[inline(never)]
    fn finish<T>(&self, pcba: u32, made: T, once: impl Fn() -> T) -> Result<T, XscomError> {
        let mut made = Some(made);
        let result = try_until(pcba, || {
            let value = made.take().unwrap_or_else(|| {
                forget_accesses();
                once()
            });
            (value, ending())
        });
        if result.is_err() {
            self.restart_engine();
        }
        result
    }

    fn restart_engine(&self) {
        for register in ENGINE {
            forget_accesses();
            let address = self.window.address(register);
            // SAFETY: inside the window that `new` was promised.
            unsafe { mmio::write64(real::ptr(address), 0) };
            let _ = ending();
        }
    }
}

/// Makes the access, again if others have blocked it. It tells what HMER was at its end, if that has come.
#[inline]
fn try_until<T>(pcba: u32, mut access: impl FnMut() -> (T, Option<u64>)) -> Result<T, XscomError> {
    let mut status = BLOCKED;
    for _ in 0..MAX_TRIES {
        let (value, hmer) = access();
        let hmer = hmer.ok_or(XscomError::Endless { pcba })?;
        if hmer & XSCOM_FAILED == 0 {
            return Ok(value);
        }
        status = (hmer & XSCOM_STATUS) >> XSCOM_STATUS.trailing_zeros();
        if status != BLOCKED {
            break;
        }
    }
    Err(XscomError::Failed { pcba, status })
}

/// HMER at the end of the access that this thread has made; nothing if it doesn't come.
#[inline]
fn ending() -> Option<u64> {
    (0..MAX_LOOKS).any(|_| hmer() & XSCOM_DONE != 0).then(hmer)
}

#[inline]
fn hmer() -> u64 {
    #[cfg(target_arch = "powerpc64")]
    return asm::spr::read::<{ asm::spr::HMER }>();
    // Registers in memory, which are there at once.
    #[cfg(not(target_arch = "powerpc64"))]
    XSCOM_DONE
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

    const FAILED: u64 = XSCOM_DONE | XSCOM_FAILED;
    const STATUS_SHIFT: u32 = XSCOM_STATUS.trailing_zeros();

    /// The result, and how often the access was made, if HMER is like that each time; `later` from the
    /// fourth on.
    fn accessed(first: Option<u64>, later: Option<u64>) -> (Result<u32, XscomError>, u32) {
        let mut tries = 0;
        let result = try_until(0x2a, || {
            tries += 1;
            (tries, if tries < 4 { first } else { later })
        });
        (result, tries)
    }

    #[test]
    fn an_access_is_made_again_only_if_it_was_blocked() {
        let pcba = 0x2a;
        assert_eq!(accessed(Some(XSCOM_DONE), None), (Ok(1), 1));
        let blocked = Some(FAILED | BLOCKED << STATUS_SHIFT);
        assert_eq!(accessed(blocked, Some(XSCOM_DONE)), (Ok(4), 4));
        for status in [0, 2, 4, 7] {
            let failed = Err(XscomError::Failed { pcba, status });
            let hmer = Some(FAILED | status << STATUS_SHIFT);
            assert_eq!(accessed(hmer, None), (failed, 1));
            assert_eq!(accessed(blocked, hmer), (failed, 4));
        }
    }

    #[test]
    fn an_access_that_stays_blocked_or_never_ends_is_given_up() {
        let pcba = 0x2a;
        let blocked = Some(FAILED | BLOCKED << STATUS_SHIFT);
        let failed = Err(XscomError::Failed { pcba, status: 1 });
        assert_eq!(accessed(blocked, blocked), (failed, MAX_TRIES));
        let endless = Err(XscomError::Endless { pcba });
        assert_eq!(accessed(None, None), (endless, 1));
    }

    #[test]
    fn last_words_dont_wait_for_the_lock() {
        let mut registers = [0; 16];
        let base = real::address(registers.as_mut_ptr());
        // SAFETY: `registers` outlives the window, and the register lies in it.
        let chip = unsafe { Xscom::new(base) };
        let held = ACCESS.lock();
        chip.without_lock().write(3, 5);
        drop(held);
        assert_eq!(chip.begin().read(3), Ok(5));
    }
}

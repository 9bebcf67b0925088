//! NVRAM: a piece of the firmware's own memory that no reset clears. It lasts as long as the machine
//! has power.
use crate::layout::{NVRAM_BYTES, NVRAM_START};
use platform::cpu::lock::{Lock, LockGuard};
use platform::lpc::nvram;
use platform::memory::real;

/// The memory, for who holds the lock.
pub struct Nvram(());

static NVRAM: Lock<Nvram> = Lock::new(Nvram(()));

/// The NVRAM, for as long as the guard lives.
pub fn lock() -> LockGuard<'static, Nvram> {
    NVRAM.lock()
}

impl Nvram {
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the firmware's own memory, kept from the heap; `self` is the one who may use it.
        unsafe { core::slice::from_raw_parts_mut(real::ptr(NVRAM_START), NVRAM_BYTES as usize) }
    }
}

/// Makes sure that there are partitions: after a reset there are, with what was in them.
pub fn init() {
    let mut nvram = lock();
    if !nvram::is_valid(nvram.bytes()) {
        nvram::format(nvram.bytes());
        log::info!("catnap: NVRAM is empty or damaged: it is made anew");
    }
}

/// The part of a call's range that is NVRAM. `None`: it isn't all.
pub fn range(offset: u64, len_bytes: u64) -> Option<core::ops::Range<usize>> {
    let end = offset.checked_add(len_bytes)?;
    (end <= NVRAM_BYTES).then_some(offset as usize..end as usize)
}

//! NVRAM: a piece of the firmware's own memory that no reset clears. On a machine whose flash has a partition
//! for it, what is written is kept there, too; else it lasts as long as the machine has power.
use crate::flash;
use crate::layout::{MAX_NVRAM_BYTES, NVRAM_BYTES, NVRAM_START};
use core::ops::Range;
use platform::cpu::lock::{Lock, LockGuard};
use platform::flash::data::DataError;
use platform::flash::store::{Loaded, Store};
use platform::flash::table;
use platform::lpc::nvram;
use platform::memory::real;

/// The memory, for who holds the lock.
pub struct Nvram {
    len_bytes: usize,
    store: Option<Store>,
}

static NVRAM: Lock<Nvram> = Lock::new(Nvram {
    len_bytes: NVRAM_BYTES as usize,
    store: None,
});

const PARTITION: &str = "NVRAM";

/// The NVRAM, for as long as the guard lives.
pub fn lock() -> LockGuard<'static, Nvram> {
    NVRAM.lock()
}

impl Nvram {
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the firmware's own memory, kept from the heap; who has `self` has the lock.
        unsafe { core::slice::from_raw_parts(real::ptr(NVRAM_START), self.len_bytes) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; `self` is the one who may use it.
        unsafe { core::slice::from_raw_parts_mut(real::ptr(NVRAM_START), self.len_bytes) }
    }

    /// Writes a range, and keeps it if there is flash for that.
    ///
    /// # Errors
    /// The flash fails; the memory has the new content all the same.
    pub fn write(&mut self, range: Range<usize>, from: &[u8]) -> Result<(), DataError> {
        self.bytes_mut()[range.clone()].copy_from_slice(from);
        self.keep(range)
    }

    /// Writes a range to flash, if there is any for that.
    fn keep(&self, range: Range<usize>) -> Result<(), DataError> {
        match (&self.store, flash::flash()) {
            (Some(store), Some(open)) => {
                let write = |at: u64, from: &[u8]| open.flash.write(at, from);
                store.write(self.bytes(), range, write)
            }
            _ => Ok(()),
        }
    }

    /// The part of a call's range that is NVRAM. `None`: it isn't all.
    pub fn range(&self, offset: u64, len_bytes: u64) -> Option<Range<usize>> {
        let end = offset.checked_add(len_bytes)?;
        (end <= self.len_bytes as u64).then_some(offset as usize..end as usize)
    }

    /// Takes what flash has.
    fn load(&mut self) {
        let Some(open) = flash::flash() else { return };
        let Some(partition) = table::find(&open.partitions, PARTITION) else {
            return;
        };
        let store = Store::new(partition, MAX_NVRAM_BYTES as usize);
        self.len_bytes = store.len_bytes();
        self.store = Some(store);
        let read = |at: u64, to: &mut [u8]| open.flash.read(at, to);
        let write = |at: u64, from: &[u8]| open.flash.write(at, from);
        match store.load(self.bytes_mut(), read, write) {
            Ok(Loaded { again, lost_bytes }) => {
                if again {
                    log::info!("catnap: NVRAM: a write that was cut off is done");
                }
                if lost_bytes > 0 {
                    log::warn!(
                        "catnap: NVRAM: {lost_bytes} bytes are lost in flash, and are 0 now"
                    );
                }
            }
            Err(why) => log::warn!("catnap: {why}"),
        }
    }
}

/// Makes sure that there are partitions: in flash, or after a reset, there are, with what was in them.
pub fn init() {
    let mut nvram = lock();
    nvram.load();
    if !nvram::is_valid(nvram.bytes()) {
        nvram::format(nvram.bytes_mut());
        log::info!("catnap: NVRAM is empty or damaged: it is made anew");
        if let Err(why) = nvram.keep(0..nvram.len_bytes) {
            log::warn!("catnap: {why}");
        }
    }
}

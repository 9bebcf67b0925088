//! The second doublewords as the guest has written them: where the entry leads in the guest's memory, and
//! what it allows. Beside each, words of the host's own.
use asm::op;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
use platform::memory::real;

/// A shadow: 16 bytes for each entry of the table.
#[derive(Clone, Copy, Debug)]
pub struct Shadow {
    entries: &'static [[AtomicU64; 2]],
    is_little: bool,
}

impl Shadow {
    /// A shadow of that many entries.
    ///
    /// # Safety
    /// It is in the host's memory, all of it, and stays a shadow while this is used.
    #[inline(always)]
    #[must_use]
    pub unsafe fn at(address: u64, entries: usize, is_little: bool) -> Self {
        // SAFETY: the caller's promise; accesses are atomic.
        let entries = unsafe { core::slice::from_raw_parts(real::ptr(address).cast(), entries) };
        Self { entries, is_little }
    }

    #[inline(always)]
    fn load(&self, word: &AtomicU64) -> u64 {
        match self.is_little {
            true => op::load_little(word),
            false => u64::from_be(word.load(Relaxed)),
        }
    }

    /// What the guest has written; 0 for an entry that isn't there.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, index: u64) -> u64 {
        let entry = self.entries.get(index as usize);
        entry.map_or(0, |entry| self.load(&entry[0]))
    }

    /// The entry's lock is held.
    #[inline(always)]
    pub fn set(&self, index: u64, second: u64) {
        let Some([told, _]) = self.entries.get(index as usize) else {
            return;
        };
        match self.is_little {
            true => op::store_little(told, second),
            false => told.store(second.to_be(), Relaxed),
        }
    }

    /// A new entry: the host's words for it name the entry itself, twice, as Linux's hypervisor has them for
    /// one that is in no list.
    #[inline(always)]
    pub fn begin(&self, index: u64, second: u64) {
        let Some([told, hosts]) = self.entries.get(index as usize) else {
            return;
        };
        let itself = index & 0xffff_ffff | index << 32;
        if self.is_little {
            op::store_little(told, second);
            op::store_little(hosts, itself);
        } else {
            told.store(second.to_be(), Relaxed);
            hosts.store(itself.to_be(), Relaxed);
        }
    }
}

//! Which of the host's pages stand behind a partition's real addresses, as the host says by PARTITION_MEMORY.
//!
//! The map is the host's memory and changes under whoever reads it: each word is read once, and what it says
//! is checked then.
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
use hcalls::memory::{CHUNK_BYTES, CHUNK_WORDS, PAGE_CHANGED, PAGE_READ, PAGE_WRITE};
use platform::memory::real;

/// What stands behind a page of a guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Nothing: the host emulates it.
    Hole,
    /// The host's memory from here on, in one piece.
    Memory {
        real: u64,
        may_write: bool,
        /// The host knows that it has been written.
        changed: bool,
    },
    /// Something that the host has to sort out.
    Odd,
}

/// A map of two levels: words that say where chunks are, and in these a word for each of the host's pages.
#[derive(Clone, Copy, Debug)]
pub struct Map {
    /// Real address of the first level, which is the host's memory.
    pub root: u64,
    /// The partition's real addresses that it is for.
    pub len_bytes: u64,
    pub page_shift: u32,
    /// Whether memory is the host's, all of it.
    pub is_host: fn(address: u64, len_bytes: u64) -> bool,
    /// The same, of the part that most of the host's memory is in: what is said quickly. No for all else.
    pub is_plainly_host: fn(address: u64, len_bytes: u64) -> bool,
}

impl Map {
    /// Words of the first level.
    #[must_use]
    pub const fn root_words(len_bytes: u64, page_shift: u32) -> u64 {
        (len_bytes >> page_shift).div_ceil(CHUNK_WORDS)
    }

    /// The word for the page at `guest`, which is below `len_bytes`.
    #[inline(always)]
    fn word(&self, guest: u64) -> Option<&'static AtomicU64> {
        self.word_if(guest, self.is_host)
    }

    #[inline(always)]
    fn word_if(&self, guest: u64, is_host: fn(u64, u64) -> bool) -> Option<&'static AtomicU64> {
        let page = guest >> self.page_shift;
        let at = self.root + page / CHUNK_WORDS * 8;
        // SAFETY: the first level was the host's memory when the map was set, and as long as it says.
        let chunk = u64::from_be(unsafe { &*real::ptr(at).cast::<AtomicU64>() }.load(Relaxed));
        if chunk == 0 || chunk % CHUNK_BYTES != 0 || !is_host(chunk, CHUNK_BYTES) {
            return None;
        }
        let at = chunk + page % CHUNK_WORDS * 8;
        // SAFETY: a chunk of the host's memory.
        Some(unsafe { &*real::ptr(at).cast::<AtomicU64>() })
    }

    #[inline(always)]
    fn page(&self, guest: u64) -> Backing {
        let word = self.word(guest).map_or(0, |word| word.load(Relaxed));
        self.named(u64::from_be(word), self.is_host)
    }

    /// What a word says.
    #[inline(always)]
    fn named(&self, word: u64, is_host: fn(u64, u64) -> bool) -> Backing {
        if word & PAGE_READ == 0 {
            return Backing::Hole;
        }
        let page_bytes = 1 << self.page_shift;
        let real = word & !(PAGE_READ | PAGE_WRITE | PAGE_CHANGED);
        if real & (page_bytes - 1) != 0 || !is_host(real, page_bytes) {
            return Backing::Odd;
        }
        Backing::Memory {
            real,
            may_write: word & PAGE_WRITE != 0,
            changed: word & PAGE_CHANGED != 0,
        }
    }

    /// As [`Self::backing`], of pages no larger than the host's. None: what can't be said quickly.
    #[inline(always)]
    pub(super) fn plain_backing(&self, guest: u64) -> Option<Backing> {
        if guest >= self.len_bytes {
            return None;
        }
        let word = self.word_if(guest, self.is_plainly_host)?.load(Relaxed);
        match self.named(u64::from_be(word), self.is_plainly_host) {
            Backing::Memory {
                real,
                may_write,
                changed,
            } => Some(Backing::Memory {
                real: real | guest & ((1 << self.page_shift) - 1),
                may_write,
                changed,
            }),
            _ => None,
        }
    }

    /// What stands behind a page of the guest's that begins at `guest`, a multiple of its size.
    #[inline(always)]
    #[must_use]
    pub fn backing(&self, guest: u64, shift: u32) -> Backing {
        if guest >= self.len_bytes {
            return Backing::Hole;
        }
        if shift > self.page_shift {
            return self.larger(guest, shift);
        }
        match self.page(guest) {
            Backing::Memory {
                real,
                may_write,
                changed,
            } => Backing::Memory {
                real: real | guest & ((1 << self.page_shift) - 1),
                may_write,
                changed,
            },
            other => other,
        }
    }

    /// A page that is larger than the host's: its memory has to be one piece, and to lie as the hardware
    /// wants.
    #[inline(never)]
    fn larger(&self, guest: u64, shift: u32) -> Backing {
        let (len_bytes, page_bytes) = (1_u64 << shift, 1_u64 << self.page_shift);
        if guest + len_bytes > self.len_bytes {
            return Backing::Odd;
        }
        let whole = self.page(guest);
        let Backing::Memory {
            real: first,
            mut may_write,
            mut changed,
        } = whole
        else {
            let all = (0..len_bytes >> self.page_shift)
                .all(|page| self.page(guest + page * page_bytes) == whole);
            return if all { whole } else { Backing::Odd };
        };
        for page in 1..len_bytes >> self.page_shift {
            let at = page * page_bytes;
            match self.page(guest + at) {
                Backing::Memory {
                    real,
                    may_write: write,
                    changed: known,
                } if real == first + at => {
                    may_write &= write;
                    changed &= known;
                }
                _ => return Backing::Odd,
            }
        }
        match first % len_bytes {
            0 => Backing::Memory {
                real: first,
                may_write,
                changed,
            },
            _ => Backing::Odd,
        }
    }

    /// As [`Self::note_changed`], of pages no larger than the host's. No: it can't be done quickly.
    #[inline(always)]
    pub(super) fn note_plain_change(&self, guest: u64, shift: u32) -> bool {
        if guest >= self.len_bytes || shift > self.page_shift {
            return false;
        }
        let word = self.word_if(guest, self.is_plainly_host);
        word.map(note).is_some()
    }

    /// Notes for the host that a page of the guest's has been written.
    #[inline(always)]
    pub fn note_changed(&self, guest: u64, shift: u32) {
        let page_bytes = 1 << self.page_shift;
        let mut at = guest;
        while at < self.len_bytes && at < guest + (1 << shift) {
            self.word(at).map(note);
            at += page_bytes;
        }
    }
}

#[inline(always)]
fn note(word: &AtomicU64) {
    if u64::from_be(word.load(Relaxed)) & PAGE_CHANGED == 0 {
        word.fetch_or(PAGE_CHANGED.to_be(), Relaxed);
    }
}

//! One word of state, changed by compare-and-swap.
use super::sync::{AtomicU64, Ordering};

/// The word.
#[derive(Debug, Default)]
pub(super) struct Word(AtomicU64);

impl Word {
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[cfg(all(test, not(loom)))]
    pub fn with(word: u64) -> Self {
        Self(AtomicU64::new(word))
    }

    /// The word itself.
    #[cfg(all(test, loom))]
    pub fn atomic(&self) -> &AtomicU64 {
        &self.0
    }

    /// The word now; what its writers wrote before it is seen.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// The word now, to decide by; nothing else that its writers wrote counts as seen.
    pub fn peek(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Writes the word; whoever sees it sees what was written before.
    pub fn set(&self, word: u64) {
        self.0.store(word, Ordering::Release);
    }

    /// Sets bits; answers the word as it was.
    pub fn set_bits(&self, bits: u64) -> u64 {
        self.0.fetch_or(bits, Ordering::AcqRel)
    }

    /// Clears bits; answers the word as it was.
    pub fn clear_bits(&self, bits: u64) -> u64 {
        self.0.fetch_and(!bits, Ordering::AcqRel)
    }

    /// Clears bits as the last thing that a thread does: only what came before is ordered.
    pub fn clear_bits_last(&self, bits: u64) {
        self.0.fetch_and(!bits, Ordering::Release);
    }

    /// Takes `one`, a field's lowest bit, from the field.
    pub fn subtract(&self, one: u64) {
        self.0.fetch_sub(one, Ordering::AcqRel);
    }

    /// Tries once to change the word to what `change` makes of it; that is the answer. `None`:
    /// `change` refused, or the word has changed meanwhile. For the frequent case: what has to be
    /// kept for another try costs the first one.
    #[inline(always)]
    pub fn try_change(&self, change: impl FnOnce(u64) -> Option<u64>) -> Option<u64> {
        // Relaxed: as in `update`.
        let now = self.peek();
        let new = change(now)?;
        self.exchange(now, new).then_some(new)
    }

    /// Tries once to change the word from what it was found to be. False: it has changed meanwhile.
    #[inline(always)]
    pub fn exchange(&self, now: u64, new: u64) -> bool {
        self.0
            .compare_exchange_weak(now, new, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Changes the word in one step; `change` may refuse, with an answer of its own.
    pub fn update<T>(&self, mut change: impl FnMut(u64) -> (Option<u64>, T)) -> T {
        // Relaxed: what is read here only counts if the exchange below, or a later one, finds it
        // still true; an answer without an exchange has nothing to be ordered.
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            let (new, answer) = change(now);
            let Some(new) = new else { return answer };
            match self
                .0
                .compare_exchange_weak(now, new, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return answer,
                Err(seen) => now = seen,
            }
        }
    }
}

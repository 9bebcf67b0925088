//! Which vcpu sits on which thread of a core, and the letters that call threads to their vcpus.
//!
//! A *letter* says which vcpu a thread is to run; it is never 0. Letters are written before the
//! word is opened ([`super::start::open`]), or, for a late joiner, once [`super::Entry::reserve`]
//! has given it a thread; either way before the thread's IPI.

use super::Mask;
use super::sync::{AtomicU8, AtomicU64, Ordering, fence};

const THREADS: usize = 8;

/// The seats of a core, kept for the whole run.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Seating {
    /// By ptid: a letter that was not taken yet; 0 for none (B23).
    pub(super) mailboxes: [AtomicU64; THREADS],
    /// By ptid: the letter with which the thread was called last.
    pub(super) seats: [AtomicU64; THREADS],
    /// One bit per ptid that was called for the present run.
    pub(super) taken: AtomicU8,
}

impl Seating {
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            mailboxes: [const { AtomicU64::new(0) }; THREADS],
            seats: [const { AtomicU64::new(0) }; THREADS],
            taken: AtomicU8::new(0),
        }
    }

    /// The runner gives each of the queue's vcpus a thread: the lowest ones, in turn (B14). Seen by
    /// others once the word is open. Answers which threads.
    #[inline(always)]
    pub fn assign_packed(&self, letters: impl Iterator<Item = u64>) -> Mask {
        let mut next = 1;
        let threads = self.seats.iter().zip(&self.mailboxes);
        for ((seat, mailbox), letter) in threads.zip(letters) {
            seat.store(letter, Ordering::Relaxed);
            mailbox.store(letter, Ordering::Relaxed);
            next <<= 1;
        }
        self.begin((next - 1) as Mask)
    }

    /// The same, each vcpu on the thread with its slot's number (B15).
    #[inline(always)]
    pub fn assign_aligned(&self, letters: impl Iterator<Item = (usize, u64)>) -> Mask {
        let mut seats = 0;
        for (slot, letter) in letters {
            self.seats[slot].store(letter, Ordering::Relaxed);
            self.mailboxes[slot].store(letter, Ordering::Relaxed);
            seats |= 1 << slot;
        }
        self.begin(seats)
    }

    fn begin(&self, seats: Mask) -> Mask {
        self.taken.store(seats, Ordering::Relaxed);
        seats
    }

    /// A late joiner has reserved the thread. Release: who sees the bit sees the seat, and who
    /// takes the letter sees both.
    pub fn join(&self, ptid: usize, letter: u64) {
        self.seats[ptid].store(letter, Ordering::Relaxed);
        self.taken.fetch_or(1 << ptid, Ordering::Release);
        self.mailboxes[ptid].store(letter, Ordering::Release);
    }

    /// The thread takes its letter; 0 if there is none. Nobody writes another until the thread has
    /// reported.
    #[inline(always)]
    pub fn take_letter(&self, ptid: usize) -> u64 {
        let letter = self.mailboxes[ptid].load(Ordering::Acquire);
        if letter != 0 {
            self.mailboxes[ptid].store(0, Ordering::Relaxed);
        }
        letter
    }

    /// The same for a thread that has just taken its IPI, or found that there is none: the barrier that goes
    /// with that orders the letter, and what was written before it.
    #[inline(always)]
    pub fn take_letter_behind_barrier(&self, ptid: usize) -> u64 {
        let letter = self.mailboxes[ptid].load(Ordering::Relaxed);
        if letter != 0 {
            self.mailboxes[ptid].store(0, Ordering::Relaxed);
        }
        letter
    }

    /// The thread has taken a letter before it was called, and leaves it for then.
    pub fn put_back(&self, ptid: usize) {
        self.mailboxes[ptid].store(self.seat(ptid), Ordering::Relaxed);
    }

    /// There is a letter for the thread. It has to be taken before anything is made of it.
    #[inline(always)]
    pub fn has_letter(&self, ptid: usize) -> bool {
        self.mailboxes[ptid].load(Ordering::Relaxed) != 0
    }

    /// The letter with which the thread was called.
    #[inline(always)]
    pub fn seat(&self, ptid: usize) -> u64 {
        self.seats[ptid].load(Ordering::Relaxed)
    }

    /// Threads that were called for the present run, late joiners included.
    #[inline(always)]
    pub fn taken(&self) -> Mask {
        self.taken.load(Ordering::Relaxed)
    }

    /// The thread that was called with this letter in the present run.
    #[inline(always)]
    pub fn find(&self, letter: u64) -> Option<usize> {
        let taken = self.taken();
        fence(Ordering::Acquire);
        (0..THREADS).find(|&ptid| self.seat(ptid) == letter && taken & 1 << ptid != 0)
    }
}

#[cfg(all(test, not(loom)))]
#[path = "seating_tests.rs"]
mod tests;

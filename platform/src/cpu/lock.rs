//! The firmware's one kind of lock.
use asm::op;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// First come, first served; waiters spin at low thread priority.
///
/// A host's system reset can strike a thread in a call, and the host may never return there. So nobody waits
/// for ever: a lock that isn't given back for [`PATIENCE_TB`] is taken from whoever holds it. A
/// holder that comes back after all gives back nothing.
pub struct Lock<T> {
    /// The ticket of who comes next.
    next: AtomicU32,
    /// The ticket of who has the lock, or may take it.
    serving: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by a guard alone, and there is one guard at a time; but for a thread that
// was struck in a call and is back after its lock was taken, see `PATIENCE_TB`.
unsafe impl<T: Send> Sync for Lock<T> {}

/// How long the holder of a lock may keep it, 2 s: far more than any call of the firmware's takes.
/// Whoever has a lock for longer was struck there by a system reset.
pub const PATIENCE_TB: u64 = 2 * hcalls::trace::TB_HZ;
/// What one look at the clock counts for at most, 0.1 s: a world switch moves the time base.
const STEP_TB: u64 = PATIENCE_TB / 20;

/// Held until dropped.
pub struct LockGuard<'a, T> {
    lock: &'a Lock<T>,
    ticket: u32,
    _counted: Counted,
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: this guard has the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard has the lock.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for LockGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        let next = self.ticket.wrapping_add(1);
        let serving = &self.lock.serving;
        // It fails if the lock was taken away: then it is another's to give back.
        let _ = serving.compare_exchange(self.ticket, next, Release, Relaxed);
    }
}

/// One of the locks that a thread holds, by its own count: no call may end with one left.
struct Counted(());

impl Counted {
    #[inline(always)]
    fn new() -> Self {
        count(1);
        Self(())
    }
}

impl Drop for Counted {
    #[inline(always)]
    fn drop(&mut self) {
        count(-1);
    }
}

#[inline(always)]
fn count(change: i64) {
    #[cfg(target_arch = "powerpc64")]
    // SAFETY: r13 holds this thread's area, which no other thread writes.
    unsafe {
        let locks = &raw mut (*asm::op::area()).locks;
        *locks = (*locks).wrapping_add_signed(change);
    }
    #[cfg(not(target_arch = "powerpc64"))]
    let _ = change;
}

/// What a waiter does between two looks: yields the core's issue slots to its
/// siblings. Back at medium priority afterwards, so that the holder-to-be isn't slow.
#[inline(always)]
pub fn relax() {
    op::relax();
    op::unrelax();
}

/// How long a waiter has seen the same holder.
struct Patience {
    looked_tb: u64,
    waited_tb: u64,
}

impl Patience {
    fn new() -> Self {
        Self {
            looked_tb: op::time_tb(),
            waited_tb: 0,
        }
    }

    /// Whether it is over with the `ahead`th in line, at this time. The first is the first to lose it: it
    /// may itself be one that never comes back.
    fn is_over(&mut self, now_tb: u64, ahead: u32) -> bool {
        let step_tb = now_tb.wrapping_sub(self.looked_tb).min(STEP_TB);
        self.waited_tb += step_tb;
        self.looked_tb = now_tb;
        self.waited_tb > PATIENCE_TB * u64::from(ahead)
    }
}

impl<T> Lock<T> {
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self {
            next: AtomicU32::new(0),
            serving: AtomicU32::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits for the lock. Not for interrupt handlers: the thread they interrupted may hold it.
    #[inline]
    pub fn lock(&self) -> LockGuard<'_, T> {
        let ticket = self.next.fetch_add(1, Relaxed);
        if self.serving.load(Acquire) == ticket {
            return self.guard(ticket);
        }
        self.guard(self.wait(ticket))
    }

    /// The ticket that has the lock in the end: another one, if this was passed over.
    #[cold]
    #[inline(never)]
    fn wait(&self, mut ticket: u32) -> u32 {
        let mut seen = self.serving.load(Acquire);
        let mut patience = Patience::new();
        loop {
            let serving = self.serving.load(Acquire);
            if serving == ticket {
                return ticket;
            }
            let ahead = ticket.wrapping_sub(serving);
            if ahead.cast_signed() < 0 {
                ticket = self.next.fetch_add(1, Relaxed);
            } else if serving != seen {
                seen = serving;
                patience = Patience::new();
            } else if patience.is_over(op::time_tb(), ahead) && self.take(serving, ticket) {
                return ticket;
            }
            relax();
        }
    }

    /// Takes the lock from who has had it all the time.
    fn take(&self, serving: u32, ticket: u32) -> bool {
        let taken = self
            .serving
            .compare_exchange(serving, ticket, Acquire, Relaxed);
        taken.is_ok()
    }

    /// The lock, if nobody holds it or waits for it.
    #[inline]
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        let ticket = self.serving.load(Acquire);
        let mine = self
            .next
            .compare_exchange(ticket, ticket.wrapping_add(1), Acquire, Relaxed);
        mine.is_ok().then(|| self.guard(ticket))
    }

    #[inline(always)]
    fn guard(&self, ticket: u32) -> LockGuard<'_, T> {
        LockGuard {
            lock: self,
            ticket,
            _counted: Counted::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn counts_of_two_threads_add_up() {
        let sum = Lock::new(0_u32);
        std::thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| (0..10_000).for_each(|_| *sum.lock() += 1));
            }
        });
        assert_eq!(*sum.lock(), 20_000);
    }

    #[test]
    fn a_held_lock_is_not_given_out() {
        let lock = Lock::new(());
        let held = lock.lock();
        assert!(lock.try_lock().is_none());
        drop(held);
        assert!(lock.try_lock().is_some());
    }

    #[test]
    fn tickets_may_wrap() {
        let mut lock = Lock::new(());
        for word in [&mut lock.next, &mut lock.serving] {
            *word.get_mut() = u32::MAX;
        }
        drop(lock.lock());
        let held = lock.try_lock().unwrap();
        assert!(lock.try_lock().is_none());
        drop(held);
        drop(lock.lock());
    }

    #[test]
    fn a_lock_is_lost_by_who_never_comes_back_and_by_who_comes_late() {
        let lock = Lock::new(1);
        let lost = lock.lock();
        let ticket = lock.next.fetch_add(1, Relaxed);
        assert!(lock.take(lost.ticket, ticket));
        let mut taken = lock.guard(ticket);
        *taken = 2;
        drop(lost);
        assert!(lock.try_lock().is_none(), "the late one has given it back");
        drop(taken);
        assert_eq!(*lock.lock(), 2);
    }

    #[test]
    fn nobody_takes_from_who_has_just_got_it() {
        let lock = Lock::new(());
        let first = lock.lock();
        let (second, third) = (
            lock.next.fetch_add(1, Relaxed),
            lock.next.fetch_add(1, Relaxed),
        );
        assert!(lock.take(first.ticket, second));
        assert!(!lock.take(first.ticket, third));
    }

    /// Its holder and the first in line are both lost.
    #[test]
    fn who_was_passed_over_stands_in_line_again() {
        let lock = Lock::new(());
        let lost = lock.lock();
        let passed_over = lock.next.fetch_add(1, Relaxed);
        let ticket = lock.next.fetch_add(1, Relaxed);
        assert!(lock.take(lost.ticket, ticket));
        drop(lock.guard(ticket));
        assert_eq!(lock.wait(passed_over), ticket.wrapping_add(1));
    }

    #[test]
    fn patience_ends_after_its_time_and_for_the_next_in_line_first() {
        let mut patience = Patience {
            looked_tb: 0,
            waited_tb: 0,
        };
        let steps = PATIENCE_TB / STEP_TB;
        for step in 1..=steps {
            assert!(!patience.is_over(step * STEP_TB, 1));
        }
        let now_tb = (steps + 1) * STEP_TB;
        assert!(patience.is_over(now_tb, 1));
        assert!(!patience.is_over(now_tb, 2));
    }

    #[test]
    fn a_clock_that_jumps_is_not_believed() {
        let mut patience = Patience {
            looked_tb: 1 << 50,
            waited_tb: 0,
        };
        for now_tb in [1 << 60, 0, u64::MAX, 1] {
            assert!(!patience.is_over(now_tb, 1));
        }
        assert!(patience.waited_tb <= 4 * STEP_TB);
    }
}

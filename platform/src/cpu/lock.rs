//! The firmware's one kind of lock.
use core::ops::{Deref, DerefMut};
use spin::RelaxStrategy;
use spin::mutex::ticket::{TicketMutex, TicketMutexGuard};

/// First come, first served; waiters spin at low thread priority.
pub struct Lock<T>(TicketMutex<T, LowPriority>);

/// Held until dropped.
pub struct LockGuard<'a, T> {
    guard: TicketMutexGuard<'a, T, LowPriority>,
    _counted: Counted,
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
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

/// What a waiter does between two looks at the lock: yields the core's issue slots to its
/// siblings. Back at medium priority afterwards, so that the holder-to-be isn't slow.
pub struct LowPriority;

impl RelaxStrategy for LowPriority {
    #[inline(always)]
    fn relax() {
        asm::op::relax();
        asm::op::unrelax();
    }
}

impl<T> Lock<T> {
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self(TicketMutex::new(value))
    }

    /// Waits for the lock. Not for interrupt handlers: the thread they interrupted may hold it.
    #[inline]
    pub fn lock(&self) -> LockGuard<'_, T> {
        LockGuard {
            guard: self.0.lock(),
            _counted: Counted::new(),
        }
    }

    /// Waits for the lock until `is_over`: then it is taken from whoever holds it.
    ///
    /// # Safety
    /// The machine is about to end, and nobody will go on with what the lock guards.
    pub unsafe fn lock_or_break(&self, is_over: impl Fn() -> bool) -> LockGuard<'_, T> {
        loop {
            if let Some(guard) = self.try_lock() {
                return guard;
            }
            LowPriority::relax();
            if is_over() {
                // SAFETY: the caller's promise.
                unsafe { self.0.force_unlock() };
            }
        }
    }

    /// The lock, if nobody holds it or waits for it.
    #[inline]
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        self.0.try_lock().map(|guard| LockGuard {
            guard,
            _counted: Counted::new(),
        })
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
    fn a_lock_that_is_never_given_back_can_be_broken() {
        let lock = Lock::new(1);
        std::mem::forget(lock.lock());
        // SAFETY: nobody goes on with it.
        let mut taken = unsafe { lock.lock_or_break(|| true) };
        *taken = 2;
        assert!(lock.try_lock().is_none());
        drop(taken);
        assert_eq!(*lock.lock(), 2);
    }
}

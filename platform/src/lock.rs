//! The firmware's one kind of lock.
use spin::RelaxStrategy;
use spin::mutex::ticket::{TicketMutex, TicketMutexGuard};

/// First come, first served; waiters spin at low thread priority.
pub struct Lock<T>(TicketMutex<T, LowPriority>);

/// Held until dropped.
pub type LockGuard<'a, T> = TicketMutexGuard<'a, T, LowPriority>;

/// What a waiter does between two looks at the lock: yields the core's issue slots to its
/// siblings. Back at medium priority afterwards, so that the holder-to-be isn't slow.
pub struct LowPriority;

impl RelaxStrategy for LowPriority {
    #[inline(always)]
    fn relax() {
        #[cfg(target_arch = "powerpc64")]
        {
            asm::op::relax();
            asm::op::unrelax();
        }
        #[cfg(not(target_arch = "powerpc64"))]
        core::hint::spin_loop();
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
        self.0.lock()
    }

    /// The lock, if nobody holds it or waits for it.
    #[inline]
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        self.0.try_lock()
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
}

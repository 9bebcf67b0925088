//! Atomics: the machine's, or loom's when it explores the protocol.
#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

/// What this thread has written is seen by all before it reads or writes anything further, devices
/// and registers that the core shares included: `sync` on POWER.
#[inline(always)]
pub fn full_barrier() {
    fence(Ordering::SeqCst);
}

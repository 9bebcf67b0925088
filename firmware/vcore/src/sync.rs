//! Atomics: the machine's; on the build host the simulated machine's, whose threads take turns at each access; or
//! loom's when it explores the protocol.
#[cfg(all(target_arch = "powerpc64", not(loom)))]
pub use core::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence,
};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};
#[cfg(all(not(target_arch = "powerpc64"), not(loom)))]
pub use {
    asm::sim::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, fence},
    core::sync::atomic::Ordering,
};

/// What this thread has written is seen by all before it reads or writes anything further, devices
/// and registers that the core shares included: `sync` on POWER.
#[inline(always)]
pub fn full_barrier() {
    fence(Ordering::SeqCst);
}

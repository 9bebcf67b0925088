//! Stands for nap.
use super::hart::State;
use super::{Next, go, hart};

/// Until something wakes the thread; answers SRR1.
///
/// # Safety
/// As on the machine.
pub unsafe fn nap() -> u64 {
    hart().nap(State::Naps)
}

/// The thread goes on in its area's `woken`, when it is called.
///
/// # Safety
/// As on the machine.
pub unsafe fn nap_for_good() -> ! {
    go(Next::Nap)
}

/// Has an address, and is not called.
pub fn renap() {}

//! Stands for single instructions.
use super::hart;
use crate::area::ThreadArea;
use core::sync::atomic::{Ordering::SeqCst, fence};

macro_rules! fences {
    ($($name:ident),+) => {
        $(/// A barrier.
        pub fn $name() {
            fence(SeqCst);
        })+
    };
}
fences!(sync, ptesync, lwsync, isync);

/// Nothing is predicted here.
pub fn clear_branch_history() {}

/// Nobody attends.
pub fn attn() {}

/// Lets others run.
pub fn relax() {
    super::relax();
}

/// Priorities aren't simulated.
pub fn unrelax() {}

/// The time base.
#[must_use]
pub fn time_tb() -> u64 {
    hart().now_tb()
}

/// This thread's area.
#[must_use]
pub fn area() -> *mut ThreadArea {
    hart().area.get()
}

/// Makes `area` this thread's.
///
/// # Safety
/// As on the machine.
pub unsafe fn set_area(area: *mut ThreadArea) {
    hart().area.set(area);
}

/// The MSR.
#[must_use]
pub fn msr() -> u64 {
    hart().msr.get()
}

/// Sets it.
///
/// # Safety
/// As on the machine.
pub unsafe fn set_msr(value: u64) {
    hart().msr.set(value);
}

/// Rings thread 0's hypervisor doorbell.
pub fn ring_thread_0() {
    hart().core.doorbell_0.store(true, SeqCst);
}

/// Forgets that it was rung.
pub fn silence_thread_0() {
    hart().core.doorbell_0.store(false, SeqCst);
}

/// Nothing is kept of translations.
pub fn tlbiel(_rb: u64) {}

/// There is no SLB.
///
/// # Safety
/// None is needed.
pub unsafe fn slbia() {}

/// There is no SLB.
///
/// # Safety
/// None is needed.
pub unsafe fn slbmte(_vsid: u64, _esid: u64) {}

/// There is no SLB.
///
/// # Safety
/// None is needed.
pub unsafe fn clear_slb_entry_0() {}

/// No entry is valid.
#[must_use]
pub fn slbmfee(_index: u64) -> u64 {
    0
}

/// No entry is valid.
#[must_use]
pub fn slbmfev(_index: u64) -> u64 {
    0
}

/// No entry is valid.
#[must_use]
pub fn slb_gathered<const FIRST: usize, const LEN: usize>() -> u64 {
    0
}

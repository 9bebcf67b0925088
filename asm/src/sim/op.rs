//! Stands for single instructions.
extern crate std;
use super::{NOBODY, changed, hart, is_machine, point};
use crate::area::ThreadArea;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicU64, fence};
use std::boxed::Box;

macro_rules! fences {
    ($($name:ident),+) => {
        $(/// A barrier.
        pub fn $name() {
            point();
            fence(SeqCst);
        })+
    };
}
fences!(sync, ptesync, lwsync, isync);

/// As the machine's.
#[must_use]
pub fn load_little(word: &AtomicU64) -> u64 {
    u64::from_le(word.load(Relaxed))
}

/// As the machine's.
pub fn store_little(word: &AtomicU64, value: u64) {
    word.store(value.to_le(), Relaxed);
}

/// Nothing is predicted here.
pub fn clear_branch_history() {}

/// Nobody attends.
pub fn attn() {}

/// Lets others run.
pub fn relax() {
    super::relax();
}

/// Others run all the time.
pub fn give_way() {
    core::hint::spin_loop();
}

/// Priorities aren't simulated.
pub fn unrelax() {}

/// The time base.
#[must_use]
pub fn time_tb() -> u64 {
    super::time_tb()
}

/// This thread's area.
#[must_use]
pub fn area() -> *mut ThreadArea {
    if is_machine() {
        return hart().area.get();
    }
    NOBODY.with_borrow_mut(|(_, _, area)| {
        if *area == 0 {
            // SAFETY: an area may be all zero.
            let new: Box<ThreadArea> = Box::new(unsafe { core::mem::zeroed() });
            *area = Box::into_raw(new).expose_provenance();
        }
        core::ptr::with_exposed_provenance_mut(*area)
    })
}

/// Its record of this thread.
#[must_use]
pub fn area_thread() -> u64 {
    // SAFETY: this thread's area.
    unsafe { (*area()).thread }
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
    match is_machine() {
        true => hart().msr.get(),
        false => NOBODY.with_borrow(|(_, msr, _)| *msr),
    }
}

/// Sets it.
///
/// # Safety
/// As on the machine.
pub unsafe fn set_msr(value: u64) {
    match is_machine() {
        true => hart().msr.set(value),
        false => NOBODY.with_borrow_mut(|(_, msr, _)| *msr = value),
    }
}

/// Rings thread 0's hypervisor doorbell.
pub fn ring_thread_0() {
    hart().core().doorbell_0.set(true);
    changed();
}

/// Forgets that it was rung.
pub fn silence_thread_0() {
    hart().core().doorbell_0.set(false);
}

/// Nothing is kept of translations.
pub fn tlbiel(_rb: u64) {}

/// Nothing is kept of translations.
pub fn tlbie(_rb: u64, _lpid: u64) {
    super::point();
}

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
pub fn slbfee(_address: u64) -> u64 {
    0
}

/// No entry is valid.
#[must_use]
pub fn slb_gathered<const FIRST: usize, const LEN: usize>() -> u64 {
    0
}

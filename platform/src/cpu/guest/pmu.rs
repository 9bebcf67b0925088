//! A guest's performance monitor: it counts for the guest, and stands still while the firmware works.
//!
//! Registers can be read truly only when nothing counts, so a write that stops the counters is followed by
//! `isync` (Power ISA 2.07 Book III-S, chapter 12).
use asm::{ibm, ibm_field, op, spr};
use hcalls::page::{MMCR0_FROZEN, Sprs};

/// MMCR2's fields for PMC1 to PMC6, each of which stops its counter in every state.
const MMCR2_ALL_FROZEN: u64 = ibm_field(0, 53);
/// MMCR0\[FC\]: the counters stand still.
const FC: u64 = ibm(32);
const _: () = assert!(MMCR0_FROZEN == FC);

/// Puts the guest's controls into this thread; its counters, which are there already, go on.
///
/// # Safety
/// The thread is about to enter that guest.
#[inline(always)]
pub(super) unsafe fn start(sprs: &Sprs) {
    // SAFETY: the caller's promise.
    unsafe {
        spr::write::<{ spr::MMCR2 }>(sprs.mmcr2.get());
        spr::write::<{ spr::MMCRA }>(sprs.mmcra.get());
        spr::write::<{ spr::MMCR0 }>(sprs.mmcr0.get());
    }
}

/// Saves the controls. From here on nothing counts or samples any more on this thread.
///
/// # Safety
/// The thread has just left that guest.
#[inline(always)]
pub(super) unsafe fn stop(sprs: &mut Sprs) {
    sprs.mmcr2.set(spr::read::<{ spr::MMCR2 }>());
    let mmcr0 = spr::read::<{ spr::MMCR0 }>();
    sprs.mmcr0.set(mmcr0);
    sprs.mmcra.set(spr::read::<{ spr::MMCRA }>());
    // SAFETY: the caller's promise; the firmware needs none of the registers.
    unsafe { spr::write::<{ spr::MMCRA }>(0) }
    if mmcr0 != MMCR0_FROZEN {
        stop_counters(sprs);
    }
}

/// No call, for which every exit would save registers.
#[inline(always)]
fn stop_counters(sprs: &mut Sprs) {
    // SAFETY: as in `stop`. MMCR0 is read again once nothing can change it any more: a counter may just have
    // overflowed.
    unsafe {
        spr::write::<{ spr::MMCR2 }>(MMCR2_ALL_FROZEN);
        op::isync();
        sprs.mmcr0.set(spr::read::<{ spr::MMCR0 }>());
        spr::write::<{ spr::MMCR0 }>(MMCR0_FROZEN);
    }
    op::isync();
}

/// Whether the guest that this thread has just left has counters that count.
#[inline(always)]
#[must_use]
pub fn counts() -> bool {
    spr::read::<{ spr::MMCR0 }>() & FC == 0
}

/// Does `work` for the guest that this thread has just left, whose counters stand still meanwhile.
pub fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: the firmware needs no counter.
    unsafe { spr::write::<{ spr::MMCR0 }>(spr::read::<{ spr::MMCR0 }>() | FC) }
    op::isync();
    let result = work();
    // SAFETY: as above; they were counting.
    unsafe { spr::write::<{ spr::MMCR0 }>(spr::read::<{ spr::MMCR0 }>() & !FC) }
    result
}

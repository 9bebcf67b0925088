//! What a guest can have in its registers that would stay on for the host, or for a thread's nap.
use asm::{op, spr};
use hcalls::page::Sprs;

/// Turns it off, once the registers are saved: supervisor counters, switch control, workload hints, and the boost
/// of problem state's priority.
#[inline(always)]
pub(super) fn turn_off(saved: &Sprs) {
    if saved.mmcrs.get() | saved.tcscr.get() | saved.wort.get() | saved.pspb.get() != 0 {
        clear();
    }
}

/// A guest that comes back to this thread is loaded as a whole then. No call, for which every exit would save
/// registers.
#[inline(always)]
fn clear() {
    // SAFETY: the registers are in the guest's page, and the firmware uses none of them; the area is this
    // thread's.
    unsafe {
        spr::write::<{ spr::MMCRS }>(0);
        spr::write::<{ spr::TCSCR }>(0);
        spr::write::<{ spr::WORT }>(0);
        spr::write::<{ spr::PSPB }>(0);
        (*op::area()).holds = 0;
    }
}

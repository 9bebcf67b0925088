//! Facilities that the MSR gates: floating point, VMX, VSX, transactional memory.
use asm::{msr, op, spr};

const FP_ALL: u64 = msr::FP | msr::VEC | msr::VSX;

/// Lets this thread reach the floating-point, VMX and VSX registers. An interrupt takes that from the MSR.
#[inline(always)]
pub fn open() {
    // SAFETY: only facility bits change.
    unsafe { op::set_msr(op::msr() | FP_ALL) };
}

/// Clears the registers of transactional memory. No transaction is under way: HFSCR keeps guests from
/// beginning one, and a host that is in one can't begin a run.
#[inline(always)]
pub fn clear_tm() {
    let msr = op::msr();
    // SAFETY: only a facility bit changes, for as long as the registers are written, which matter to
    // no code of the firmware's.
    unsafe {
        op::set_msr(msr | msr::TM);
        spr::write::<{ spr::TFHAR }>(0);
        spr::write::<{ spr::TFIAR }>(0);
        spr::write::<{ spr::TEXASR }>(0);
        op::set_msr(msr);
    }
}

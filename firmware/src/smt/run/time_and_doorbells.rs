//! What few vcores have of the registers that a core's threads share (L1): a time base of their own,
//! and doorbells. The runner switches them, before any sibling is called and after all have reported.
use crate::smt::cores::Core;
use crate::smt::objects::Vcore;
use crate::trace;
use core::sync::atomic::Ordering::Relaxed;
use platform::cpu::world;
use vcore::Mask;

/// World in. From here to [`leave`] the core's time base is the partition's, and so is every time
/// that its threads read and compare.
#[inline(never)]
pub fn enter(core: &Core, vcore: &Vcore) {
    let offset_tb = vcore.rules.tb_offset.load(Relaxed);
    if offset_tb != 0 {
        // SAFETY: no sibling is in a guest, and none counts on the time base.
        unsafe { world::shift_time(offset_tb) };
        trace::set_offset(core.pir_of(0), offset_tb);
        let deadline_tb = core.run.deadline_tb.load(Relaxed);
        core.run
            .deadline_tb
            .store(deadline_tb.wrapping_add(offset_tb), Relaxed);
    }
    let doorbells = vcore.doorbells.load(Relaxed);
    if doorbells != 0 {
        // SAFETY: no sibling is in a guest yet that they could interrupt.
        unsafe { world::set_doorbells(doorbells) };
    }
}

/// World out. Answers which slots' doorbells were rung and not heard: a vcore with doorbells has
/// slot n on thread n.
#[inline(never)]
pub fn leave(core: &Core, vcore: &Vcore) -> Mask {
    let offset_tb = vcore.rules.tb_offset.load(Relaxed);
    if offset_tb != 0 {
        // SAFETY: all siblings have reported.
        unsafe { world::shift_time(offset_tb.wrapping_neg()) };
        trace::set_offset(core.pir_of(0), 0);
    }
    let doorbells = match vcore.rules.aligned.load(Relaxed) {
        false => 0,
        // SAFETY: no guest is on the core any more.
        true => unsafe { world::take_doorbells() },
    };
    vcore.doorbells.store(doorbells, Relaxed);
    doorbells as Mask
}

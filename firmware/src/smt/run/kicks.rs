//! Whoever was kicked is told, before anybody else may run the vcore.
use super::seat;
use crate::smt::cores::Core;
use crate::smt::cores::outcomes::stays_queued;
use crate::smt::objects::Vcore;
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use hcalls::VcpuPage;
use hcalls::exit::ExitReason;
use platform::memory::real;
use vcore::{Mask, Slots};

/// Ends a run of `core`, and tells who was kicked meanwhile; answers who that is.
#[inline(always)]
pub fn end(vcore: &Vcore, core: &Core, busy: Mask, blocked: Mask) -> Mask {
    let mut told = 0;
    while let Err(kicked) = vcore.roster.end(busy, blocked, told) {
        tell_kicks(vcore, kicked & !told, seated(core));
        told |= kicked;
    }
    told
}

/// Slots whose vcpus had a thread in the core's run.
#[cold]
fn seated(core: &Core) -> Mask {
    let slots =
        Slots(core.run.seating.taken()).map(|ptid| seat::slot_of(core.run.seating.seat(ptid)));
    slots.fold(0, |mask, slot| mask | 1 << slot)
}

/// Tells the vcpus' owners that a kick has interrupted them; those of `seated` have a reason of this
/// run's already. The pages are the caller's as long as the vcore counts as running.
#[cold]
pub fn tell_kicks(vcore: &Vcore, kicked: Mask, seated: Mask) {
    Slots(kicked).for_each(|slot| tell_kick(vcore, slot, seated & 1 << slot != 0));
}

fn tell_kick(vcore: &Vcore, slot: usize, seated: bool) {
    let page = real::ptr(vcore.pages[slot].load(Relaxed)).cast::<VcpuPage>();
    // SAFETY: the vcpu exists and isn't in a guest; the firmware line is the firmware's.
    let firmware = unsafe { &mut (*page).firmware };
    let cause = vcore.causes[slot].swap(0, Acquire);
    firmware.kick_cause.set(cause);
    if !seated {
        // What it came out for in an earlier run was told then.
        firmware.trap.set(0);
        firmware.reason.set(ExitReason::None as u32);
    }
    let told = ExitReason::try_from(firmware.reason.get()).unwrap_or(ExitReason::None);
    if stays_queued(told) || told == ExitReason::None || told == ExitReason::Ceded {
        firmware.reason.set(ExitReason::Kick as u32);
    }
}

#[cfg(test)]
#[path = "kicks_tests.rs"]
mod tests;

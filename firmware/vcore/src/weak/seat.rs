//! A hardware thread's part in a run, as `smt::seat` and `smt::hypercall` have it.

use super::flaw::Flaw;
use super::machine::{Act, Core, Reason, letter, slot as slot_of};
use crate::Slots;
use crate::entry::{Cede, Leave, Prod};

/// A secondary, from its nap on.
pub fn secondary(core: &Core, ptid: usize) {
    // One run, so one call; what comes later is left over.
    if !core.nap(ptid) {
        return;
    }
    core.take_ipi(ptid);
    let letter = core.seating.take_letter_behind_barrier(ptid);
    run(core, ptid, slot_of(letter));
}

/// Into the guest and out again, up to the report.
pub fn run(core: &Core, ptid: usize, slot: usize) {
    if !arrive(core, ptid, slot) {
        return came_too_late(core, ptid, slot);
    }
    let reason = guest(core, ptid, slot);
    depart(core, ptid, slot, reason);
}

fn arrive(core: &Core, ptid: usize, slot: usize) -> bool {
    let entry = &core.vcore.entry;
    core.vcore.page(slot, |page| page.reason = Reason::None);
    let entered = if core.vcore.is(Flaw::EnterUnchecked) {
        entry.enter_unchecked(ptid);
        true
    } else {
        entry.enter(ptid)
    };
    if !entered {
        return false;
    }
    core.vcore.page(slot, |page| {
        page.entries += 1;
        if page.prodded {
            page.prodded = false;
            entry.note_prod(ptid);
        }
    });
    true
}

fn came_too_late(core: &Core, ptid: usize, slot: usize) {
    core.tell(slot, Reason::None);
    let prodded = core.vcore.entry.snapshot().prodded() & 1 << ptid != 0;
    core.vcore.page(slot, |page| page.prodded |= prodded);
    report(core, ptid);
}

/// What the guest does until it leaves.
fn guest(core: &Core, ptid: usize, slot: usize) -> Reason {
    for act in core.vcore.script[slot] {
        if let Some(reason) = interrupt(core, ptid) {
            return reason;
        }
        if let Some(reason) = carry_out(core, ptid, *act) {
            return reason;
        }
    }
    loop {
        core.bells[ptid].wait_until(|| core.hdec() || core.poll(ptid));
        if let Some(reason) = interrupt(core, ptid) {
            return reason;
        }
    }
}

fn carry_out(core: &Core, ptid: usize, act: Act) -> Option<Reason> {
    match act {
        Act::Exit => Some(Reason::Hypercall),
        Act::Cede => cede(core, ptid, true),
        Act::CedeBriefly => cede(core, ptid, false),
        Act::Prod(slot) => {
            prod(core, slot);
            None
        }
        Act::Tick => hdec(core, ptid),
        Act::External => external(core, ptid),
    }
}

/// Takes what interrupt there is.
fn interrupt(core: &Core, ptid: usize) -> Option<Reason> {
    if core.hdec() {
        return hdec(core, ptid);
    }
    if core.poll(ptid) {
        return external(core, ptid);
    }
    None
}

fn hdec(core: &Core, ptid: usize) -> Option<Reason> {
    let entry = &core.vcore.entry;
    if entry.snapshot().leaving() {
        return Some(Reason::Pulled);
    }
    core.set_hdec();
    let leaving = if core.vcore.is(Flaw::NoBarrierAfterHdec) {
        entry.snapshot().leaving()
    } else {
        entry.leaving_after_barrier()
    };
    if leaving {
        core.expire_hdec(ptid);
    }
    entry.snapshot().leaving().then_some(Reason::Pulled)
}

fn external(core: &Core, ptid: usize) -> Option<Reason> {
    let entry = &core.vcore.entry;
    let called = || entry.snapshot().called() & 1 << ptid != 0;
    let (presented, called) = match core.vcore.flaw {
        Some(Flaw::NoBarrierAfterPoll) => (core.poll(ptid), called()),
        Some(Flaw::LookBeforePoll) => {
            let called = called();
            (core.poll(ptid), called)
        }
        _ => entry.polled(ptid, || core.poll(ptid)),
    };
    if called {
        take_call(core, ptid);
    } else if presented {
        core.take_ipi(ptid);
    }
    entry.snapshot().leaving().then_some(Reason::Kick)
}

fn prod(core: &Core, slot: usize) {
    let letter = letter(slot);
    let found = if core.vcore.is(Flaw::FindRelaxed) {
        core.seating.find_relaxed(letter)
    } else {
        core.seating.find(letter)
    };
    let Some(ptid) = found else { return };
    match core.vcore.entry.prod(ptid) {
        Prod::Wake => core.send_ipi(ptid),
        Prod::Noted | Prod::NotHere => {}
    }
    let queued = core.vcore.roster.snapshot().runnable();
    assert!(queued & 1 << slot != 0, "another vcpu was prodded");
}

fn cede(core: &Core, ptid: usize, for_long: bool) -> Option<Reason> {
    match core.vcore.entry.cede(ptid) {
        Cede::Prodded | Cede::Called => None,
        Cede::AllCeded | Cede::Leaving => Some(Reason::Ceded),
        Cede::Nap => {
            if for_long {
                core.bells[ptid].wait_until(|| core.poll(ptid));
            }
            wake(core, ptid)
        }
    }
}

fn wake(core: &Core, ptid: usize) -> Option<Reason> {
    let entry = &core.vcore.entry;
    if entry.uncede(ptid) {
        take_call(core, ptid);
    }
    let prodded = entry.take_prod(ptid);
    if !entry.snapshot().leaving() {
        return None;
    }
    Some(if prodded {
        Reason::Pulled
    } else {
        Reason::Ceded
    })
}

fn take_call(core: &Core, ptid: usize) {
    core.bells[ptid].wait_until(|| core.poll(ptid));
    core.take_ipi(ptid);
    core.vcore.entry.answered(ptid);
}

fn depart(core: &Core, ptid: usize, slot: usize, mut reason: Reason) {
    let leave = core.vcore.entry.leave(ptid);
    if leave.first() {
        bring_others_out(core, ptid, leave);
    }
    let keep = leave.prodded() && reason != Reason::Ceded;
    if leave.prodded() && reason == Reason::Ceded {
        reason = Reason::Pulled;
    }
    core.vcore.page(slot, |page| {
        page.reason = reason;
        page.prodded |= keep;
    });
    core.tell(slot, reason);
    if leave.called() && !core.vcore.is(Flaw::ReportUncalled) {
        take_call(core, ptid);
    }
    report(core, ptid);
}

fn bring_others_out(core: &Core, ptid: usize, leave: Leave) {
    if leave.in_guest() != 0 {
        core.pull(ptid);
    }
    if leave.ceded() {
        for sleeper in Slots(core.vcore.entry.wake_ceded()) {
            core.send_ipi(sleeper);
        }
    }
}

fn report(core: &Core, ptid: usize) {
    if core.vcore.is(Flaw::ReportRelaxed) {
        core.vcore.entry.report_relaxed(ptid);
    } else {
        core.vcore.entry.report(ptid);
    }
    if ptid != 0 {
        core.bells[0].ring();
    }
}

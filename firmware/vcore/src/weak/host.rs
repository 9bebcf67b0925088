//! A host core's part: VCORE_RUN, VCORE_KICK and VCPU_SET_STATE, as `smt::run` and `smt::calls`
//! have them.

use super::flaw::Flaw;
use super::machine::{Core, Machine, Reason, THREADS, Vcore, letter, slot as slot_of};
use super::seat;
use crate::entry::Request;
use crate::roster::{Change, Refusal, Snapshot, State};
use crate::sync::Ordering::Relaxed;
use crate::{Mask, Slots, full_barrier, start};

/// What a run came to, by slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub exited: Mask,
    pub did_not_run: Mask,
    pub ceded: Mask,
    pub stayed: Mask,
    pub kicked: Mask,
}

impl Outcome {
    pub fn all(self) -> Mask {
        self.exited | self.did_not_run | self.ceded | self.stayed
    }
}

/// VCORE_RUN with these vcpus made runnable, policy eager. The calling thread is thread 0.
pub fn run(core: &Core, runnable: Mask, aligned: bool) -> Result<Outcome, Refusal> {
    match core.vcore.roster.begin(runnable, 0, true) {
        Ok(queue) => Ok(carry_out(core, queue, aligned)),
        Err(Refusal::Kicked(kicked)) => {
            if core.vcore.is(Flaw::TellAfterEnd) {
                core.vcore.roster.told();
            }
            tell_kicks(core, kicked);
            if !core.vcore.is(Flaw::TellAfterEnd) {
                core.vcore.roster.told();
            }
            Err(Refusal::Kicked(kicked))
        }
        Err(refusal) => Err(refusal),
    }
}

/// The run, once it has begun.
pub fn carry_out(core: &Core, queue: Snapshot, aligned: bool) -> Outcome {
    let seats = if core.vcore.is(Flaw::AssignAfterOpen) {
        let packed = (1 << queue.queue_len()) - 1;
        let seats = if aligned { queue.runnable() } else { packed };
        open(core, queue, seats);
        assign(core, queue, aligned)
    } else {
        let seats = assign(core, queue, aligned);
        open(core, queue, seats);
        seats
    };
    full_barrier();
    Slots(seats & !1).for_each(|ptid| core.send_next_ipi(ptid));
    if seats & 1 != 0 {
        sit(core);
    }
    wait(core);
    conclude(core)
}

fn assign(core: &Core, queue: Snapshot, aligned: bool) -> Mask {
    core.fates.store(0, Relaxed);
    let seats = if aligned {
        let letters = queue.queue().map(|slot| (slot, letter(slot)));
        core.seating.assign_aligned(letters)
    } else {
        core.seating.assign_packed(queue.queue().map(letter))
    };
    core.vcore.core.store(core.number, Relaxed);
    seats
}

fn open(core: &Core, queue: Snapshot, seats: Mask) {
    let Vcore { roster, entry, .. } = &*core.vcore;
    let generation = queue.generation();
    let looked = match core.vcore.flaw {
        Some(Flaw::OpenRelaxed) => {
            entry.open_relaxed(generation, seats);
            None
        }
        Some(Flaw::NoBarrierAtOpen) => {
            entry.open(generation, seats);
            let now = roster.snapshot();
            let kicked = now.kicked() & now.runnable() != 0;
            kicked.then(|| entry.request())
        }
        _ => {
            let wake = start::open(roster, entry, generation, seats);
            wake.map(Request::Wake)
        }
    };
    core.vcore.opened.ring();
    if let Some(Request::Wake(ptid)) = looked
        && !core.vcore.is(Flaw::OpenForgetsToCall)
    {
        core.send_ipi(ptid);
    }
}

fn sit(core: &Core) {
    let letter = if core.vcore.is(Flaw::LetterRelaxed) {
        core.seating.take_letter_relaxed(0)
    } else {
        core.seating.take_letter(0)
    };
    seat::run(core, 0, slot_of(letter));
}

fn wait(core: &Core) {
    loop {
        let mut over = false;
        core.bells[0].wait_until(|| {
            let now = core.vcore.entry.snapshot();
            over = now.outstanding() == 0;
            over || now.outstanding() & 1 != 0 && core.seating.has_letter(0)
        });
        if over {
            return;
        }
        sit(core);
    }
}

fn conclude(core: &Core) -> Outcome {
    let entered = core.vcore.entry.snapshot().entered();
    let seats = core.seating.taken();
    assert_eq!(entered & !seats, 0, "a thread that entered isn't known");
    let outcome = outcome(core, seats);
    core.vcore.core.store(0, Relaxed);
    if outcome.ceded == 0 && core.vcore.roster.try_end(outcome.exited) {
        return outcome;
    }
    let kicked = end(core, outcome.exited, outcome.ceded);
    Outcome { kicked, ..outcome }
}

/// What the threads have told, which is what the pages say.
fn outcome(core: &Core, seats: Mask) -> Outcome {
    let told = core.fates.load(Relaxed);
    let of = |reason: Reason| (told >> reason.told_at()) as Mask;
    let (mut slots, mut prodded) = (0, 0);
    for slot in Slots(seats).map(|ptid| slot_of(core.seating.seat(ptid))) {
        let page = core.vcore.read_page(slot);
        let told = of(page.reason) & 1 << slot != 0;
        assert!(
            told || page.reason == Reason::Pulled,
            "vcpu {slot} told something else"
        );
        slots |= 1 << slot;
        prodded |= Mask::from(page.prodded) << slot;
    }
    let outcome = Outcome {
        exited: of(Reason::Hypercall),
        did_not_run: of(Reason::None),
        ceded: of(Reason::Ceded),
        stayed: 0,
        kicked: 0,
    };
    assert_eq!(outcome.ceded & prodded, 0, "a prod is lost");
    assert_eq!(
        outcome.all() & !slots,
        0,
        "who has no seat has told something"
    );
    Outcome {
        stayed: slots & !outcome.all(),
        ..outcome
    }
}

fn end(core: &Core, busy: Mask, blocked: Mask) -> Mask {
    let mut told = 0;
    while let Err(kicked) = core.vcore.roster.end(busy, blocked, told) {
        if !core.vcore.is(Flaw::TellAfterEnd) {
            tell_kicks(core, kicked & !told);
        }
        told |= kicked;
    }
    if core.vcore.is(Flaw::TellAfterEnd) {
        tell_kicks(core, told);
    }
    told
}

fn tell_kicks(core: &Core, kicked: Mask) {
    for slot in Slots(kicked) {
        core.vcore.page(slot, |page| {
            if page.reason.stays_queued() || page.reason == Reason::None {
                page.reason = Reason::Kick;
            }
        });
    }
}

/// VCORE_KICK of one vcpu.
pub fn kick(machine: &Machine, slot: usize) {
    let kick = machine.vcore.roster.kick(1 << slot).expect("it exists");
    if kick.running {
        bring_out(machine);
    }
}

fn bring_out(machine: &Machine) {
    let wake = if machine.vcore.is(Flaw::NoBarrierAtKick) {
        match machine.vcore.entry.request() {
            Request::Wake(ptid) => Some(ptid),
            Request::Noted | Request::NotRunning => None,
        }
    } else {
        start::bring_out(&machine.vcore.entry)
    };
    if let Some(ptid) = wake {
        machine.running().send_ipi(ptid);
    }
}

/// VCPU_SET_STATE: makes a vcpu runnable that another core's run doesn't have. True: it has
/// joined.
pub fn make_runnable(machine: &Machine, slot: usize, aligned: bool) -> bool {
    let change = machine.vcore.roster.set_state(1 << slot, State::Runnable);
    let change = change.expect("it exists");
    change.running && join(machine, &change, slot, aligned)
}

fn join(machine: &Machine, change: &Change, slot: usize, aligned: bool) -> bool {
    let kicked = machine.vcore.roster.snapshot().kicked() & change.queued;
    if kicked != 0 {
        bring_out(machine);
    }
    let ptid = if change.queued & !kicked != 0 {
        reserve(machine, change, slot, aligned)
    } else {
        None
    };
    if let Some(ptid) = ptid {
        let (core, letter) = (machine.running(), letter(slot));
        if machine.vcore.is(Flaw::LetterRelaxed) {
            core.seating.join_relaxed(ptid, letter);
        } else {
            core.seating.join(ptid, letter);
        }
        if ptid == 0 {
            core.bells[0].ring();
        } else {
            core.send_ipi(ptid);
        }
    }
    machine.vcore.roster.joined();
    ptid.is_some()
}

fn reserve(machine: &Machine, change: &Change, slot: usize, aligned: bool) -> Option<usize> {
    let entry = &machine.vcore.entry;
    let mut core = machine.vcore.core.load(Relaxed);
    let open = || entry.is_open(change.generation);
    machine.vcore.opened.wait_until(open);
    if !machine.vcore.is(Flaw::CoreBeforeOpen) {
        core = machine.vcore.core.load(Relaxed);
    }
    let threads = if core == 0 { 0 } else { (1 << THREADS) - 1 };
    let ptid = entry.reserve(aligned.then_some(slot), threads);
    if ptid.is_none() {
        let now = entry.latest();
        let used = now.outstanding() | now.entered();
        let mine = if aligned {
            1 << slot
        } else {
            (1 << THREADS) - 1
        };
        let may = now.leaving() || now.outstanding() == 0 || used & mine == mine;
        assert!(may, "a joiner was refused: {now:?}");
    }
    ptid
}

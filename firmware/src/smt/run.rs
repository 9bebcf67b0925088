//! VCORE_RUN: the runner's part, from the host's call to its return.
use super::calls::wrong;
use super::cores::{self, Core, NOBODY};
use super::objects::{self, Vcore};
use super::seat::{Seat, letter};
use crate::vcore::roster::{Refusal, Snapshot};
use crate::vcore::{Mask, Slots, start};
use asm::op;
use core::sync::atomic::Ordering::{Relaxed, Release};
use hcalls::exit::ExitReason;
use hcalls::run::{
    CoreState, FIRST_SLOT_SHIFT, NO_DECREMENTER, RUN_FLAGS, RUN_FP_CLEAN, RUN_KEEP_SLB,
    RUN_UNTOUCHED,
};
use hcalls::{Status, VcpuPage};
use platform::guest::SavedSlb;
use platform::thread::{self, Thread};
use platform::{real, world};

/// How long a thread may take to enter once called, or to report once the vcore leaves: 10 s.
const PATIENCE_TB: u64 = 10 * 512_000_000;

/// Arguments: vcore, runnable mask, blocked mask, deadline, flags. Answers: exited mask,
/// did-not-run mask, ceded mask, who left first and why, earliest decrementer, generation.
#[inline(always)]
pub fn run(args: &mut [u64; 8]) -> Status {
    let thread = thread::current();
    let core = cores::core(thread.core());
    if thread.ptid() != 0 || core.state() != CoreState::Held || !thread::msr_is_firmwares() {
        return Status::WrongState;
    }
    let Some(vcore) = objects::vcore(args[0]) else {
        return wrong(args, 1);
    };
    let [_, runnable, blocked, deadline_tb, flags, ..] = *args;
    if runnable > 0xff {
        return wrong(args, 2);
    }
    if blocked > 0xff {
        return wrong(args, 3);
    }
    if flags & !RUN_FLAGS != 0 {
        return wrong(args, 5);
    }
    let eager = vcore.rules.eager.load(Relaxed) != 0;
    match vcore.roster.begin(runnable as Mask, blocked as Mask, eager) {
        Ok(queue) => Run {
            thread,
            core,
            vcore,
        }
        .carry_out(queue, deadline_tb, flags, args),
        Err(refusal) => refuse(vcore, refusal, args),
    }
}

#[cold]
fn refuse(vcore: &Vcore, refusal: Refusal, args: &mut [u64; 8]) -> Status {
    vcore.counters.refused.fetch_add(1, Relaxed);
    match refusal {
        Refusal::Busy => Status::Busy,
        Refusal::NoSuchVcpu => wrong(args, 2),
        Refusal::Dead => wrong(args, 1),
        Refusal::Constrained => Status::Constrained,
        Refusal::Kicked(mask) => {
            tell_kicks(vcore, mask);
            vcore.roster.told();
            args[1] = u64::from(mask);
            Status::Empty
        }
    }
}

/// A run that has begun.
struct Run {
    thread: &'static Thread,
    core: &'static Core,
    vcore: &'static Vcore,
}

/// What became of the vcpus, by slot.
#[derive(Default)]
struct Outcome {
    exited: Mask,
    did_not_run: Mask,
    ceded: Mask,
    earliest_tb: u64,
}

impl Run {
    #[inline(always)]
    fn carry_out(
        &self,
        queue: Snapshot,
        deadline_tb: u64,
        flags: u64,
        args: &mut [u64; 8],
    ) -> Status {
        let started_tb = op::time_tb();
        let flag = |flag| u8::from(flags & flag != 0);
        self.core.untouched.store(flag(RUN_UNTOUCHED), Relaxed);
        self.core.fp_clean.store(flag(RUN_FP_CLEAN), Relaxed);
        let seats = self.assign(queue, deadline_tb);
        let slb = (flags & RUN_KEEP_SLB != 0).then(SavedSlb::take);
        // SAFETY: thread 0 of a core whose siblings the firmware holds; `back` follows below.
        let host = unsafe { world::Host::leave(deadline_tb, self.vcore.vtb.load(Relaxed)) };
        self.open(queue, seats);
        for ptid in Slots(seats & !1) {
            self.core.icp(ptid).send_ipi();
        }
        if seats & 1 != 0 {
            self.sit();
        }
        let lost = self.wait(deadline_tb);
        // SAFETY: all siblings have reported, and nap or are about to; nobody calls them before
        // this core's next run. A lost one has lost this core.
        let vtb = unsafe { host.back() };
        if let Some(slb) = slb {
            slb.put_back();
        }
        self.vcore.vtb.store(vtb, Relaxed);
        if lost != 0 {
            return self.fence(lost, args);
        }
        self.conclude(queue, started_tb, args)
    }

    /// Gives each queued vcpu its thread and writes the letters.
    #[inline(always)]
    fn assign(&self, queue: Snapshot, deadline_tb: u64) -> Mask {
        let Self { core, vcore, .. } = *self;
        core.deadline_tb.store(deadline_tb, Relaxed);
        core.first.store(NOBODY, Relaxed);
        core.polling.store(0, Relaxed);
        let mut seats: Mask = 0;
        let aligned = vcore.rules.aligned.load(Relaxed) != 0;
        for place in 0..queue.queue_len() {
            let slot = queue.queued(place);
            let ptid = if aligned { slot } else { place };
            let letter = letter(vcore, slot);
            core.seating.assign(ptid, letter);
            seats |= 1 << ptid;
        }
        core.seating.begin(seats);
        vcore.core.store(self.thread.core() as u64 + 1, Relaxed);
        seats
    }

    /// Opens the entry word (B22). From now on other cores may call this core's threads, which
    /// must wake in the firmware's vectors: so not before the world is the firmware's.
    #[inline(always)]
    fn open(&self, queue: Snapshot, seats: Mask) {
        let Vcore { roster, entry, .. } = self.vcore;
        if let Some(ptid) = start::open(roster, entry, queue.generation(), seats) {
            self.core.icp(ptid).send_ipi();
        }
    }

    /// The runner enters by itself, without an IPI (B24).
    #[inline(always)]
    fn sit(&self) {
        let letter = self.core.seating.take_letter(0);
        Seat::from_letter(self.thread, self.core, letter).run();
    }

    /// Waits until every thread of the run has reported (B31); answers those that never did. A
    /// late joiner whose thread is this one is run here.
    #[inline(always)]
    fn wait(&self, deadline_tb: u64) -> Mask {
        if self.vcore.entry.snapshot().outstanding() == 0 {
            return 0;
        }
        let mut patience_tb = op::time_tb() + PATIENCE_TB;
        let mut leaving = false;
        loop {
            op::relax();
            let now = self.vcore.entry.snapshot();
            if now.outstanding() == 0 {
                op::unrelax();
                return 0;
            }
            if now.outstanding() & 1 != 0 && self.core.seating.has_letter(0) {
                op::unrelax();
                self.sit();
                continue;
            }
            let now_tb = op::time_tb();
            if now.leaving() && !leaving {
                leaving = true;
                patience_tb = now_tb + PATIENCE_TB;
            }
            let late = now_tb.wrapping_sub(deadline_tb.saturating_add(PATIENCE_TB)) as i64 > 0;
            let never_came = now.outstanding() & !now.entered() != 0;
            if (now_tb > patience_tb && (leaving || never_came)) || late {
                op::unrelax();
                return now.outstanding();
            }
        }
    }

    /// Threads that never came back: the core is fenced, the vcore stays with it (B31).
    #[cold]
    fn fence(&self, lost: Mask, args: &mut [u64; 8]) -> Status {
        self.core
            .owing
            .store(core::ptr::from_ref(self.vcore) as u64, Release);
        self.core.set_state(CoreState::Fenced);
        log::error!(
            "core {:#x} is fenced: threads {lost:#04x} never came back: {:?}",
            self.thread.pir,
            self.vcore.entry.snapshot()
        );
        args[1] = 0;
        args[2] = u64::from(lost);
        Status::Partial
    }

    #[inline(always)]
    fn conclude(&self, queue: Snapshot, started_tb: u64, args: &mut [u64; 8]) -> Status {
        let vcore = self.vcore;
        // All threads' writes were released by their reports.
        let entered = vcore.entry.snapshot().entered();
        // Late joiners included.
        let seats = self.core.seating.taken();
        let outcome = self.outcome(seats);
        vcore.core.store(0, Relaxed);
        let kicked = end(vcore, outcome.exited, outcome.ceded);
        let first = self.core.first.load(Relaxed);
        args[1] = u64::from(outcome.exited | kicked);
        args[2] = u64::from(outcome.did_not_run & !kicked);
        args[3] = u64::from(outcome.ceded & !kicked);
        args[4] = match first {
            NOBODY => u64::MAX << FIRST_SLOT_SHIFT,
            _ => u64::from(first >> 8) << FIRST_SLOT_SHIFT | u64::from(first & 0xff),
        };
        args[5] = outcome.earliest_tb;
        args[6] = vcore.counters.runs.load(Relaxed);
        self.count(seats, entered, queue, started_tb);
        Status::Success
    }

    #[inline(always)]
    fn outcome(&self, seats: Mask) -> Outcome {
        let mut outcome = Outcome {
            earliest_tb: NO_DECREMENTER,
            ..Outcome::default()
        };
        for ptid in Slots(seats) {
            let reason = self.core.reasons[ptid].load(Relaxed) & 15;
            self.vcore.counters.exits[usize::from(reason)].fetch_add(1, Relaxed);
            if stays_queued(reason) {
                continue;
            }
            let slot = (self.core.seating.seat(ptid) & 7) as usize;
            if reason == ExitReason::None as u8 {
                outcome.did_not_run |= 1 << slot;
            } else if reason == ExitReason::Ceded as u8 {
                outcome.ceded |= 1 << slot;
                let page = real::ptr(self.vcore.pages[slot].load(Relaxed)).cast::<VcpuPage>();
                // SAFETY: the run still owns the page; its thread has reported.
                let expires_tb = unsafe { (*page).sprs.dec_expires_tb.get() };
                outcome.earliest_tb = outcome.earliest_tb.min(expires_tb);
            } else {
                outcome.exited |= 1 << slot;
            }
        }
        outcome
    }

    #[inline(always)]
    fn count(&self, seats: Mask, entered: Mask, queue: Snapshot, started_tb: u64) {
        let counters = &self.vcore.counters;
        let add = |counter: &core::sync::atomic::AtomicU64, more: u64| {
            // Only the runner writes these, and a vcore has one runner.
            counter.store(counter.load(Relaxed) + more, Relaxed);
        };
        add(&counters.runs, 1);
        add(&counters.woken, u64::from((seats & !1).count_ones()));
        add(&counters.entries, u64::from(entered.count_ones()));
        let queued = queue.queue_len() as u64;
        add(
            &counters.joined,
            u64::from(seats.count_ones()).saturating_sub(queued),
        );
        add(&counters.run_tb, op::time_tb().wrapping_sub(started_tb));
    }
}

/// Came out with nothing for the host to do for it: runs again with the next request (B36).
#[inline(always)]
fn stays_queued(reason: u8) -> bool {
    const STAY: u32 = 1 << ExitReason::Pulled as u32
        | 1 << ExitReason::Deadline as u32
        | 1 << ExitReason::External as u32
        | 1 << ExitReason::Kick as u32;
    STAY >> reason & 1 != 0
}

/// Ends a run, and tells who was kicked meanwhile; answers who that is.
#[inline(always)]
pub fn end(vcore: &Vcore, busy: Mask, blocked: Mask) -> Mask {
    let mut told = 0;
    while let Err(kicked) = vcore.roster.end(busy, blocked, told) {
        tell_kicks(vcore, kicked & !told);
        told |= kicked;
    }
    told
}

/// Tells the vcpus' owners that a kick has interrupted them. Their pages are the caller's as long
/// as the vcore counts as running.
#[cold]
fn tell_kicks(vcore: &Vcore, kicked: Mask) {
    Slots(kicked).for_each(|slot| tell_kick(vcore, slot));
}

fn tell_kick(vcore: &Vcore, slot: usize) {
    let page = real::ptr(vcore.pages[slot].load(Relaxed)).cast::<VcpuPage>();
    // SAFETY: the vcpu exists and isn't in a guest; the firmware line is the firmware's.
    let firmware = unsafe { &mut (*page).firmware };
    let told = ExitReason::try_from(firmware.reason.get()).unwrap_or(ExitReason::None);
    if stays_queued(told as u8) || told == ExitReason::None || told == ExitReason::Ceded {
        firmware.reason.set(ExitReason::Kick as u32);
    }
}

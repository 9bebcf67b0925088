//! VCORE_RUN: the runner's part, from the host's call to its return.
use super::calls::wrong;
use super::cores::{self, Core, NOBODY};
use super::objects::{self, Vcore};
use super::running::Running;
use super::seat::{Seat, letter};
use crate::vcore::roster::{Refusal, Snapshot};
use crate::vcore::{Mask, Slots, full_barrier, start};
use asm::{op, opal};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, Release};
use hcalls::exit::ExitReason;
use hcalls::run::{
    CoreState, FIRST_SLOT_SHIFT, NO_DECREMENTER, RUN_FLAGS, RUN_FP_CLEAN, RUN_KEEP_SLB,
    RUN_UNTOUCHED,
};
use hcalls::{Status, VcpuPage};
use platform::real;
use platform::thread::{self, Thread};

/// How long a thread may take to enter once called, or to report once the vcore leaves: 10 s.
const PATIENCE_TB: u64 = 10 * 512_000_000;

/// From assembly, on thread 0's own stack. Arguments: vcore, runnable mask, blocked mask, deadline,
/// flags. Answers: exited mask, did-not-run mask, ceded mask, who left first and why, earliest
/// decrementer, generation.
///
/// A run that begins doesn't return from here: [`finish`] ends the call.
pub extern "C" fn run(args: &mut [u64; 8]) -> i64 {
    let thread = thread::current();
    let core = cores::of(thread);
    if thread.ptid() != 0 || core.state() != CoreState::Held || !thread::msr_is_firmwares() {
        return Status::WrongState as i64;
    }
    let Some(vcore) = objects::vcore(args[0]) else {
        return wrong(args, 1) as i64;
    };
    let [_, runnable, blocked, _, flags, ..] = *args;
    if runnable > 0xff {
        return wrong(args, 2) as i64;
    }
    if blocked > 0xff {
        return wrong(args, 3) as i64;
    }
    if flags & !RUN_FLAGS != 0 {
        return wrong(args, 5) as i64;
    }
    let eager = vcore.rules.eager.load(Relaxed) != 0;
    match vcore.roster.begin(runnable as Mask, blocked as Mask, eager) {
        Ok(queue) => Run {
            thread,
            core,
            vcore,
        }
        .carry_out(queue, args),
        Err(refusal) => refuse(vcore, refusal, args) as i64,
    }
}

/// On thread 0, when its guest has reported, or when it had none: waits for the others, and gives
/// the core back to the host.
pub fn finish(thread: &'static Thread, core: &'static Core) -> ! {
    // SAFETY: this is the core's thread 0, in a run.
    let running = unsafe { core.running.get() };
    // SAFETY: `run` has set it, with arguments that live in the frame of the host's call.
    let (vcore, args) = unsafe {
        let args = core::ptr::with_exposed_provenance_mut::<[u64; 8]>(running.args);
        (running.vcore.unwrap_unchecked(), &mut *args)
    };
    let run = Run {
        thread,
        core,
        vcore,
    };
    let lost = run.wait();
    // SAFETY: all siblings have reported, and nap or are about to; nobody calls them before
    // this core's next run. A lost one has lost this core.
    let vtb = unsafe { running.host.back() };
    if running.keeps_slb {
        running.slb.put_back();
    }
    vcore.vtb.store(vtb, Relaxed);
    let status = if lost != 0 {
        run.fence(lost, args)
    } else {
        run.conclude(running, args)
    };
    // SAFETY: the call of the run that ends here, on its thread; the host's registers are back.
    unsafe { opal::return_from_run(status as i64) }
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
    fn carry_out(&self, queue: Snapshot, args: &mut [u64; 8]) -> ! {
        let [_, _, _, deadline_tb, flags, ..] = *args;
        let flag = |flag| u8::from(flags & flag != 0);
        self.core.untouched.store(flag(RUN_UNTOUCHED), Relaxed);
        self.core.fp_clean.store(flag(RUN_FP_CLEAN), Relaxed);
        let seats = self.assign(queue, deadline_tb);
        // SAFETY: this is the core's thread 0.
        let running = unsafe { self.core.running.get() };
        running.vcore = Some(self.vcore);
        running.args = args.as_mut_ptr().expose_provenance();
        running.called = seats;
        running.keeps_slb = flags & RUN_KEEP_SLB != 0;
        if running.keeps_slb {
            running.slb.take();
        }
        let vtb = self.vcore.vtb.load(Relaxed);
        // SAFETY: thread 0 of a core whose siblings the firmware holds; `back` follows in `finish`.
        running.started_tb = unsafe { running.host.leave(deadline_tb, vtb) };
        self.open(queue, seats);
        self.call(seats & !1);
        if seats & 1 != 0 {
            self.sit();
        }
        finish(self.thread, self.core)
    }

    /// Gives each queued vcpu its thread and writes the letters.
    #[inline(always)]
    fn assign(&self, queue: Snapshot, deadline_tb: u64) -> Mask {
        let Self { core, vcore, .. } = *self;
        core.deadline_tb.store(deadline_tb, Relaxed);
        core.first.store(NOBODY, Relaxed);
        core.polling.store(0, Relaxed);
        core.reasons.clear();
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
        vcore
            .core
            .store(core::ptr::from_ref(self.core) as u64, Relaxed);
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

    /// An IPI for each secondary (B23).
    #[inline(always)]
    fn call(&self, secondaries: Mask) {
        full_barrier();
        for ptid in Slots(secondaries) {
            self.core.icp(ptid).send_next_ipi();
        }
    }

    /// The runner enters by itself, without an IPI (B24).
    #[inline(always)]
    fn sit(&self) -> ! {
        let letter = self.core.seating.take_letter(0);
        Seat::from_letter(self.thread, self.core, letter).run()
    }

    /// Waits until every thread of the run has reported (B31); answers those that never did.
    #[inline(always)]
    fn wait(&self) -> Mask {
        match self.vcore.entry.snapshot().outstanding() {
            0 => 0,
            _ => self.wait_for_all(),
        }
    }

    /// A late joiner whose thread is this one is run here.
    #[inline(never)]
    fn wait_for_all(&self) -> Mask {
        let deadline_tb = self.core.deadline_tb.load(Relaxed);
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
    fn conclude(&self, running: &Running, args: &mut [u64; 8]) -> Status {
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
        self.count(seats, entered, running);
        Status::Success
    }

    #[inline(always)]
    fn outcome(&self, seats: Mask) -> Outcome {
        let mut outcome = Outcome {
            earliest_tb: NO_DECREMENTER,
            ..Outcome::default()
        };
        let reasons = self.core.reasons.all();
        for ptid in Slots(seats) {
            let reason = reasons[ptid] & 15;
            add(&self.vcore.counters.exits[usize::from(reason)], 1);
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
    fn count(&self, seats: Mask, entered: Mask, running: &Running) {
        let counters = &self.vcore.counters;
        add(&counters.runs, 1);
        add(&counters.woken, u64::from((seats & !1).count_ones()));
        add(&counters.entries, u64::from(entered.count_ones()));
        let joined = seats & !running.called;
        if joined != 0 {
            add(&counters.joined, u64::from(joined.count_ones()));
        }
        let run_tb = op::time_tb().wrapping_sub(running.started_tb);
        add(&counters.run_tb, run_tb);
    }
}

/// Only the runner writes these counters, and a vcore has one runner.
#[inline(always)]
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
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

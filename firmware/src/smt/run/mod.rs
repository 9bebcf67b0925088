//! VCORE_RUN: the runner's part, from the host's call to its return.
use crate::args::{self, Refused};
use crate::smt::cores::outcomes::Told;
use crate::smt::cores::record::{INTERRUPTED, KEEPS_SLB, OWES_IPI, RUN_TRACED, RUNG, Running};
use crate::smt::cores::{self, Core, ENTRY_TRACED, NOBODY, TRACED, UNTOUCHED};
use crate::smt::objects::{self, Vcore};
use crate::trace::{self, Whom};
use asm::{op, opal};
use core::sync::atomic::Ordering::Relaxed;
use hcalls::exit::ExitReason;
use hcalls::registers::VcoreRun;
use hcalls::run::{
    CoreState, NO_DECREMENTER, RUN_FLAGS, RUN_FP_CLEAN, RUN_SPRS_LOST, RUN_UNTOUCHED, RUNG_SHIFT,
};
use hcalls::trace::Event;
use hcalls::{Status, VcpuPage};
use kicks::{end, tell_kicks};
use platform::cpu::decrementer::earliest_tb;
use platform::cpu::space::forget_translations;
use platform::cpu::thread::{self, Thread};
use platform::memory::real;
use seat::{Seat, letter};
use vcore::roster::{Refusal, Snapshot};
use vcore::sync::AtomicU64;
use vcore::{Mask, Slots, full_barrier, start};

pub mod enter;
pub mod faults;
pub mod hypercalls;
pub mod interrupts;
pub mod kicks;
pub mod leave;
pub mod seat;
pub mod system_reset;
pub mod table_hypercalls;
mod time_and_doorbells;
mod wait;

/// From assembly, on thread 0's own stack. Arguments: vcore, runnable mask, blocked mask, deadline,
/// flags. Answers: exited mask, did-not-run mask, ceded mask, who left first and why, earliest
/// decrementer, generation.
///
/// A run that begins doesn't return from here: [`finish`] ends the call.
pub extern "C-unwind" fn run(args: &mut [u64; 8]) -> i64 {
    let thread = thread::current();
    let core = cores::of(thread);
    if thread.ptid() != 0 || core.state() != CoreState::Held || !thread::msr_is_firmwares() {
        return Status::WrongState as i64;
    }
    match begin(&VcoreRun::from_registers(args)) {
        Ok((vcore, queue)) => Run {
            thread,
            core,
            vcore,
        }
        .carry_out(queue, args),
        Err(refused) => args::put(Err(refused), args) as i64,
    }
}

/// The run begins, or it doesn't, and nothing is changed.
#[inline(always)]
fn begin(asked: &VcoreRun) -> Result<(&'static Vcore, Snapshot), Refused> {
    let vcore = objects::vcore(asked.vcore).ok_or(Refused::Argument(1))?;
    let mask = |slots, number| Mask::try_from(slots).map_err(|_| Refused::Argument(number));
    let (runnable, blocked) = (mask(asked.runnable, 2)?, mask(asked.blocked, 3)?);
    if asked.flags & !RUN_FLAGS != 0 {
        return Err(Refused::Argument(5));
    }
    let eager = vcore.rules.eager.load(Relaxed);
    let begun = vcore.roster.begin(runnable, blocked, eager);
    let queue = begun.map_err(|refusal| refuse(vcore, refusal))?;
    Ok((vcore, queue))
}

/// On thread 0, when its guest has reported, or when it had none: waits for the others, and gives
/// the core back to the host.
pub fn finish(thread: &'static Thread, core: &'static Core) -> ! {
    let run = Run::of(thread, core);
    let entry = run.vcore.entry.snapshot();
    if entry.outstanding() != 0 {
        wait::wait(thread, core)
    }
    // SAFETY: this is the core's thread 0, in a run.
    let running = unsafe { core.run.record.get() };
    run.back(running);
    let told = core.run.outcomes.told();
    // All threads' writes were released by their reports. Another core may run the vcore as soon as
    // the roster says that this run has ended.
    run.count(running, told, entry.entered());
    run.vcore.core.store(0, Relaxed);
    if core.run.struck.load(Relaxed) {
        system_reset::tell(core);
    }
    if told.ceded() != 0 || !run.vcore.roster.try_end(told.exited()) {
        end_with_more(thread, core)
    }
    run.answer(running, told, 0, NO_DECREMENTER);
    give_back(core, running, Status::Success)
}

impl Seat {
    /// The last that this thread does in the run. All IPIs to it have been taken.
    #[inline(always)]
    pub(super) fn report(self, page: *mut VcpuPage) -> ! {
        // SAFETY: this thread's page until the report.
        unsafe { (*page).firmware.owner.set(0) };
        self.vcore.entry.report(self.ptid);
        if self.ptid == 0 {
            finish(self.thread, self.core)
        }
        thread::idle()
    }
}

/// The end of a run in which vcpus have ceded, or were kicked late.
#[inline(never)]
fn end_with_more(thread: &'static Thread, core: &'static Core) -> ! {
    let run = Run::of(thread, core);
    // SAFETY: this is the core's thread 0, in a run.
    let running = unsafe { core.run.record.get() };
    let told = core.run.outcomes.told();
    let earliest_tb = run.earliest_tb(told.ceded());
    let kicked = end(run.vcore, core, told.exited(), told.ceded());
    run.answer(running, told, kicked, earliest_tb);
    give_back(core, running, Status::Success)
}

/// Ends the host's call.
#[inline(always)]
fn give_back(core: &Core, running: &Running, status: Status) -> ! {
    if running.afterwards != 0 {
        settle(core, running, status);
    }
    // SAFETY: the call of the run that ends here, on its thread; the host's registers are back.
    unsafe { opal::return_from_run(status as i64) }
}

/// What is owed to the host beside its answer.
#[inline(never)]
fn settle(core: &Core, running: &Running, status: Status) {
    if running.afterwards & RUN_TRACED != 0 {
        let whom = running
            .vcore
            .map_or(Whom::NOBODY, |vcore| Whom::vcore(vcore.handle()));
        trace::note(Event::WorldOut, || (whom, 0));
    }
    if running.afterwards & KEEPS_SLB != 0 {
        running.slb.put_back();
    }
    if running.afterwards & RUNG != 0 {
        running.args()[3] |= u64::from(running.rung) << RUNG_SHIFT;
    }
    if running.afterwards & OWES_IPI != 0 {
        core.icp(0).send_ipi();
    }
    if running.afterwards & INTERRUPTED != 0 {
        core.run.interrupted.store(false, Relaxed);
    }
    if running.afterwards & RUN_TRACED != 0 {
        trace::note(Event::CallOut, || (Whom::NOBODY, status as i64 as u32));
    }
}

#[cold]
fn refuse(vcore: &Vcore, refusal: Refusal) -> Refused {
    vcore.counters.refused.fetch_add(1, Relaxed);
    match refusal {
        Refusal::Busy => Refused::As(Status::Busy),
        Refusal::NoSuchVcpu => Refused::Argument(2),
        Refusal::Dead => Refused::Argument(1),
        Refusal::Constrained => Refused::As(Status::Constrained),
        Refusal::Kicked(mask) => {
            tell_kicks(vcore, mask, 0);
            vcore.roster.told();
            Refused::With(Status::Empty, args::one(mask.into()))
        }
    }
}

/// A run that has begun.
struct Run {
    thread: &'static Thread,
    core: &'static Core,
    vcore: &'static Vcore,
}

impl Run {
    /// The run that is under way on thread 0's core.
    #[inline(always)]
    fn of(thread: &'static Thread, core: &'static Core) -> Self {
        // SAFETY: this is the core's thread 0, in a run, which has set its vcore.
        let vcore = unsafe { core.run.record.get().vcore.unwrap_unchecked() };
        Self {
            thread,
            core,
            vcore,
        }
    }

    #[inline(always)]
    fn carry_out(&self, queue: Snapshot, args: &mut [u64; 8]) -> ! {
        let [_, _, _, deadline_tb, flags, ..] = *args;
        let untouched = if flags & RUN_UNTOUCHED != 0 {
            UNTOUCHED
        } else {
            0
        };
        self.core.run.untouched.store(untouched, Relaxed);
        self.core.run.at_leaving.store(0, Relaxed);
        self.core
            .run
            .fp_clean
            .store(flags & RUN_FP_CLEAN != 0, Relaxed);
        let seats = self.assign(queue, deadline_tb);
        // SAFETY: this is the core's thread 0.
        let running = unsafe { self.core.run.record.get() };
        running.vcore = Some(self.vcore);
        running.args = args.as_mut_ptr().expose_provenance();
        running.called = seats;
        let keeps_sprs = flags & RUN_SPRS_LOST == 0;
        if keeps_sprs {
            self.core.run.hosts_sprs.store(true, Relaxed);
        }
        running.afterwards = flags as u8 & KEEPS_SLB;
        if running.afterwards != 0 {
            running.slb.take();
        }
        let space = self.vcore.rules.space();
        let vtb = self.vcore.vtb.load(Relaxed);
        // SAFETY: thread 0 of a core whose siblings the firmware holds; `back` follows in `finish`.
        running.started_tb = unsafe { running.host.leave(&space, deadline_tb, vtb, keeps_sprs) };
        if self.core.holders.is_new(self.vcore.partition()) {
            forget_translations();
        }
        if self.vcore.rules.shares.load(Relaxed) {
            time_and_doorbells::enter(self.core, self.vcore);
        }
        if trace::is_on() {
            running.afterwards |= RUN_TRACED;
            self.begin_trace(seats);
        }
        self.open(queue, seats);
        self.call(seats & !1);
        if seats & 1 != 0 {
            self.sit();
        }
        finish(self.thread, self.core)
    }

    /// This run is traced. The world is the firmware's now; the IPIs go out in a moment.
    #[inline(always)]
    fn begin_trace(&self, seats: Mask) {
        let untouched = self.core.run.untouched.load(Relaxed);
        self.core
            .run
            .untouched
            .store(untouched | ENTRY_TRACED, Relaxed);
        self.core.run.at_leaving.store(TRACED, Relaxed);
        let whom = Whom::vcore(self.vcore.handle());
        let lpid = self.vcore.rules.lpid.load(Relaxed) as u32;
        trace::note(Event::WorldIn, || (whom, lpid << 16 | u32::from(seats)));
        for ptid in Slots(seats & !1) {
            trace::note(Event::Call, || (whom, self.core.pir_of(ptid)));
        }
    }

    /// Gives each queued vcpu its thread and writes the letters.
    #[inline(always)]
    fn assign(&self, queue: Snapshot, deadline_tb: u64) -> Mask {
        let Self { core, vcore, .. } = *self;
        core.run.deadline_tb.store(deadline_tb, Relaxed);
        core.run.first.store(NOBODY, Relaxed);
        core.run.outcomes.clear();
        let seats = if !vcore.rules.aligned.load(Relaxed) {
            let letters = queue.queue().map(|slot| letter(vcore, slot));
            core.run.seating.assign_packed(letters)
        } else {
            let letters = queue.queue().map(|slot| (slot, letter(vcore, slot)));
            core.run.seating.assign_aligned(letters)
        };
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
            self.core.send_ipi(ptid);
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
        let letter = self.core.run.seating.take_letter(0);
        Seat::from_letter(self.thread, self.core, letter).run(true)
    }

    #[inline(never)]
    fn back_shared(&self, running: &mut Running) {
        running.rung = time_and_doorbells::leave(self.core, self.vcore);
        if running.rung != 0 {
            running.afterwards |= RUNG;
        }
    }

    /// World out.
    #[inline(always)]
    fn back(&self, running: &mut Running) {
        if self.vcore.rules.shares.load(Relaxed) {
            self.back_shared(running);
        }
        // SAFETY: all siblings have reported, and nap or are about to; nobody calls them before
        // this core's next run. A lost one has lost this core.
        let vtb = unsafe { running.host.back() };
        if running.host.keeps_sprs() {
            self.core.run.hosts_sprs.store(true, Relaxed);
        }
        self.vcore.vtb.store(vtb, Relaxed);
    }

    #[inline(always)]
    fn answer(&self, running: &Running, told: Told, kicked: Mask, earliest_tb: u64) {
        let args = running.args();
        args[1] = u64::from(told.exited() | kicked);
        args[2] = u64::from(told.did_not_run() & !kicked);
        args[3] = u64::from(told.ceded() & !kicked);
        args[4] = self.core.run.first.load(Relaxed);
        args[5] = earliest_tb;
        args[6] = running.generation;
    }

    /// When the first of the ceded vcpus' decrementers expires, by the host's time base.
    fn earliest_tb(&self, ceded: Mask) -> u64 {
        let offset_tb = self.vcore.rules.tb_offset.load(Relaxed);
        let expires_tb = |slot: usize| {
            let page = real::ptr(self.vcore.pages[slot].load(Relaxed)).cast::<VcpuPage>();
            // SAFETY: the run still owns the page; its thread has reported.
            unsafe { (*page).sprs.dec_expires_tb.get() }
        };
        let all_tb = Slots(ceded).map(expires_tb);
        earliest_tb(all_tb, offset_tb, op::time_tb()).unwrap_or(NO_DECREMENTER)
    }

    #[inline(always)]
    fn count(&self, running: &mut Running, told: Told, entered: Mask) {
        let counters = &self.vcore.counters;
        // Late joiners included.
        let seats = self.core.run.seating.taken();
        running.generation = counters.runs.load(Relaxed);
        add(&counters.runs, 1);
        add(&counters.woken, u64::from((seats & !1).count_ones()));
        add(&counters.entries, u64::from(entered.count_ones()));
        let pulled = seats.count_ones().wrapping_sub(told.count());
        add(
            &counters.exits[ExitReason::Pulled as usize],
            u64::from(pulled),
        );
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

//! The runner waits for the others, but not for ever (B31).
use super::{Run, finish, give_back};
use crate::smt::cores::Core;
use crate::smt::cores::record::{INTERRUPTED, RUNG};
use crate::trace::{self, Whom};
use asm::op;
use core::sync::atomic::Ordering::{Relaxed, Release};
use hcalls::Status;
use hcalls::run::CoreState;
use hcalls::trace::Event;
use platform::cpu::thread::Thread;
use platform::cpu::{space, world};
use vcore::entry::Snapshot;
use vcore::{Mask, start};

/// How long a thread may take to enter once called, or to report once the vcore leaves: 10 s.
const PATIENCE_TB: u64 = 10 * hcalls::trace::TB_HZ;
/// How long after its deadline a run is asked to end that its decrementer hasn't ended: 5 s.
const OVERDUE_TB: u64 = 5 * hcalls::trace::TB_HZ;
/// How often HDEC is made to expire again, once the deadline is past: each millisecond.
const NUDGE_TB: u64 = 512_000;
/// How long a thread may take to report that was on its way when its call was withdrawn: 1 ms.
const GRACE_TB: u64 = 512_000;

/// Waits until every thread of the run has reported. A late joiner whose thread is this one is run
/// here. A core is fenced only when its run is leaving: from then on nobody enters and nobody joins.
#[inline(never)]
pub fn wait(thread: &'static Thread, core: &'static Core) -> ! {
    let run = Run::of(thread, core);
    let began_tb = op::time_tb();
    let mut deadline_tb = core.run.deadline_tb.load(Relaxed);
    let overdue_tb = overdue_tb(deadline_tb, began_tb);
    let mut patience = Patience::from(began_tb);
    loop {
        op::relax();
        let now = run.vcore.entry.snapshot();
        if now.outstanding() == 0 {
            op::unrelax();
            finish(thread, core)
        }
        if now.outstanding() & 1 != 0 && core.run.seating.has_letter(0) {
            op::unrelax();
            run.sit();
        }
        if !now.leaving() && thread.icp.poll() != 0 {
            interrupt(&run);
        }
        let now_tb = op::time_tb();
        // A thread loses HDEC's interrupt that naps just after it: one that has come late from the last run
        // enters its guest afterwards. With a guest on this thread there is one that has it.
        if !now.leaving() && is_past(deadline_tb, now_tb) {
            world::expire_hdec();
            deadline_tb = now_tb.wrapping_add(NUDGE_TB);
        }
        if !now.leaving() && is_past(overdue_tb, now_tb) {
            bring_out(&run);
        }
        if patience.is_over(&run, now, now_tb) && patience.may_leave(&run, now) {
            op::unrelax();
            fence(&run)
        }
    }
}

fn is_past(limit_tb: u64, now_tb: u64) -> bool {
    now_tb.wrapping_sub(limit_tb) as i64 > 0
}

/// When everybody is asked to come out who hasn't by the deadline, which may have passed long ago.
fn overdue_tb(deadline_tb: u64, now_tb: u64) -> u64 {
    let left_tb = (deadline_tb.wrapping_sub(now_tb) as i64).max(0) as u64;
    let most_tb = i64::MAX as u64;
    now_tb.wrapping_add((left_tb + OVERDUE_TB).min(most_tb))
}

/// How long it goes on to wait for those who have something to do: to enter, or to report.
struct Patience {
    until_tb: u64,
    /// Called, and haven't entered.
    absent: Mask,
    leaving: bool,
    /// Didn't enter in time.
    lost: Mask,
    /// In its guest still, as the log says.
    stuck: Mask,
}

impl Patience {
    fn from(now_tb: u64) -> Self {
        Self {
            until_tb: now_tb.wrapping_add(PATIENCE_TB),
            absent: 0,
            leaving: false,
            lost: 0,
            stuck: 0,
        }
    }

    /// The host may have its registers back: where those are the core's, a lost thread that is in its guest
    /// still would reach the host's memory by them. Then the host has to wait, for this core alone.
    fn may_leave(&mut self, run: &Run, now: Snapshot) -> bool {
        let stuck = now.in_guest();
        if stuck == 0 || space::has_copies() {
            return true;
        }
        if stuck != self.stuck {
            let pir = run.thread.pir;
            log::error!(
                "core {pir:#x}: threads {stuck:#04x} don't leave their guest: the host waits"
            );
        }
        self.stuck = stuck;
        false
    }

    /// Nobody is left who may still report in time.
    fn is_over(&mut self, run: &Run, now: Snapshot, now_tb: u64) -> bool {
        let absent = now.outstanding() & !now.entered();
        // A late joiner, and those who leave, have their own time from then on.
        if absent & !self.absent != 0 || now.leaving() != self.leaving {
            self.until_tb = now_tb.wrapping_add(PATIENCE_TB);
        }
        (self.absent, self.leaving) = (absent, now.leaving());
        let owed = absent != 0 || now.leaving();
        if owed && is_past(self.until_tb, now_tb) {
            if now.leaving() {
                return true;
            }
            self.give_up(run, absent);
        }
        self.lost != 0 && now.outstanding() & !self.lost == 0
    }

    /// Whoever is in the guest comes out, before the core is fenced.
    #[cold]
    fn give_up(&mut self, run: &Run, absent: Mask) {
        self.lost = absent;
        bring_out(run);
    }
}

fn bring_out(run: &Run) {
    if let Some(ptid) = start::bring_out(&run.vcore.entry) {
        run.core.send_ipi(ptid);
    }
}

/// Something wants the host, on whose thread no guest is that it would bring out (L6).
#[cold]
fn interrupt(run: &Run) {
    // SAFETY: this is the core's thread 0, in a run.
    unsafe { run.core.run.record.get().afterwards |= INTERRUPTED };
    run.core.run.interrupted.store(true, Relaxed);
    bring_out(run);
}

/// Threads that never came back: the core is fenced, the vcore stays with it.
#[cold]
fn fence(run: &Run) -> ! {
    let lost = call_off(run);
    if lost == 0 {
        finish(run.thread, run.core)
    }
    // SAFETY: this is the core's thread 0, in a run.
    let running = unsafe { run.core.run.record.get() };
    run.back(running);
    run.core
        .holders
        .owing
        .store(core::ptr::from_ref(run.vcore) as u64, Release);
    run.core.set_state(CoreState::Fenced);
    trace::note(Event::Fence, || (Whom::NOBODY, u32::from(lost)));
    log::error!(
        "core {:#x} is fenced: threads {lost:#04x} never came back: {:?}",
        run.thread.pir,
        run.vcore.entry.snapshot()
    );
    running.afterwards &= !RUNG;
    let args = running.args();
    args[1] = 0;
    args[2] = u64::from(lost);
    give_back(run.core, running, Status::Partial)
}

/// Takes back the IPIs of threads that haven't reported: none of them may wake later, in the host's
/// vectors. Answers who has still not reported.
fn call_off(run: &Run) -> Mask {
    run.core.call_off(run.vcore.entry.snapshot().outstanding());
    let until_tb = op::time_tb().wrapping_add(GRACE_TB);
    while run.vcore.entry.snapshot().outstanding() != 0 && !is_past(until_tb, op::time_tb()) {
        op::relax();
    }
    op::unrelax();
    run.vcore.entry.snapshot().outstanding()
}

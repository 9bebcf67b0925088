//! Two runs to be looked at: everything that threads do to each other, once.
use core::sync::atomic::{AtomicU64, Ordering};

use hcalls::exit::ExitReason;
use hcalls::papr::H_SUCCESS;
use hcalls::run::VcpuState;
use hcalls::trace::TraceAction;
use images::behaviour::timeline::{FIRST_LATE, STEP_TB};
use images::host_runtime::{calls, cpu};

use crate::check::{Outcome, accepted, same};
use crate::cores::{self, Errand};
use crate::lab::{self, Lab, MS_TB, Wanted};

/// The vcpu that is kicked in the end.
const KICKED: usize = 3;
/// How far the two cores are.
static STAGE: AtomicU64 = AtomicU64::new(0);

/// Late joiners, an H_PROD, a decrementer and a hypercall; then a kick. The trace is on meanwhile.
pub fn timeline(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("timeline", 8))?;
    lab::start_all(&mut guest, [0; 2]);
    STAGE.store(0, Ordering::Release);
    cores::send(lab, &guest, join_and_kick)?;
    tick_until("the other core", || STAGE.load(Ordering::Acquire) == 1)?;
    accepted("SMT_TRACE", calls::smt_trace(TraceAction::Start))?;
    let run = lab::run(&mut guest, (1 << FIRST_LATE) - 1)?;
    let reported = (run.exited, run.first_reason);
    same("exited", reported, (1, ExitReason::Hypercall))?;
    lab::answer(&mut guest, 0, H_SUCCESS);
    STAGE.store(2, Ordering::Release);
    let all = guest.all_slots();
    let run = lab::run(&mut guest, all)?;
    same("kicked", run.exited, 1 << KICKED)?;
    accepted("SMT_TRACE", calls::smt_trace(TraceAction::Stop))?;
    cores::answer()
}

/// On the other core, while the vcore runs.
fn join_and_kick(errand: &Errand) -> Outcome {
    STAGE.store(1, Ordering::Release);
    let runs = || errand.runs.has_thread(KICKED);
    tick_until("the first run", runs)?;
    tick_for(3 * STEP_TB);
    let slots = 0xff << FIRST_LATE & 0xff;
    let set = calls::vcpu_set_state(errand.vcore, slots, VcpuState::Runnable);
    same("joined", accepted("VCPU_SET_STATE", set)?.joined, slots)?;
    tick_until("the second run", || {
        STAGE.load(Ordering::Acquire) == 2 && runs()
    })?;
    tick_for(2 * STEP_TB);
    accepted(
        "VCORE_KICK",
        calls::vcore_kick(errand.vcore, 1 << KICKED, 1),
    )
    .map(drop)
}

fn tick_until(what: &str, is_so: impl Fn() -> bool) -> Outcome {
    let end_tb = cpu::time_base() + 20_000 * MS_TB;
    while !is_so() {
        ensure!(cpu::time_base() < end_tb, "{what} never began");
        tick_for(0);
    }
    Ok(())
}

/// Waits, with a decrementer that is always about to expire. Where QEMU executes the machine's threads
/// in turn and counts instructions, it gives each thread no more of them than there are to the next
/// timer: so threads take turns within a microsecond, as if they ran at the same time. A tick has to outlast a turn of all.
fn tick_for(ticks: u64) {
    const TICK_TB: u64 = 512;
    let end_tb = cpu::time_base() + ticks;
    loop {
        cpu::set_decrementer(TICK_TB);
        cpu::relax();
        if cpu::time_base() >= end_tb {
            return;
        }
    }
}

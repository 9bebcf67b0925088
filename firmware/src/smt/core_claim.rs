//! CORE_CLAIM: a core's secondaries go to the host and come back, and a fence ends.
use super::cores::{self, Core};
use super::host_threads::wait_until;
use super::objects::Vcore;
use super::run::kicks;
use crate::args::{Answer, Args, Refused};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use hcalls::Status;
use hcalls::registers::{CoreClaim, CoreClaimed, FencedRun};
use hcalls::run::{ClaimAction, CoreState};
use platform::cpu::{thread, world};
use vcore::{Slots, full_barrier};

/// How long CORE_CLAIM waits for threads to answer: 4 s. An emulator with more threads than
/// processors can take a good part of it.
const PATIENCE_TB: u64 = 4 * hcalls::trace::TB_HZ;

/// What an action has come to, beside the core's state.
#[derive(Default)]
struct Outcome {
    lost: u64,
    ended: Option<FencedRun>,
}

/// CORE_CLAIM: core's PIR, action → state, lost threads, and the vcore of the run that ends with a fence,
/// with its exited, did-not-run and ceded masks. Status may be asked from anywhere; claiming and
/// releasing is for the core's own thread 0.
pub fn claim(args: &Args) -> Answer {
    let core = u32::try_from(args[0]).ok().and_then(cores::by_pir);
    let core = core.ok_or(Refused::Argument(1))?;
    let CoreClaim { action, .. } = CoreClaim::from_registers(args)?;
    let thread = thread::current();
    let own = core::ptr::eq(cores::of(thread), core) && thread.ptid() == 0;
    let mut outcome = Outcome::default();
    let result = match (action, core.state()) {
        (ClaimAction::Status, _)
        | (ClaimAction::Claim, CoreState::Held)
        | (ClaimAction::Release, CoreState::Released) => Ok(()),
        _ if !own => Err(Status::WrongState),
        (ClaimAction::Release, CoreState::Held) => release(core),
        (ClaimAction::Release, CoreState::Fenced) => Err(Status::WrongState),
        (ClaimAction::Claim, CoreState::Released) => take_back(core),
        (ClaimAction::Claim, CoreState::Fenced) => end_fence(core, &mut outcome),
    };
    let claimed = CoreClaimed {
        state: core.state(),
        lost: outcome.lost,
        ended: outcome.ended,
    };
    match result {
        Ok(()) => Ok(claimed.to_registers()),
        Err(status) => Err(Refused::With(status, claimed.to_registers())),
    }
}

fn secondaries(core: &Core) -> u8 {
    core.thread_mask() & !1
}

/// The secondaries leave their nap, under the firmware's vectors, and wait for the host awake. They
/// are the host's when all do: a thread that began to run it before would take its vectors along.
fn release(core: &Core) -> Result<(), Status> {
    let all = secondaries(core);
    core.holders.parks.store(true, Release);
    // SAFETY: thread 0 of this core, whose siblings are the firmware's; all are awake afterwards,
    // or nap again.
    let answered = unsafe {
        world::with_firmware_vectors(|| {
            Slots(all).for_each(|ptid| core.send_ipi(ptid));
            let answered = wait_until(PATIENCE_TB, || core.holders.parked.load(Acquire) == all);
            if !answered {
                core.call_off(all & !core.holders.parked.load(Acquire));
                core.holders.parks.store(false, Release);
                wait_until(PATIENCE_TB, || core.holders.parked.load(Acquire) == 0);
            }
            answered
        })
    };
    if !answered {
        return Err(Status::Hardware);
    }
    core.set_state(CoreState::Released);
    Ok(())
}

/// The secondaries go back to their nap; all must have been returned.
fn take_back(core: &Core) -> Result<(), Status> {
    let all = secondaries(core);
    core.holders.claiming.store(true, Relaxed);
    full_barrier();
    let with_host = core.holders.with_host.load(Acquire) & all != 0;
    let result = if with_host || core.holders.parked.load(Acquire) != all {
        Err(Status::Busy)
    } else {
        core.holders.forget_partitions();
        core.set_state(CoreState::Held);
        core.holders.parks.store(false, Release);
        match wait_until(PATIENCE_TB, || core.holders.parked.load(Acquire) == 0) {
            true => Ok(()),
            false => {
                core.set_state(CoreState::Fenced);
                Err(Status::Partial)
            }
        }
    };
    core.holders.claiming.store(false, Release);
    result
}

/// Asks the threads that never came back once more (B31).
fn end_fence(core: &Core, outcome: &mut Outcome) -> Result<(), Status> {
    let owing = core.holders.owing.load(Acquire);
    if owing == 0 {
        return Err(Status::Hardware);
    }
    // SAFETY: the address was put there from a vcore of the static table.
    let vcore = unsafe { &*(owing as *const Vcore) };
    vcore.entry.request();
    // SAFETY: thread 0 of this core; threads that answer do so under the firmware's vectors.
    let back = unsafe {
        world::with_firmware_vectors(|| {
            world::expire_hdec();
            let lost = vcore.entry.snapshot().outstanding();
            Slots(lost & !1).for_each(|ptid| core.send_ipi(ptid));
            let back = wait_until(PATIENCE_TB, || vcore.entry.snapshot().outstanding() == 0);
            core.call_off(vcore.entry.snapshot().outstanding() & !1);
            back
        })
    };
    if !back {
        outcome.lost = u64::from(vcore.entry.snapshot().outstanding());
        return Err(Status::Partial);
    }
    let told = core.run.outcomes.told();
    vcore.core.store(0, Relaxed);
    let kicked = kicks::end(vcore, core, told.exited(), told.ceded());
    outcome.ended = Some(FencedRun {
        vcore: vcore.handle(),
        exited: u64::from(told.exited() | kicked),
        did_not_run: u64::from(told.did_not_run() & !kicked),
        ceded: u64::from(told.ceded() & !kicked),
    });
    core.holders.owing.store(0, Relaxed);
    core.set_state(CoreState::Held);
    log::info!("core {:#x} is whole again", core.pir());
    Ok(())
}

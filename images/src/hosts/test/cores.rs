//! What one core does to a vcore that another one runs.
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use hcalls::Status;
use hcalls::exit::ExitReason;
use hcalls::partition::Policy;
use hcalls::run::{ClaimAction, CoreState, RUN_FP_CLEAN, VcpuState};
use hcalls::stats::StatsAction;
use images::behaviour::calls as case;
use images::host_runtime::calls::{self, Partition, Vcore};
use images::host_runtime::guest::Guest;
use images::host_runtime::sync::Lock;
use images::host_runtime::{cores, cpu};

use crate::check::{Outcome, accepted, refused, same};
use crate::lab::{self, Lab, MS_TB, PATIENCE_TB, Wanted};
use crate::watch::{self, Watch};

/// What the other core is to do, and to whom.
#[derive(Clone, Copy)]
pub struct Errand {
    work: fn(&Errand) -> Outcome,
    pub vcore: Vcore,
    pub partition: Partition,
    /// The runs of that guest from now on.
    pub runs: Watch,
}

/// For the other core: taken, done, answered. It is started once, and stays.
static ERRAND: Lock<Option<Errand>> = Lock::new(None);
static ANSWER: Lock<Option<Outcome>> = Lock::new(None);
/// Guests that the other core works with meanwhile.
pub static LENT: Lock<Vec<Guest>> = Lock::new(Vec::new());
/// PIR of the other core's thread, plus 1; 0 before it's started.
static OTHER: AtomicU64 = AtomicU64::new(0);

/// The other core, for ever: does errands.
fn serve(_pir: u32) {
    loop {
        let errand = ERRAND.lock().take();
        if let Some(errand) = errand {
            let answer = (errand.work)(&errand);
            *ANSWER.lock() = Some(answer);
        }
        cpu::relax();
    }
}

/// Gives the other core an errand that it begins at once.
pub fn send(lab: &Lab, guest: &Guest, work: fn(&Errand) -> Outcome) -> Outcome {
    send_errand(
        lab,
        Errand {
            work,
            vcore: guest.vcore,
            partition: guest.partition,
            runs: Watch::of(guest),
        },
    )
}

/// The same for one that is to no guest in particular.
pub fn begin(lab: &Lab, work: fn(&Errand) -> Outcome) -> Outcome {
    send_errand(
        lab,
        Errand {
            work,
            vcore: Vcore(0),
            partition: Partition(0),
            runs: Watch::NOBODY,
        },
    )
}

fn send_errand(lab: &Lab, errand: Errand) -> Outcome {
    if OTHER.load(Ordering::Acquire) == 0 {
        let other = lab
            .machine
            .cores
            .iter()
            .copied()
            .find(|&pir| pir != cpu::pir());
        let pir = other.ok_or("this test needs two cores")?;
        cores::start(pir, serve).map_err(|status| alloc::format!("START_CPU: {status:?}"))?;
        OTHER.store(u64::from(pir) + 1, Ordering::Release);
    }
    *ERRAND.lock() = Some(errand);
    Ok(())
}

/// What the errand came to.
pub fn answer() -> Outcome {
    watch::wait("the other core has not answered", || {
        ANSWER.lock().is_some()
    })?;
    let answer = ANSWER.lock().take().ok_or("somebody else has its answer")?;
    answer.map_err(|why| alloc::format!("on the other core: {why}"))
}

/// Ends the run by a kick for the vcpus of `slots`.
pub fn bring_out(errand: &Errand, slots: u64) -> Outcome {
    accepted("VCORE_KICK", calls::vcore_kick(errand.vcore, slots, 0)).map(drop)
}

/// A kick from another core brings the vcore out; the vcpu that it is for is told so, the others
/// are pulled (B17).
/// B19, L5.
pub fn kick(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("loop", 8))?;
    let all = guest.all_slots();
    for _ in 0..20 {
        send(lab, &guest, |errand| {
            errand.runs.wait_for_any()?;
            let interrupted = accepted("VCORE_KICK", calls::vcore_kick(errand.vcore, 1 << 2, 1))?;
            same("left the queue at once", interrupted, 0)
        })?;
        let run = lab::run(&mut guest, all)?;
        answer()?;
        same("exited", run.exited, 1 << 2)?;
        let reason = |vcpu: usize| guest.page(vcpu).firmware.reason.get();
        same(
            "the kicked one's reason",
            reason(2),
            ExitReason::Kick as u32,
        )?;
        for vcpu in [0, 1, 3, 4, 5, 6, 7] {
            let fits = [
                ExitReason::Pulled as u32,
                ExitReason::Kick as u32,
                ExitReason::None as u32,
            ];
            ensure!(
                fits.contains(&reason(vcpu)),
                "vcpu {vcpu} came out for {}",
                reason(vcpu)
            );
        }
    }
    Ok(())
}

/// A kick of a vcpu that doesn't run refuses the next run, once, and no guest instruction is
/// executed (B12, B16, B20).
pub fn kick_before(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("loop", 2))?;
    let entries = |guest: &Guest| [0, 1].map(|vcpu| guest.page(vcpu).firmware.entries.get());
    let kicked = accepted("VCORE_KICK", calls::vcore_kick(guest.vcore, 1, 0))?;
    same("left the queue, which is empty", kicked, 0)?;
    let run = guest.run(3, 0, cpu::time_base() + MS_TB, RUN_FP_CLEAN);
    refused("VCORE_RUN after a kick", run, Status::Empty, 0)?;
    same("entries", entries(&guest), [0, 0])?;
    lab::run_for(&mut guest, 3, MS_TB)?;
    // Both are in the queue now: the kicked one leaves it at once.
    let kicked = accepted("VCORE_KICK", calls::vcore_kick(guest.vcore, 2, 0))?;
    same("left the queue", kicked, 2)?;
    lab::run_for(&mut guest, 3, MS_TB)?;
    lab.clear();
    told_of_the_kick_alone(lab)
}

/// What a vcpu came out for in an earlier run isn't told again with a kick.
fn told_of_the_kick_alone(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("calls", 1))?;
    lab::start_all(&mut guest, [case::REPORT_FOR_EVER, 0]);
    lab::run(&mut guest, 1)?;
    lab::hypercall(&guest, 0)?;
    accepted("VCORE_KICK", calls::vcore_kick(guest.vcore, 1, 0))?;
    let run = guest.run(1, 0, cpu::time_base() + MS_TB, RUN_FP_CLEAN);
    refused("VCORE_RUN after a kick", run, Status::Empty, 0)?;
    let firmware = &guest.page(0).firmware;
    let told = (firmware.reason.get(), firmware.trap.get());
    same("reason and vector", told, (ExitReason::Kick as u32, 0))
}

/// Vcpus that another core makes runnable join the vcore while it runs (B26).
/// B8, B15.
pub fn join(lab: &mut Lab) -> Outcome {
    for ptid_mode in [
        hcalls::partition::PtidMode::Packed,
        hcalls::partition::PtidMode::Aligned,
    ] {
        let wanted = Wanted {
            policy: Policy::Eager,
            ptid_mode,
            ..Wanted::new("loop", 8)
        };
        let mut guest = lab.guest(&wanted)?;
        send(lab, &guest, |errand| {
            errand.runs.wait_for_any()?;
            for (slots, what) in [(0b10, "one"), (0b1111_1100, "six")] {
                let state = calls::vcpu_set_state(errand.vcore, slots, VcpuState::Runnable);
                let set = accepted("VCPU_SET_STATE", state)?;
                same(what, (set.joined, set.queued), (slots, 0))?;
            }
            errand.runs.wait_for_all(0xff)?;
            bring_out(errand, 1)
        })?;
        lab::run(&mut guest, 1)?;
        answer()?;
        for vcpu in 0..8 {
            same(
                "entries",
                (vcpu, guest.page(vcpu).firmware.entries.get()),
                (vcpu, 1),
            )?;
        }
        let stats = accepted(
            "SMT_STATS",
            calls::smt_stats(guest.vcore, StatsAction::Snapshot),
        )?;
        same("joined", stats.joined.get(), 7)?;
        lab.clear();
    }
    Ok(())
}

/// Vcpus join in the moment in which another leaves: each either runs or is told that it did not,
/// and none is lost (B27, B28, B37).
/// B32.
pub fn join_race(lab: &mut Lab) -> Outcome {
    let wanted = Wanted {
        policy: Policy::Eager,
        ..Wanted::new("calls", 8)
    };
    let mut guest = lab.guest(&wanted)?;
    for round in 0..200 {
        lab::start_all(&mut guest, [case::REPORT_FOR_EVER, 0]);
        send(lab, &guest, |errand| {
            let set = calls::vcpu_set_state(errand.vcore, 0b1111_1110, VcpuState::Runnable);
            accepted("VCPU_SET_STATE", set).map(drop)
        })?;
        let before: u64 = (0..8)
            .map(|vcpu| guest.page(vcpu).firmware.entries.get())
            .sum();
        let mut run = guest.run(1, 0, cpu::time_base() + PATIENCE_TB, RUN_FP_CLEAN);
        while run.is_err_and(|refusal| refusal.is(Status::Busy)) {
            run = guest.run(1, 0, cpu::time_base() + PATIENCE_TB, RUN_FP_CLEAN);
        }
        let run = accepted("VCORE_RUN", run)?;
        answer()?;
        let after: u64 = (0..8)
            .map(|vcpu| guest.page(vcpu).firmware.entries.get())
            .sum();
        ensure!(run.exited != 0, "round {round}: nobody came out");
        ensure!(
            after - before >= u64::from(run.exited.count_ones()),
            "round {round}: fewer entries than exits"
        );
        lab::empty_queue(&guest, 0xff)?;
    }
    Ok(())
}

/// Nothing of a running vcore can be run a second time, destroyed or taken out (B6, B25).
pub fn busy(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("loop", 2))?;
    send(lab, &guest, |errand| {
        errand.runs.wait_for_any()?;
        // SAFETY: the vcore runs on the other core, so that this is refused.
        let run = unsafe { calls::vcore_run(errand.vcore, 1, 0, 0, 0) };
        refused("VCORE_RUN", run, Status::Busy, 0)?;
        refused(
            "VCPU_DESTROY",
            calls::vcpu_destroy(errand.vcore, 0),
            Status::Busy,
            0,
        )?;
        refused(
            "PARTITION_DESTROY",
            calls::partition_destroy(errand.partition),
            Status::Busy,
            0,
        )?;
        let blocked = calls::vcpu_set_state(errand.vcore, 1, VcpuState::Blocked);
        refused("BLOCKED", blocked, Status::Busy, 0)?;
        bring_out(errand, 1)
    })?;
    lab::run(&mut guest, 3)?;
    answer()?;
    lab::run_for(&mut guest, 3, MS_TB)?;
    Ok(())
}

/// Both cores run a vcore each at the same time, many times over.
/// B19, L1.
pub fn two_cores(lab: &mut Lab) -> Outcome {
    let other = lab.guest(&Wanted::new("loop", 8))?;
    let mut own = lab.guest(&Wanted::new("loop", 8))?;
    send(lab, &other, |errand| {
        for _ in 0..100 {
            let deadline_tb = cpu::time_base() + MS_TB;
            // SAFETY: nobody has a reference to that guest's pages or memory meanwhile.
            let run = unsafe { calls::vcore_run(errand.vcore, 0xff, 0, deadline_tb, RUN_FP_CLEAN) };
            accepted("VCORE_RUN", run)?;
        }
        Ok(())
    })?;
    for _ in 0..100 {
        lab::run_for(&mut own, 0xff, MS_TB)?;
    }
    answer()
}

/// The host takes a core's secondaries and gives them back; in between no vcore runs there (B21).
pub fn claim(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("loop", 8))?;
    let pir = u64::from(cpu::pir());
    let claim = |action| accepted("CORE_CLAIM", calls::core_claim(pir, action));
    same("at first", claim(ClaimAction::Status)?, CoreState::Held)?;
    same("held again", claim(ClaimAction::Claim)?, CoreState::Held)?;
    for _ in 0..3 {
        same(
            "released",
            claim(ClaimAction::Release)?,
            CoreState::Released,
        )?;
        let run = guest.run(0xff, 0, cpu::time_base() + MS_TB, RUN_FP_CLEAN);
        refused("VCORE_RUN on a released core", run, Status::WrongState, 0)?;
        same("claimed", claim(ClaimAction::Claim)?, CoreState::Held)?;
        lab::run_for(&mut guest, 0xff, MS_TB)?;
    }
    Ok(())
}

/// A secondary that the host has started can't run a vcore, and can be given back (B21).
pub fn secondary(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("loop", 8))?;
    let pir = cpu::pir();
    refused_start(pir + 1)?;
    let claim = |action| accepted("CORE_CLAIM", calls::core_claim(pir.into(), action));
    same(
        "released",
        claim(ClaimAction::Release)?,
        CoreState::Released,
    )?;
    VCORE.store(guest.vcore.0, Ordering::Release);
    cores::start(pir + 1, |_| {
        let vcore = Vcore(VCORE.load(Ordering::Acquire));
        // SAFETY: refused, as this is no thread 0; should it run, the test has failed.
        let run = unsafe { calls::vcore_run(vcore, 0xff, 0, 0, RUN_FP_CLEAN) };
        *ANSWER.lock() = Some(refused("VCORE_RUN on thread 1", run, Status::WrongState, 0));
        // SAFETY: nothing on this thread's stack is needed any more.
        let _ = unsafe { calls::raw(RETURN_CPU, &[]) };
    })
    .map_err(|status| alloc::format!("START_CPU: {status:?}"))?;
    answer()?;
    let limit_tb = cpu::time_base() + PATIENCE_TB;
    loop {
        match calls::core_claim(pir.into(), ClaimAction::Claim) {
            Ok(state) => {
                same("claimed", state, CoreState::Held)?;
                break;
            }
            // The thread is still on its way.
            Err(refusal) if refusal.is(Status::Busy) && cpu::time_base() < limit_tb => cpu::relax(),
            Err(refusal) => return Err(alloc::format!("CORE_CLAIM: {refusal}")),
        }
    }
    lab::run_for(&mut guest, 0xff, MS_TB)?;
    Ok(())
}

static VCORE: AtomicU64 = AtomicU64::new(0);
const RETURN_CPU: u64 = 69;

/// START_CPU of a thread that the firmware holds.
fn refused_start(pir: u32) -> Outcome {
    match cores::start(pir, |_| ()) {
        Ok(()) => Err(alloc::format!(
            "thread {pir:#x} was started, though the firmware has it"
        )),
        Err(status) => same("START_CPU", status, Some(Status::WrongState as i64)),
    }
}

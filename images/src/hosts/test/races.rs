//! What two cores do to one vcore at the same time: each outcome is one that some order of the two
//! would have, and nothing is lost.
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};

use hcalls::Status;
use hcalls::exit::ExitReason;
use hcalls::partition::{Policy, PtidMode};
use hcalls::run::{ClaimAction, CoreState, RUN_FP_CLEAN, VcpuState};
use images::behaviour::{calls as case, exits};
use images::guest_calls::H_REPORT;
use images::host_runtime::calls::{self, Run};
use images::host_runtime::guest::Guest;
use images::host_runtime::{cores as threads, cpu};

use crate::check::{Outcome, accepted, same};
use crate::lab::{self, Lab, PATIENCE_TB, Wanted};
use crate::race::{Race, delay};

fn deadline_tb() -> u64 {
    cpu::time_base() + PATIENCE_TB
}

/// Vcpus are made runnable while the one that runs leaves: each of them either runs, or is told that
/// it didn't and waits, and every one gets its turn (B26–B28, B34, B36, B37).
pub fn race_join_exit(lab: &mut Lab) -> Outcome {
    for ptid_mode in [PtidMode::Packed, PtidMode::Aligned] {
        let mut guest = lab.guest(&Wanted {
            policy: Policy::Eager,
            ptid_mode,
            ..Wanted::new("calls", 4)
        })?;
        lab::start_all(&mut guest, [case::REPORT_FOR_EVER, 0]);
        let mut race = Race::new(lab, &guest, "race_join_exit", |vcore, _, _| {
            let set = calls::vcpu_set_state(vcore, 0b1110, VcpuState::Runnable);
            let set = accepted("VCPU_SET_STATE", set)?;
            same("neither joined nor queued", set.joined | set.queued, 0b1110)?;
            Ok(set.joined)
        })?;
        let mut reports = [0; 4];
        for _ in 0..race.rounds {
            let outcome = join_and_exit(&mut guest, &mut race, &mut reports);
            race.judge(outcome)?;
        }
        drop(race);
        lab.clear();
    }
    Ok(())
}

/// One round. Afterwards every vcpu has made one more report.
fn join_and_exit(guest: &mut Guest, race: &mut Race, reports: &mut [u64; 4]) -> Outcome {
    let wanted = reports.map(|count| count + 1);
    let mut runnable = 1;
    race.go(guest);
    for runs in 0..100 {
        // Who has joined, or was too late, is queued.
        match guest.run(runnable, 0, deadline_tb(), RUN_FP_CLEAN) {
            Ok(run) => {
                note_reports(guest, &run, reports)?;
                runnable = 0;
            }
            // The other core was still at its call.
            Err(refusal) if refusal.is(Status::Busy) => {}
            Err(refusal) => return Err(alloc::format!("VCORE_RUN: {refusal}, {reports:?}")),
        }
        if runs == 0 {
            race.answer()?;
        }
        if *reports == wanted {
            return Ok(());
        }
    }
    Err(alloc::format!("reports {reports:?}, not {wanted:?}"))
}

fn note_reports(guest: &mut Guest, run: &Run, reports: &mut [u64; 4]) -> Outcome {
    for vcpu in guest.vcpus_of(run.exited) {
        let (number, [step, index, count, ..]) = lab::hypercall(guest, vcpu)?;
        let wanted = (H_REPORT, case::STEP, vcpu as u64, reports[vcpu]);
        same("hypercall", (number, step, index, count), wanted)?;
        reports[vcpu] += 1;
    }
    Ok(())
}

/// A vcpu is kicked while its vcore begins to run: the run doesn't begin, or it ends for the kick
/// (B12, B16, B17, B20).
pub fn race_kick_entry(lab: &mut Lab) -> Outcome {
    for (ptid_mode, policy) in [
        (PtidMode::Packed, Policy::Complete),
        (PtidMode::Aligned, Policy::Eager),
    ] {
        let mut guest = lab.guest(&Wanted {
            ptid_mode,
            policy,
            ..Wanted::new("loop", 2)
        })?;
        let mut race = Race::new(lab, &guest, "race_kick_entry", |vcore, _, random| {
            let slots = 1 << random.below(2);
            let left = accepted("VCORE_KICK", calls::vcore_kick(vcore, slots, 0))?;
            same("left the queue", left, 0)?;
            Ok(slots)
        })?;
        for _ in 0..race.rounds {
            race.go(&guest);
            let run = guest.run(3, 0, deadline_tb(), RUN_FP_CLEAN);
            let kicked = race.answer()?;
            let outcome = answers_kick(&guest, run, kicked);
            race.judge(outcome)?;
            lab::empty_queue(&guest, 3)?;
        }
        drop(race);
        lab.clear();
    }
    Ok(())
}

/// The run's end is the kick's answer: the guest never leaves by itself.
fn answers_kick(guest: &Guest, run: calls::Result<Run>, kicked: u64) -> Outcome {
    match run {
        Ok(run) => same("exited", run.exited, kicked)?,
        Err(refusal) if refusal.is(Status::Empty) => same("kicked", refusal.argument, kicked)?,
        Err(refusal) => return Err(alloc::format!("VCORE_RUN: {refusal}")),
    }
    let vcpu = kicked.trailing_zeros() as usize;
    let reason = guest.page(vcpu).firmware.reason.get();
    same("the kicked one's reason", reason, ExitReason::Kick as u32)
}

/// What the other core tells of its attempt to destroy.
const DESTROYED: u64 = 1;
const WAS_BUSY: u64 = 2;

/// A vcpu, or its whole partition, is destroyed while its vcore is to run: it runs, or it is gone
/// (B6).
pub fn race_destroy_run(lab: &mut Lab) -> Outcome {
    let wanted = Wanted::new("exits", 1);
    let mut guest = lab.guest(&wanted)?;
    let mut race = Race::new(
        lab,
        &guest,
        "race_destroy_run",
        |vcore, partition, random| {
            let destroyed = match random.below(2) {
                0 => calls::vcpu_destroy(vcore, 0),
                _ => calls::partition_destroy(partition),
            };
            match destroyed {
                Ok(()) => Ok(DESTROYED),
                Err(refusal) if refusal.is(Status::Busy) => Ok(WAS_BUSY),
                Err(refusal) => Err(alloc::format!("destroying: {refusal}")),
            }
        },
    )?;
    for _ in 0..race.rounds {
        lab::start_all(&mut guest, [exits::HYPERCALL, 0]);
        race.go(&guest);
        let run = guest.run(1, 0, deadline_tb(), RUN_FP_CLEAN);
        let answer = race.answer()?;
        race.judge(ran_or_gone(&guest, run, answer))?;
        if answer == DESTROYED {
            accepted("everything anew", guest.revive())?;
        }
    }
    Ok(())
}

fn ran_or_gone(guest: &Guest, run: calls::Result<Run>, answer: u64) -> Outcome {
    match run {
        Ok(run) => same("exited", run.exited, 1)?,
        Err(refusal) => {
            let gone = answer == DESTROYED && refusal.is(Status::Parameter);
            ensure!(gone, "VCORE_RUN: {refusal}, the other core: {answer}");
        }
    }
    let set = calls::vcpu_set_state(guest.vcore, 1, VcpuState::Blocked);
    same("the vcpu is there", set.is_ok(), answer != DESTROYED)
}

/// How often each core has run the vcore.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// Two cores want to run one vcore: one does, the other does it later or is told that it is busy
/// (B25).
pub fn race_two_runners(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("calls", 2))?;
    lab::start_all(&mut guest, [case::FIRST_REPORTS, 0]);
    RUNS.store(0, Ordering::Relaxed);
    let mut race = Race::new(lab, &guest, "race_two_runners", |vcore, _, _| {
        // SAFETY: nobody has a reference to that guest's pages or memory meanwhile.
        let run = unsafe { calls::vcore_run(vcore, 3, 0, deadline_tb(), RUN_FP_CLEAN) };
        ran_or_busy(run)
    })?;
    for _ in 0..race.rounds {
        race.go(&guest);
        let here = ran_or_busy(guest.run(3, 0, deadline_tb(), RUN_FP_CLEAN));
        let outcome = race.answer().and_then(|there| {
            let here = here?;
            ensure!(here + there > 0, "neither has run it");
            let (_, [_, _, count, ..]) = lab::hypercall(&guest, 0)?;
            let runs = RUNS.load(Ordering::Relaxed);
            same("reports", count + 1, runs)
        });
        race.judge(outcome)?;
    }
    Ok(())
}

/// 1: it was run, and vcpu 0 came out.
fn ran_or_busy(run: calls::Result<Run>) -> Result<u64, String> {
    match run {
        Ok(run) => {
            same("exited", run.exited, 1)?;
            RUNS.fetch_add(1, Ordering::Relaxed);
            Ok(1)
        }
        Err(refusal) if refusal.is(Status::Busy) => Ok(0),
        Err(refusal) => Err(alloc::format!("VCORE_RUN: {refusal}")),
    }
}

/// For the secondaries: where their stack ends, whose core it is, and how many have come.
static STACK: AtomicU64 = AtomicU64::new(0);
static CORE: AtomicU64 = AtomicU64::new(0);
static CAME: AtomicU64 = AtomicU64::new(0);
const RETURN_CPU: u64 = 69;

/// A core releases and claims its secondaries while another one starts them: a thread that was started
/// runs the host until it is returned, and no claim takes it away (B21).
pub fn race_claim_start(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("calls", 8))?;
    lab::start_all(&mut guest, [case::ALL_THEN_REPORT, 0]);
    let pir = cpu::pir();
    STACK.store(threads::stack(), Ordering::Relaxed);
    CORE.store(pir.into(), Ordering::Relaxed);
    CAME.store(0, Ordering::Relaxed);
    let mut race = Race::new(lab, &guest, "race_claim_start", |_, _, random| {
        let secondary = CORE.load(Ordering::Relaxed) as u32 + 1 + random.below(7) as u32;
        // SAFETY: one at a time, and the round is over when the thread has been returned.
        let started = unsafe { threads::start_on(STACK.load(Ordering::Relaxed), secondary, come) };
        match started {
            Ok(()) => Ok(1),
            Err(Some(status)) if status == Status::WrongState as i64 => Ok(0),
            Err(Some(status)) => Err(alloc::format!("START_CPU: {status}")),
            Err(None) => Err("a thread was started, and never came".into()),
        }
    })?;
    let mut started = 0;
    for round in 0..race.rounds {
        let claim = |action| calls::core_claim(pir.into(), action);
        race.go(&guest);
        let state = accepted("releasing", claim(ClaimAction::Release))?;
        same("released", state, CoreState::Released)?;
        delay(&mut race.random);
        let first = claim(ClaimAction::Claim);
        started += race.answer()?;
        let outcome = claimed(first, &claim);
        race.judge(outcome)?;
        same("threads that came", CAME.load(Ordering::Acquire), started)?;
        if round % 100 == 0 {
            same("exited", lab::run(&mut guest, 0xff)?.exited, 1)?;
        }
    }
    images::println!("race_claim_start: {started} threads were started");
    Ok(())
}

/// A started secondary: it says so, and goes back.
fn come(_pir: u32) {
    CAME.fetch_add(1, Ordering::AcqRel);
    // SAFETY: nothing on this thread's stack is needed any more.
    let _ = unsafe { calls::raw(RETURN_CPU, &[]) };
}

/// The core is held in the end: at once, or when the thread is back.
fn claimed(
    mut state: calls::Result<CoreState>,
    claim: &dyn Fn(ClaimAction) -> calls::Result<CoreState>,
) -> Outcome {
    let limit_tb = cpu::time_base() + PATIENCE_TB;
    loop {
        match state {
            Ok(state) => return same("claimed", state, CoreState::Held),
            Err(refusal) if refusal.is(Status::Busy) && cpu::time_base() < limit_tb => cpu::relax(),
            Err(refusal) => return Err(alloc::format!("CORE_CLAIM: {refusal}")),
        }
        state = claim(ClaimAction::Claim);
    }
}

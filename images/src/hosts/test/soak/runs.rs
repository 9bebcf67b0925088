//! VCORE_RUN, and what must be so when it returns.
use alloc::string::String;
use core::sync::atomic::Ordering;

use hcalls::exit::ExitReason;
use hcalls::run::{RUN_FP_CLEAN, RUN_KEEP_SLB, RUN_SPRS_LOST};
use hcalls::{Status, papr};
use images::behaviour::soak::{self, NOBODYS_NUMBER, STEP};
use images::guest_calls::H_REPORT;
use images::host_runtime::calls::{self, Run};
use images::host_runtime::{cpu, icp};
use images::random::Random;

use super::acts;
use super::shared::{self, Seat, Shared};
use crate::check::{Outcome, same};
use crate::lab::MS_TB;

/// What a core hands to a run.
struct Plan {
    runnable: u64,
    blocked: u64,
    /// Vcpus in the queue before, as far as the host can say.
    queued: u64,
    /// Those that no run may begin with: they were kicked.
    owed: u64,
}

/// One run, of some vcpus or of all that are there.
pub fn run(guest: &Shared, random: &mut Random, all: bool) -> Outcome {
    let queued = if all { guest.queued() } else { 0 };
    let mut plan = Plan {
        runnable: 0,
        blocked: 0,
        queued,
        owed: 0,
    };
    for (vcpu, seat) in guest.each(guest.all()) {
        if (all || !random.once_in(16)) && seat.take() {
            if all || random.below(4) != 0 {
                seat.give();
                plan.runnable |= 1 << vcpu;
            } else {
                plan.blocked |= 1 << vcpu;
            }
        }
    }
    if guest.begin_answering() {
        plan.owed = guest.owed() & (plan.runnable | plan.queued);
    }
    let outcome = judged(guest, &plan, &call(guest, &plan, random, all));
    guest.end_answering();
    outcome
}

fn call(guest: &Shared, plan: &Plan, random: &mut Random, all: bool) -> calls::Result<Run> {
    let limit_tb = match random.below(8) {
        // Over before it begins, or while the threads wake.
        _ if all => 20 * MS_TB,
        0 => 0,
        1 => random.below(2000),
        _ => random.below(5 * MS_TB),
    };
    let mut flags = RUN_FP_CLEAN;
    for flag in [RUN_KEEP_SLB, RUN_SPRS_LOST] {
        if random.once_in(2) {
            flags |= flag;
        }
    }
    let deadline_tb = cpu::time_base() + limit_tb;
    // SAFETY: nobody has a reference to a page of vcpus that aren't its own, or to the memory.
    let run = unsafe {
        calls::vcore_run(
            guest.vcore(),
            plan.runnable,
            plan.blocked,
            deadline_tb,
            flags,
        )
    };
    if run.is_ok_and(|run| run.first_reason != ExitReason::Hypercall) {
        icp::drop_ipi();
    }
    run
}

fn judged(guest: &Shared, plan: &Plan, run: &calls::Result<Run>) -> Outcome {
    let mine = plan.runnable | plan.blocked;
    let refusal = match run {
        Ok(run) => {
            guest.counts.runs.fetch_add(1, Ordering::SeqCst);
            ensure!(
                plan.owed == 0,
                "it ran, though {:#x} were kicked",
                plan.owed
            );
            let blocked = guest.each(plan.blocked);
            blocked.for_each(|(_, seat)| seat.put_back());
            return came_out(guest, run);
        }
        Err(refusal) => *refusal,
    };
    if refusal.is(Status::Empty) {
        guest.counts.refused.fetch_add(1, Ordering::SeqCst);
        let kicked = refusal.argument;
        ensure!(
            kicked & plan.owed == plan.owed,
            "{kicked:#x} were told of kicks, and not {:#x}",
            plan.owed
        );
        let handed = guest.each(plan.runnable & !kicked);
        handed.for_each(|(_, seat)| seat.put_back());
        let blocked = guest.each(plan.blocked);
        blocked.for_each(|(_, seat)| seat.put_back());
        same("kicked and blocked", kicked & plan.blocked, 0)?;
        return acts::leave_queue(guest, kicked);
    }
    guest.each(mine).for_each(|(_, seat)| seat.put_back());
    if refusal.is(Status::Constrained) {
        guest.counts.refused.fetch_add(1, Ordering::SeqCst);
        let eager = guest.eager() && plan.runnable != 0;
        ensure!(!eager && plan.owed == 0, "VCORE_RUN: {refusal}");
        return Ok(());
    }
    if refusal.is(Status::Busy) {
        guest.counts.refused.fetch_add(1, Ordering::SeqCst);
        return Ok(());
    }
    acts::gone(guest, "VCORE_RUN", refusal)
}

/// B30–B36 as far as a host sees them.
fn came_out(guest: &Shared, run: &Run) -> Outcome {
    let masks = [run.exited, run.did_not_run, run.ceded];
    let all = masks.iter().fold(0, |all, mask| all | mask);
    let count: u32 = masks.iter().map(|mask| mask.count_ones()).sum();
    ensure!(
        all.count_ones() == count && all & !guest.all() == 0,
        "{run:x?}"
    );
    for (vcpu, seat) in guest.each(run.exited | run.ceded) {
        seat.regain()?;
        seat.answered();
        let served = serve(guest, vcpu, seat, run.ceded >> vcpu & 1 != 0);
        served.map_err(|why| alloc::format!("vcpu {vcpu}: {why}"))?;
        seat.put_back();
    }
    Ok(())
}

/// What a vcpu is out for.
fn serve(guest: &Shared, vcpu: usize, seat: &Seat, ceded: bool) -> Outcome {
    let (reason, trap, owner) = shared::with_page(seat, |page| {
        let firmware = &page.firmware;
        let reason = ExitReason::try_from(firmware.reason.get());
        (reason, firmware.trap.get(), firmware.owner.get())
    });
    same("the page's owner", owner, 0)?;
    match reason {
        Ok(ExitReason::Ceded) => same("ceded", ceded, true),
        _ if ceded => Err(alloc::format!("ceded for {reason:?}")),
        Ok(ExitReason::Hypercall) => {
            same("vector", trap, 0xc00)?;
            guest.counts.hypercalls.fetch_add(1, Ordering::SeqCst);
            hypercall(guest, vcpu, seat)
        }
        Ok(ExitReason::EmulationAssist) => shared::with_page(seat, |page| {
            page.pc.set(page.pc.get() + 4);
            same("the instruction", page.firmware.heir.get(), 0)
        }),
        Ok(ExitReason::MachineCheck) => shared::with_page(seat, |page| {
            page.pc.set(page.pc.get() + 4);
            same("the address", page.sprs.dar.get(), soak::NOWHERE)
        }),
        Ok(ExitReason::Kick) => seat.told(),
        _ => Err(alloc::format!("came out for {reason:?}, vector {trap:#x}")),
    }
}

fn hypercall(guest: &Shared, vcpu: usize, seat: &Seat) -> Outcome {
    let found = shared::with_page(seat, |page| {
        [3, 4, 5, 6].map(|register| page.gpr[register].get())
    });
    let answer = match found {
        [papr::H_CONFER, ..] => papr::H_SUCCESS,
        [papr::H_PROD, target, ..] => {
            prod(guest, target as usize);
            papr::H_SUCCESS
        }
        [NOBODYS_NUMBER, ..] => papr::H_FUNCTION,
        found => report(vcpu, seat, found)?,
    };
    shared::with_page(seat, |page| page.gpr[3].set(answer));
    Ok(())
}

/// Of a vcpu that isn't in this run. One that is by now gets on without.
fn prod(guest: &Shared, target: usize) {
    for (_, seat) in guest.each(1 << target) {
        if seat.take() {
            shared::with_page(seat, |page| page.firmware.prodded.set(1));
            seat.put_back();
        }
    }
}

/// Nothing was left out, and nothing done twice.
fn report(vcpu: usize, seat: &Seat, found: [u64; 4]) -> Result<u64, String> {
    let count = seat.reports.load(Ordering::SeqCst);
    same("the hypercall", found, [H_REPORT, STEP, vcpu as u64, count])?;
    seat.reports.store(count + 1, Ordering::SeqCst);
    Ok(soak::answer(vcpu as u64, count))
}

/// For a core that is alone: every vcpu gets on, whatever was done to it before.
pub fn until_all_reported(guest: &Shared, random: &mut Random) -> Outcome {
    let reports = || {
        let seats = guest.seats.each_ref();
        seats.map(|seat| seat.reports.load(Ordering::SeqCst))
    };
    let before = reports();
    let limit_tb = cpu::time_base() + 20_000 * MS_TB;
    loop {
        run(guest, random, true)?;
        let now = reports();
        let mut pairs = now.iter().zip(before).take(guest.vcpus);
        if pairs.all(|(now, before)| *now > before) {
            return Ok(());
        }
        ensure!(
            cpu::time_base() < limit_tb,
            "not all have reported: {before:?}, then {now:?}"
        );
    }
}

//! What is served inside the vcore, and interrupts of the guest's own.
use alloc::string::String;

use hcalls::exit::ExitReason;
use hcalls::page::PENDING_EXTERNAL;
use hcalls::papr::{H_CONFER, H_PARAMETER, H_PROD, H_SUCCESS};
use hcalls::partition::PtidMode;
use hcalls::stats::StatsAction;
use images::behaviour::{calls as case, exits, interrupts};
use images::guest_calls::{H_DONE, H_REPORT};
use images::host_runtime::guest::Guest;
use images::host_runtime::{calls, cpu};
use images::println;

use crate::check::{Outcome, accepted, same};
use crate::lab::{self, Lab, MS_TB, WORK_TB, Wanted};

/// How often each of two vcpus prods the other.
const ROUNDS: u64 = 1000;

/// Vcpus wake each other in turn, and hardly ever leave the vcore for it (L3).
pub fn cede_prod(lab: &mut Lab) -> Outcome {
    for (vcpus, little_endian) in [(2, false), (2, true), (8, false)] {
        let mut guest = lab.guest(&Wanted {
            little_endian,
            ..Wanted::new("calls", vcpus)
        })?;
        lab::start_all(&mut guest, [case::PING_PONG, ROUNDS]);
        let all = guest.all_slots();
        lab::serve(&mut guest, all, serve_prods)?;
        let stats = accepted(
            "SMT_STATS",
            calls::smt_stats(guest.vcore, StatsAction::Snapshot),
        )?;
        let (runs, served) = (stats.runs.get(), stats.served.get());
        println!("cede_prod: {vcpus} vcpus, {runs} runs, {served} hypercalls served inside");
        ensure!(
            served >= 2 * ROUNDS,
            "only {served} hypercalls were served inside"
        );
        lab.clear();
    }
    Ok(())
}

/// For [`lab::serve`], when vcpus wake each other until they are done.
pub fn serve_prods(
    guest: &mut Guest,
    vcpu: usize,
    number: u64,
    [target, ..]: [u64; 5],
) -> Result<bool, String> {
    match number {
        H_DONE => Ok(false),
        H_PROD => {
            prod_for(guest, vcpu, target);
            Ok(true)
        }
        other => Err(alloc::format!("vcpu {vcpu}: hypercall {other:#x}")),
    }
}

/// What a host does for an H_PROD that the firmware has left to it: see `FirmwareLine::prodded`.
pub fn prod_for(guest: &mut Guest, vcpu: usize, target: u64) {
    let there = target < guest.vcpus() as u64;
    if there {
        guest.page_mut(target as usize).firmware.prodded.set(1);
    }
    lab::answer(guest, vcpu, if there { H_SUCCESS } else { H_PARAMETER });
}

/// A prod of oneself makes the next H_CEDE return; what a vcpu asks of one that isn't in its vcore is
/// for the host to answer.
/// L3.
pub fn answers(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("calls", 1))?;
    lab::start_all(&mut guest, [case::ANSWERS, 0]);
    let mut told = None;
    lab::serve(&mut guest, 1, |guest, vcpu, number, args| match number {
        H_PROD => {
            same("whom to prod", args[0], 99)?;
            prod_for(guest, vcpu, args[0]);
            Ok(true)
        }
        H_CONFER => {
            same("whom to yield to, its yield count", &args[..2], &[99, 1])?;
            lab::answer(guest, vcpu, H_PARAMETER);
            Ok(true)
        }
        H_REPORT => {
            told = Some(args);
            Ok(true)
        }
        other => same("hypercall", other, H_DONE).map(|()| false),
    })?;
    let [step, prod, absent, anyone, nobody] = told.ok_or("no report")?;
    same(
        "answers",
        (step, prod, absent, anyone, nobody),
        (case::STEP, H_SUCCESS, H_PARAMETER, H_SUCCESS, H_PARAMETER),
    )
}

/// A prod that the host has noted for a vcpu that isn't running counts for its next H_CEDE, even
/// if runs that end early come between (B34).
/// L3.
pub fn prod_kept(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("calls", 2))?;
    lab::start_all(&mut guest, [case::CEDE_FOR_EVER, 0]);
    for _ in 0..100 {
        guest.page_mut(0).firmware.prodded.set(1);
        let run = lab::run(&mut guest, 1)?;
        same(
            "exited, since its H_CEDE returned",
            (run.exited, run.ceded),
            (1, 0),
        )?;
        lab::answer(&mut guest, 0, H_SUCCESS);
    }
    // The time is up before the vcpu gets anywhere.
    guest.page_mut(0).firmware.prodded.set(1);
    let over = lab::run_for(&mut guest, 1, 0)?;
    if over.exited == 0 {
        let run = lab::run(&mut guest, 1)?;
        same(
            "exited, after a run without time",
            (run.exited, run.ceded),
            (1, 0),
        )?;
    }
    Ok(())
}

/// When all have ceded the vcore comes out, with the first decrementer; a vcpu that runs again has
/// its H_CEDE return.
/// L3.
pub fn all_ceded(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("calls", 4))?;
    lab::start_all(&mut guest, [case::CEDE_FOR_EVER, 0]);
    let all = guest.all_slots();
    let (run, earliest_tb) = until_all_ceded(&mut guest, all)?;
    same("first reason", run.first_reason, ExitReason::Ceded)?;
    let decrementer_tb = run.decrementer_tb.ok_or("no decrementer")?;
    let off_tb = decrementer_tb.abs_diff(earliest_tb);
    ensure!(off_tb < MS_TB, "the decrementer is off by {off_tb} ticks");
    let again = lab::run(&mut guest, 4)?;
    same(
        "vcpu 2's H_CEDE has returned",
        (again.exited, again.ceded),
        (4, 0),
    )?;
    let (number, [step, index, ..]) = lab::hypercall(&guest, 2)?;
    same(
        "hypercall",
        (number, step, index),
        (H_REPORT, case::STEP, 2),
    )
}

/// Threads can come too late for a run whose only vcpus have ceded already: those run next. With the run,
/// when the first decrementer expires.
fn until_all_ceded(
    guest: &mut Guest,
    all: u64,
) -> Result<(calls::Run, u64), alloc::string::String> {
    let mut left = all;
    for _ in 0..100 {
        let now_tb = cpu::time_base();
        let expires_tb = |vcpu: usize| now_tb + (8 - vcpu as u64) * 500 * MS_TB;
        for vcpu in guest.vcpus_of(left) {
            let expires_tb = expires_tb(vcpu);
            guest.page_mut(vcpu).sprs.dec_expires_tb.set(expires_tb);
        }
        let run = lab::run(guest, left)?;
        same("exited", run.exited, 0)?;
        if run.ceded == left {
            let first = guest.vcpus_of(left).map(expires_tb).min();
            return Ok((run, first.ok_or("nobody has ceded")?));
        }
        left &= !run.ceded;
        if left == 0 {
            left = all;
        }
    }
    Err("no run ended with all ceded".into())
}

/// The guest's decrementer reaches it, not before its time: while a sibling runs, and out of a
/// vcore in which all have ceded.
/// B33, L4.
pub fn decrementer(lab: &mut Lab) -> Outcome {
    for (vcpus, little_endian, tb_offset) in [
        (1, false, 0),
        (2, false, 0),
        (2, true, 0),
        (1, false, 7 << 30),
        (2, false, (9u64 << 30).wrapping_neg()),
    ] {
        let mut guest = lab.guest(&Wanted {
            little_endian,
            tb_offset,
            ..Wanted::new("dec", vcpus)
        })?;
        lab::start_all(&mut guest, [0, 0]);
        let all = guest.all_slots();
        let mut told = None;
        let mut runnable = all;
        let limit_tb = cpu::time_base() + WORK_TB;
        while runnable & 1 != 0 {
            ensure!(cpu::time_base() < limit_tb, "never done");
            let run = lab::run_for(&mut guest, runnable, 20 * MS_TB)?;
            for vcpu in guest.vcpus_of(run.exited) {
                match lab::hypercall(&guest, vcpu)? {
                    (H_REPORT, [interrupts::STEP_DONE, taken, late_tb, ..]) => {
                        told = Some((taken, late_tb))
                    }
                    (H_DONE, _) => runnable &= !1,
                    (number, args) => {
                        return Err(alloc::format!("hypercall {number:#x} {args:x?}"));
                    }
                }
            }
            if runnable & 1 != 0 && run.ceded == runnable {
                cpu::wait_until(run.decrementer_tb.ok_or("all ceded, and no decrementer")?);
            }
        }
        let (taken, late_tb) = told.ok_or("no report")?;
        println!("decrementer: {vcpus} vcpus, {taken} taken, at most {late_tb} ticks late");
        same("interrupts", taken, interrupts::COUNT)?;
        lab.clear();
    }
    Ok(())
}

/// A decrementer that expired longer ago than its 32 bits tell has expired: the guest reads it negative.
/// One that expires later than they tell isn't negative. When the guest comes out, by a hypercall or in
/// H_CEDE, the page and the run's answer have the expiry that the host had set.
/// B33.
pub fn decrementer_out_of_reach(lab: &mut Lab) -> Outcome {
    for distance_ms in [
        -4_200i64,
        -4_300,
        -60_000,
        -86_400_000,
        // Not so near to 2^31 ticks, 4,194 ms, that it comes into reach while a slow build host runs this.
        4_300,
        60_000,
        86_400_000,
    ] {
        let distance_tb = distance_ms * MS_TB as i64;
        let mut guest = lab.guest(&Wanted::new("exits", 1))?;
        lab::start_all(&mut guest, [exits::READ_DEC, 0]);
        let expires_tb = cpu::time_base().wrapping_add(distance_tb as u64);
        guest.page_mut(0).sprs.dec_expires_tb.set(expires_tb);
        let run = lab::run(&mut guest, 1)?;
        same("exited", run.exited, 1)?;
        let (_, [_, dec, ..]) = lab::hypercall(&guest, 0)?;
        let negative = (dec as u32 as i32) < 0;
        same(
            "distance, negative",
            (distance_ms, negative),
            (distance_ms, distance_ms < 0),
        )?;
        for _ in 0..3 {
            let kept_tb = guest.page(0).sprs.dec_expires_tb.get();
            same(
                "distance, expiry",
                (distance_ms, kept_tb),
                (distance_ms, expires_tb),
            )?;
            lab::answer(&mut guest, 0, H_SUCCESS);
            lab::run(&mut guest, 1)?;
        }
        lab.clear();

        let mut guest = lab.guest(&Wanted::new("calls", 1))?;
        lab::start_all(&mut guest, [case::CEDE_FOR_EVER, 0]);
        guest.page_mut(0).sprs.dec_expires_tb.set(expires_tb);
        let run = lab::run(&mut guest, 1)?;
        let found = (distance_ms, run.ceded, run.decrementer_tb);
        same(
            "distance, ceded, expiry",
            found,
            (distance_ms, 1, Some(expires_tb)),
        )?;
        lab.clear();
    }
    Ok(())
}

/// A pending external interrupt comes as soon as the guest lets it, not before, and goes when the
/// host takes it away.
pub fn external(lab: &mut Lab) -> Outcome {
    for little_endian in [false, true] {
        let mut guest = lab.guest(&Wanted {
            little_endian,
            ..Wanted::new("external", 1)
        })?;
        lab::start_all(&mut guest, [0, 0]);
        let mut taken = 0;
        let mut total = None;
        let mut interrupt = false;
        let limit_tb = cpu::time_base() + WORK_TB;
        loop {
            ensure!(cpu::time_base() < limit_tb, "only {taken} interrupts");
            let pending = if interrupt { PENDING_EXTERNAL } else { 0 };
            guest.page_mut(0).host.pending.set(pending);
            let run = lab::run_for(&mut guest, 1, MS_TB)?;
            if run.exited == 0 {
                // It spins and waits for the next one.
                interrupt = total.is_none();
                continue;
            }
            match lab::hypercall(&guest, 0)? {
                (H_REPORT, [interrupts::STEP_OFF, ..]) => interrupt = true,
                (H_REPORT, [interrupts::STEP_TAKEN, count, ..]) => {
                    ensure!(interrupt, "an interrupt that isn't pending");
                    interrupt = false;
                    taken += 1;
                    same("count", count, taken)?;
                }
                (H_REPORT, [interrupts::STEP_DONE, count, ..]) => {
                    interrupt = false;
                    total = Some(count);
                }
                (H_DONE, _) => break,
                (number, args) => return Err(alloc::format!("hypercall {number:#x} {args:x?}")),
            }
        }
        // One more may have been made while the guest was slow to say that it has had enough.
        same("interrupts", total, Some(taken))?;
        ensure!(taken >= interrupts::COUNT, "{taken} interrupts");
        lab.clear();
    }
    Ok(())
}

/// `msgsndp` reaches the sibling that it is for (B15).
pub fn doorbell(lab: &mut Lab) -> Outcome {
    for (vcpus, little_endian) in [(2, false), (8, false), (8, true)] {
        let ptid_mode = PtidMode::Aligned;
        let mut guest = lab.guest(&Wanted {
            little_endian,
            ptid_mode,
            ..Wanted::new("doorbell", vcpus)
        })?;
        lab::start_all(&mut guest, [0, 0]);
        let all = guest.all_slots();
        let mut total = None;
        let mut done = false;
        let limit_tb = cpu::time_base() + WORK_TB;
        while !done {
            ensure!(cpu::time_base() < limit_tb, "{vcpus} vcpus: never done");
            let run = lab::run(&mut guest, all)?;
            for vcpu in guest.vcpus_of(run.exited) {
                match lab::hypercall(&guest, vcpu)? {
                    (H_REPORT, [interrupts::STEP_DONE, count, ..]) => total = Some(count),
                    (H_DONE, _) => done = true,
                    (_, args) => {
                        return Err(alloc::format!(
                            "{vcpus} vcpus: vcpu {vcpu} reports {args:x?}"
                        ));
                    }
                }
            }
        }
        same(
            "doorbells",
            total,
            Some(interrupts::COUNT * u64::from(vcpus - 1)),
        )?;
        lab.clear();
    }
    Ok(())
}

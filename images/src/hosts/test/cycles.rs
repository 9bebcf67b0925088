//! Thousands of runs, of which each has to come to what it should.
use alloc::string::String;

use hcalls::exit::ExitReason;
use hcalls::papr::H_SUCCESS;
use hcalls::stats::StatsAction;
use images::behaviour::calls as case;
use images::guest_calls::H_REPORT;
use images::host_runtime::calls;
use images::host_runtime::guest::Guest;
use images::{boot_args, println};

use crate::check::{Outcome, accepted, same};
use crate::lab::{self, Lab, Wanted};

/// How many cycles the following tests run: 10,000, or boot argument `cycles=`. QEMU with a thread
/// for each vcpu takes a minute for 1,000 where the build host has two processors.
fn cycles(lab: &Lab) -> Result<u64, String> {
    let wanted = boot_args::value(lab.boot_args(), "cycles").unwrap_or("10000");
    wanted
        .parse()
        .map_err(|_| alloc::format!("cycles={wanted} is no number"))
}

/// 10,000 times eight threads meet in the guest before one ends the run by a hypercall. Where the
/// build host is busy a run's time can be up before they have met; it counts as a run of its own.
/// B22, B23, B29–B31, L7.
pub fn cycles10000(lab: &mut Lab) -> Outcome {
    let cycles = cycles(lab)?;
    let mut guest = lab.guest(&Wanted::new("calls", 8))?;
    lab::start_all(&mut guest, [case::ALL_THEN_REPORT, 0]);
    let all = guest.all_slots();
    let (mut runs, mut late) = (0, [0; 8]);
    for cycle in 1..=cycles {
        while !all_met(&mut guest, all, &mut late)? {
            runs += 1;
            ensure!(
                runs < 2 * cycles + 100,
                "cycle {cycle}: too many runs end by the deadline"
            );
        }
        runs += 1;
        let (number, [step, _, count, ..]) = lab::hypercall(&guest, 0)?;
        same(
            "hypercall",
            (number, step, count),
            (H_REPORT, case::STEP, cycle),
        )?;
        lab::answer(&mut guest, 0, H_SUCCESS);
    }
    let entries: [u64; 8] = core::array::from_fn(|vcpu| guest.page(vcpu).firmware.entries.get());
    println!("cycles10000: {runs} runs, entries {entries:?}");
    same("entries", entries, late.map(|late| runs - late))?;
    let stats = accepted(
        "SMT_STATS",
        calls::smt_stats(guest.vcore, StatsAction::Snapshot),
    )?;
    let total = entries.iter().sum();
    same(
        "runs and entries counted",
        (stats.runs.get(), stats.entries.get()),
        (runs, total),
    )
}

/// One run: true if vcpu 0 has come out with its hypercall, false if the time was up.
fn all_met(guest: &mut Guest, all: u64, late: &mut [u64; 8]) -> Result<bool, String> {
    let run = lab::run(guest, all)?;
    guest
        .vcpus_of(run.did_not_run)
        .for_each(|vcpu| late[vcpu] += 1);
    let masks = (run.exited, run.did_not_run, run.ceded);
    match run.first_reason {
        ExitReason::Hypercall => same("exited, not run, ceded", masks, (1, 0, 0)).map(|()| true),
        ExitReason::Deadline => {
            same("exited and ceded", (run.exited & !1, run.ceded), (0, 0)).map(|()| run.exited != 0)
        }
        other => Err(alloc::format!("a run ended for {other:?}")),
    }
}

/// 10,000 runs in which every vcpu makes a hypercall at once: most are too late to enter, as the
/// first has left, and each is told of (B27, B34). Alone, each makes the hypercall that it was at.
/// B36, L2.
pub fn late10000(lab: &mut Lab) -> Outcome {
    let cycles = cycles(lab)?;
    let mut guest = lab.guest(&Wanted::new("calls", 8))?;
    lab::start_all(&mut guest, [case::REPORT_FOR_EVER, 0]);
    let all = guest.all_slots();
    let (mut exits, mut late) = ([0; 8], [0; 8]);
    for cycle in 0..cycles {
        let run = lab::run(&mut guest, all)?;
        ensure!(
            run.exited != 0,
            "cycle {cycle}: nobody came out but for the deadline"
        );
        for vcpu in guest.vcpus_of(run.exited) {
            note_report(&mut guest, vcpu, &mut exits)?;
        }
        for vcpu in guest.vcpus_of(run.did_not_run) {
            same(
                "trap of one that did not run",
                guest.page(vcpu).firmware.trap.get(),
                0,
            )?;
            late[vcpu] += 1;
        }
    }
    println!("late10000: hypercalls {exits:?} late {late:?}");
    for (vcpu, late) in late.into_iter().enumerate() {
        let entries = guest.page(vcpu).firmware.entries.get();
        same("entries and late comings", entries + late, cycles)?;
    }
    for vcpu in 0..8 {
        let slot = guest.slot_mask(vcpu);
        same("exited alone", lab::run(&mut guest, slot)?.exited, slot)?;
        note_report(&mut guest, vcpu, &mut exits)?;
    }
    Ok(())
}

/// The vcpu has come out with its next hypercall.
fn note_report(guest: &mut Guest, vcpu: usize, exits: &mut [u64; 8]) -> Outcome {
    let (number, [step, index, count, ..]) = lab::hypercall(guest, vcpu)?;
    let wanted = (H_REPORT, case::STEP, vcpu as u64, exits[vcpu]);
    same("hypercall", (number, step, index, count), wanted)?;
    lab::answer(guest, vcpu, H_SUCCESS);
    exits[vcpu] += 1;
    Ok(())
}

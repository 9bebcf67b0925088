//! What calls cost. With `-icount shift=0` a nanosecond is an instruction.
use hcalls::papr::H_SUCCESS;
use hcalls::query::Query;
use hcalls::run::{RUN_FP_CLEAN, RUN_SPRS_LOST, RUN_UNTOUCHED};
use images::behaviour::calls as case;
use images::guest_calls::{H_DONE, H_REPORT};
use images::host_runtime::guest::Guest;
use images::host_runtime::{calls, cpu};
use images::println;

use crate::check::{Outcome, accepted, same};
use crate::lab::{self, Lab, MS_TB, Wanted};

const ROUNDS: u64 = 1000;

/// Ticks of the time base, as nanoseconds of one of `rounds`.
fn ns(ticks: u64, rounds: u64) -> u64 {
    ticks * 1_000_000_000 / cpu::TB_HZ / rounds
}

/// The cheapest call, the round trip of a hypercall to the host with 1, 2, 4 and 8 vcpus in the
/// guest, and hypercalls served inside.
pub fn bench(lab: &mut Lab) -> Outcome {
    let before_tb = cpu::time_base();
    for _ in 0..ROUNDS {
        accepted("SMT_QUERY", calls::smt_query(Query::Versions.into()))?;
    }
    println!(
        "bench query {} ns",
        ns(cpu::time_base() - before_tb, ROUNDS)
    );
    for vcpus in [1, 2, 4, 8] {
        for uses_fp in [false, true] {
            let mut guest = lab.guest(&Wanted {
                uses_fp,
                ..Wanted::new("calls", vcpus)
            })?;
            lab::start_all(&mut guest, [case::ALL_THEN_REPORT, 0]);
            round_trip(&mut guest, uses_fp)?;
            lab.clear();
        }
    }
    for vcpus in [1, 8] {
        served(lab, vcpus)?;
    }
    Ok(())
}

/// Runs that all vcpus take part in. The host's own work between them is left out, and so is the
/// guest's: from the last entry to the first exit.
fn round_trip(guest: &mut Guest, uses_fp: bool) -> Outcome {
    let all = guest.all_slots();
    let (mut switch_tb, mut whole_tb) = (0, 0);
    for round in 0..ROUNDS + 1 {
        let before_tb = cpu::time_base();
        let run = guest.run(
            all,
            0,
            before_tb + 100 * MS_TB,
            RUN_FP_CLEAN | RUN_UNTOUCHED | RUN_SPRS_LOST,
        );
        let taken_tb = cpu::time_base() - before_tb;
        let run = accepted("VCORE_RUN", run)?;
        same("exited", run.exited, 1)?;
        lab::answer(guest, 0, H_SUCCESS);
        // The first round has all of it to fetch.
        if round > 0 {
            let lines = || (0..guest.vcpus()).map(|vcpu| &guest.page(vcpu).firmware);
            let last_in = lines().map(|line| line.entered_tb.get()).max().unwrap_or(0);
            let first_out = lines().map(|line| line.left_tb.get()).min().unwrap_or(0);
            switch_tb += taken_tb - first_out.saturating_sub(last_in).min(taken_tb);
            whole_tb += taken_tb;
        }
    }
    let fp = if uses_fp { " with FP" } else { "" };
    let (switch_ns, whole_ns) = (ns(switch_tb, ROUNDS), ns(whole_tb, ROUNDS));
    println!(
        "bench smt{}{fp}: round trip {switch_ns} ns, run {whole_ns} ns",
        guest.vcpus()
    );
    Ok(())
}

/// What the guest itself measures of calls that don't leave the vcore.
fn served(lab: &mut Lab, vcpus: u32) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("calls", vcpus))?;
    lab::start_all(&mut guest, [case::MEASURE, 0]);
    let mut told = None;
    let all = guest.all_slots();
    let mut runnable = all;
    while runnable & 1 != 0 {
        let run = lab::run_for(&mut guest, runnable, 5000 * MS_TB)?;
        ensure!(run.exited == 1, "smt{vcpus}: nobody came out in 5 s");
        match lab::hypercall(&guest, 0)? {
            (H_REPORT, [_, prod, prod_cede, confer, _]) => told = Some([prod, prod_cede, confer]),
            (H_DONE, _) => runnable &= !1,
            (number, args) => return Err(alloc::format!("hypercall {number:#x} {args:x?}")),
        }
    }
    let told = told.ok_or("no report")?;
    let [prod, prod_cede, confer] = told.map(|ticks| ns(ticks, case::ROUNDS));
    println!(
        "bench smt{vcpus}: H_PROD {prod} ns, H_PROD and H_CEDE {prod_cede} ns, H_CONFER {confer} ns"
    );
    lab.clear();
    Ok(())
}

//! The trace: SMT_TRACE, and whether what was recorded is what was done.
use alloc::string::String;

use hcalls::papr::{H_PROD, H_SUCCESS};
use hcalls::partition::Policy;
use hcalls::query::{FEATURE_TRACE, Query};
use hcalls::run::VcpuState;
use hcalls::trace::{Event, Trace, TraceAction};
use hcalls::{Status, Token};
use images::behaviour::calls as case;
use images::guest_calls::H_DONE;
use images::host_runtime::calls::TraceBlock;
use images::host_runtime::guest::Guest;
use images::host_runtime::{calls, cpu, real_memory};
use images::println;

use crate::check::{Outcome, accepted, refused, same};
use crate::lab::{self, Lab, Wanted};
use crate::trace_check::{Totals, check};
use crate::{cores, waiting};

pub fn switch(action: TraceAction) -> Result<TraceBlock, String> {
    accepted("SMT_TRACE", calls::smt_trace(action))
}

/// What was recorded; the trace is off, and nobody writes to it.
pub fn read() -> Result<Trace<'static>, String> {
    let block = switch(TraceAction::Status)?;
    // SAFETY: memory of the firmware's that hosts may read.
    let bytes = unsafe { real_memory(block.address..block.address + block.len_bytes) };
    Trace::read(bytes).map_err(|bad| alloc::format!("{bad}"))
}

/// Records that there ever were.
fn heads() -> Result<u64, String> {
    Ok(read()?.rings().map(|ring| ring.header.head.get()).sum())
}

/// What `work` leaves in the trace.
fn traced(work: impl FnOnce() -> Outcome) -> Result<Totals, String> {
    switch(TraceAction::Start)?;
    let done = work();
    switch(TraceAction::Stop)?;
    done?;
    check(&read()?)
}

/// Wrong actions change nothing; on and off may be asked for twice; off, nothing is recorded.
pub fn trace_calls(lab: &mut Lab) -> Outcome {
    let features = accepted("SMT_QUERY", calls::smt_query(Query::Features.into()))?;
    ensure!(features & FEATURE_TRACE != 0, "no trace in {features:#x}");
    let off = switch(TraceAction::Stop)?;
    same("on", off.on, false)?;
    for action in [3, 4, 1 << 32, 1 << 63 | 1, u64::MAX] {
        // SAFETY: a call without addresses.
        let result = unsafe { calls::raw(Token::SmtTrace.into(), &[action]) };
        refused("SMT_TRACE", result, Status::Parameter, 1)?;
    }
    same("after wrong actions", switch(TraceAction::Status)?, off)?;
    let before = heads()?;
    let mut guest = lab.guest(&Wanted::new("calls", 8))?;
    gather(&mut guest, 3)?;
    same("records while off", heads()?, before)?;
    let on = TraceBlock { on: true, ..off };
    same("started", switch(TraceAction::Start)?, on)?;
    same("started twice", switch(TraceAction::Start)?, on)?;
    same("told", switch(TraceAction::Status)?, on)?;
    same("stopped", switch(TraceAction::Stop)?, off)?;
    same("stopped twice", switch(TraceAction::Stop)?, off)?;
    // The second Start in and out, the question in and out, and the Stop in.
    let trace = read()?;
    let own = trace.rings().find(|ring| ring.pir() == cpu::pir());
    let own = own.ok_or("no ring of this thread")?;
    let events: alloc::vec::Vec<u8> = own.records().map(|record| record.event).collect();
    let [call_in, call_out] = [Event::CallIn, Event::CallOut].map(u8::from);
    let expected = [call_in, call_out, call_in, call_out, call_in];
    same("events", &events[..], &expected[..])?;
    let first = own.records().next().ok_or("no record")?;
    same("token", first.arg.get(), Token::SmtTrace as u32)
}

/// Runs in which all vcpus meet and one makes a hypercall.
fn gather(guest: &mut Guest, runs: u64) -> Outcome {
    lab::start_all(guest, [case::ALL_THEN_REPORT, 0]);
    let all = guest.all_slots();
    for _ in 0..runs {
        let run = lab::run(guest, all)?;
        same("exited", run.exited, 1)?;
        lab::answer(guest, 0, H_SUCCESS);
    }
    Ok(())
}

/// Each thread is called, wakes, enters, leaves and naps again, in that order and in each run, for
/// vcores of every width.
pub fn trace_events(lab: &mut Lab) -> Outcome {
    const RUNS: u64 = 20;
    for vcpus in [1, 2, 4, 8] {
        let mut guest = lab.guest(&Wanted::new("calls", vcpus))?;
        let totals = traced(|| gather(&mut guest, RUNS))?;
        let vcpus = u64::from(vcpus);
        let expected = Totals {
            runs: RUNS,
            entries: RUNS * vcpus,
            calls: RUNS * (vcpus - 1),
            pulls: if vcpus > 1 { RUNS } else { 0 },
            ..Totals::default()
        };
        same("what was recorded", totals, expected)?;
        lab.clear();
    }
    Ok(())
}

/// H_CEDE and H_PROD: who naps there is called, wakes and goes on.
pub fn trace_waiting(lab: &mut Lab) -> Outcome {
    const ROUNDS: u64 = 20;
    let mut guest = lab.guest(&Wanted::new("calls", 2))?;
    lab::start_all(&mut guest, [case::PING_PONG, ROUNDS]);
    let totals = traced(|| {
        lab::serve(&mut guest, 3, |guest, vcpu, number, args| {
            if number == H_PROD {
                waiting::prod_for(guest, vcpu, args[0]);
                return Ok(true);
            }
            same("hypercall", number, H_DONE).map(|()| false)
        })
    })?;
    println!("trace_waiting: {totals:?}");
    ensure!(totals.prods >= 2 * ROUNDS, "{totals:?}");
    let naps = totals.ceded_naps;
    ensure!(naps > 0 && totals.cedes >= naps, "{totals:?}");
    Ok(())
}

/// What another core does: late joiners, and a kick that brings all out.
pub fn trace_others(lab: &mut Lab) -> Outcome {
    let policy = Policy::Eager;
    let mut guest = lab.guest(&Wanted {
        policy,
        ..Wanted::new("loop", 8)
    })?;
    // So that the call that starts the other core is none of those below.
    cores::send(lab, &guest, |_| Ok(()))?;
    cores::answer()?;
    let totals = traced(|| {
        cores::send(lab, &guest, |errand| {
            errand.runs.wait_for_any()?;
            let slots = 0b1111_1100;
            let set = calls::vcpu_set_state(errand.vcore, slots, VcpuState::Runnable);
            same("joined", accepted("VCPU_SET_STATE", set)?.joined, slots)?;
            errand.runs.wait_for_all(0xff)?;
            accepted("VCORE_KICK", calls::vcore_kick(errand.vcore, 1 << 2, 5)).map(drop)
        })?;
        let run = lab::run(&mut guest, 3)?;
        cores::answer()?;
        same("exited", run.exited, 1 << 2)
    })?;
    same(
        "entered, came too late",
        (totals.entries, totals.late),
        (8, 0),
    )?;
    let others = (totals.runs, totals.kicks, totals.joins);
    same("runs, kicks, joiners", others, (1, 1, 6))?;
    // One for each secondary, and the kick's.
    same("calls", totals.calls, 8)
}

/// The ring keeps the newest records, and says how many are gone.
pub fn trace_overwrites(_lab: &mut Lab) -> Outcome {
    switch(TraceAction::Start)?;
    let records = u64::from(read()?.header.records.get());
    for _ in 0..records {
        accepted("SMT_QUERY", calls::smt_query(Query::Versions.into()))?;
    }
    switch(TraceAction::Stop)?;
    let trace = read()?;
    let own = trace.rings().find(|ring| ring.pir() == cpu::pir());
    let own = own.ok_or("no ring of this thread")?;
    let kept = own.records().count() as u64;
    // In and out of each call, out of the question before, in of the Stop.
    ensure!(kept == records, "{kept} of {records} records are kept");
    ensure!(own.lost() > records, "only {} are lost", own.lost());
    let mut tb = trace.header.since_tb.get();
    for (number, record) in own.records().enumerate() {
        let last = number as u64 == kept - 1;
        let call_in = record.event == Event::CallIn as u8;
        ensure!(record.tb.get() >= tb, "time goes back at record {number}");
        tb = record.tb.get();
        let token = if last {
            Token::SmtTrace
        } else {
            Token::SmtQuery
        };
        let arg = if call_in { token as u32 } else { 0 };
        same("event", (number, record.arg.get()), (number, arg))?;
        // The last is a call in, so those with its parity are.
        same(
            "in or out",
            (number, call_in),
            (number, (kept - number as u64) % 2 == 1),
        )?;
    }
    ensure!(
        tb <= trace.header.until_tb.get(),
        "the last record is after the end"
    );
    Ok(())
}

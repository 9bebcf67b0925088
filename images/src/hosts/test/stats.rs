//! Counters and times (L7): SMT_STATS and the pages tell what the test knows that was done.
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};

use hcalls::Status;
use hcalls::exit::ExitReason;
use hcalls::run::{CoreState, VcpuState};
use hcalls::stats::{StatsAction, VcoreStats};
use hcalls::vcore_table::Table;
use images::behaviour::calls as case;
use images::guest_calls::H_DONE;
use images::host_runtime::guest::Guest;
use images::host_runtime::{calls, cpu, opal, real_memory};
use zerocopy::IntoBytes;

use crate::check::{Outcome, accepted, refused, same};
use crate::cores;
use crate::lab::{self, Lab, MS_TB, PATIENCE_TB, Wanted};

fn stats(guest: &Guest, action: StatsAction) -> Result<VcoreStats, String> {
    accepted("SMT_STATS", calls::smt_stats(guest.vcore, action))
}

fn exits(stats: &VcoreStats, reason: ExitReason) -> u64 {
    stats.exits[reason as usize].get()
}

/// Runs, refusals, kicks, entries, exits and times are those that were (L7).
pub fn stats_agree(lab: &mut Lab) -> Outcome {
    const RUNS: u64 = 20;
    let mut guest = lab.guest(&Wanted::new("calls", 8))?;
    lab::start_all(&mut guest, [case::ALL_THEN_REPORT, 0]);
    let began_tb = cpu::time_base();
    let mut late = 0;
    for _ in 0..RUNS {
        let run = lab::run(&mut guest, 0xff)?;
        same("exited", run.exited, 1)?;
        late += u64::from(run.did_not_run.count_ones());
    }
    let taken_tb = cpu::time_base() - began_tb;
    refusals(&mut guest)?;
    let told = stats(&guest, StatsAction::Reset)?;
    let totals = [
        &told.runs,
        &told.refused,
        &told.woken,
        &told.joined,
        &told.kicks,
    ];
    same(
        "runs, refused, woken, joined, kicks",
        totals.map(|total| total.get()),
        [RUNS, 3, 7 * RUNS, 0, 1],
    )?;
    let line = |vcpu: usize| &guest.page(vcpu).firmware;
    let entries: u64 = (0..8).map(|vcpu| line(vcpu).entries.get()).sum();
    same(
        "entries",
        (told.entries.get(), entries),
        (entries, 8 * RUNS - late),
    )?;
    let all: u64 = told.exits.iter().map(|count| count.get()).sum();
    let by_hypercall = exits(&told, ExitReason::Hypercall);
    let none = exits(&told, ExitReason::None);
    same("exits", (all, by_hypercall, none), (8 * RUNS, RUNS, late))?;
    ensure!(
        (1..=taken_tb).contains(&told.run_tb.get()),
        "{} ticks in runs, of {taken_tb}",
        told.run_tb.get()
    );
    for vcpu in 0..8 {
        let in_guest_tb = line(vcpu).in_guest_tb.get();
        ensure!(
            (1..=told.run_tb.get()).contains(&in_guest_tb),
            "vcpu {vcpu} was in the guest for {in_guest_tb} ticks"
        );
    }
    let rest = stats(&guest, StatsAction::Snapshot)?;
    let rest = [
        &rest.runs,
        &rest.woken,
        &rest.entries,
        &rest.run_tb,
        &rest.kicks,
    ];
    same("after a reset", rest.map(|total| total.get()), [0; 5])
}

/// A run that the policy forbids, one of no vcpu, and one that a kick keeps from beginning.
fn refusals(guest: &mut Guest) -> Outcome {
    let (vcore, soon) = (guest.vcore, cpu::time_base() + MS_TB);
    let busy = calls::vcpu_set_state(vcore, 0x80, VcpuState::Busy);
    accepted("VCPU_SET_STATE", busy)?;
    let run = guest.run(0, 0, soon, 0);
    refused("a run with a busy vcpu", run, Status::Constrained, 0)?;
    refused(
        "slot 8",
        guest.run(0x80, 0x80, soon, 0),
        Status::Parameter,
        2,
    )?;
    accepted("VCORE_KICK", calls::vcore_kick(vcore, 0x80, 0))?;
    refused("kicked", guest.run(0x80, 0, soon, 0), Status::Empty, 0)
}

/// What the firmware exports of vcores and vcpus is what SMT_STATS and the pages tell; of a vcore that is gone
/// it says nothing (L7).
pub fn stats_exported(lab: &mut Lab) -> Outcome {
    const RUNS: u64 = 10;
    let mut guest = lab.guest(&Wanted::new("calls", 4))?;
    lab::start_all(&mut guest, [case::ALL_THEN_REPORT, 0]);
    for _ in 0..RUNS {
        lab::run(&mut guest, 0xf)?;
    }
    let told = stats(&guest, StatsAction::Snapshot)?;
    let found = with_exported(lab, |table| {
        let found = table.present().find(|it| it.handle.get() == guest.vcore.0);
        let own = table.cores.iter().find(|it| it.pir.get() == cpu::pir());
        Ok((
            *found.ok_or("the vcore isn't there")?,
            *own.ok_or("the core isn't there")?,
        ))
    })?;
    let (vcore, core) = found;
    same("its statistics", vcore.stats.as_bytes(), told.as_bytes())?;
    same("runs", vcore.stats.runs.get(), RUNS)?;
    let named = [vcore.lpid.get(), vcore.width.get(), core.state.get()];
    let wanted = [guest.lpid(), 4, CoreState::Held as u32];
    same("LPID, width, the core's state", named, wanted)?;
    for (slot, vcpu) in vcore.vcpus.iter().enumerate() {
        let present = slot < 4;
        same("present", vcpu.present.get(), present.into())?;
        if present {
            let line = &guest.page(slot).firmware;
            let of_page = [line.entries, line.in_guest_tb, line.served, line.yields];
            let exported = [vcpu.entries, vcpu.in_guest_tb, vcpu.served, vcpu.yields];
            same("of a vcpu", exported, of_page)?;
        }
    }
    accepted("PARTITION_DESTROY", guest.destroy())?;
    let left = with_exported(lab, |table| Ok(table.present().count()))?;
    same("vcores", left, 0)
}

/// Looks at what is exported, once the firmware has brought it up to date.
fn with_exported<T>(
    lab: &Lab,
    look: impl Fn(&Table<'_>) -> Result<T, &'static str>,
) -> Result<T, String> {
    wait_for_update(lab)?;
    Ok(look(&exported(lab)?)?)
}

fn exported(lab: &Lab) -> Result<Table<'static>, String> {
    // SAFETY: memory of the firmware's that hosts may read; it changes only in POLL_EVENTS, which no
    // other thread of the host makes meanwhile.
    let bytes: &[u8] = unsafe { real_memory(lab.export("smt_stats")?) };
    Table::read(bytes).ok_or_else(|| "this is no table of statistics".into())
}

/// Wake-ups that nobody had asked for, of the threads that the firmware holds of the core whose thread 0 has that PIR.
pub fn spurious(lab: &Lab, pir: u32) -> Result<u64, String> {
    with_exported(lab, |table| {
        let core = table.cores.iter().find(|it| it.pir.get() == pir);
        Ok(core.ok_or("the core isn't there")?.spurious.get())
    })
}

/// Has the firmware bring its table of statistics up to date.
pub fn wait_for_update(lab: &Lab) -> Outcome {
    let updates = || Ok::<_, String>(exported(lab)?.header.updates.get());
    let before = updates()?;
    let limit_tb = cpu::time_base() + PATIENCE_TB;
    while updates()? == before {
        ensure!(cpu::time_base() < limit_tb, "it's never brought up to date");
        opal::poll_events();
    }
    same("halves of updates", updates()? % 2, 0)
}

/// Hypercalls that the firmware serves are counted, and the time in H_CEDE.
pub fn stats_served(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("dec", 2))?;
    lab::start_all(&mut guest, [0, 0]);
    let mut done = false;
    for _ in 0..1000 {
        let run = lab::run_for(&mut guest, 3, 20 * MS_TB)?;
        for vcpu in guest.vcpus_of(run.exited) {
            done |= lab::hypercall(&guest, vcpu)?.0 == H_DONE;
        }
        if done {
            break;
        }
    }
    ensure!(done, "the guest isn't done after 1000 runs");
    let line = &guest.page(0).firmware;
    let [served, yields] = [line.served.get(), line.yields.get()];
    let [ceded_tb, in_guest_tb] = [line.ceded_tb.get(), line.in_guest_tb.get()];
    let told = stats(&guest, StatsAction::Snapshot)?.served.get();
    same("served", told, served)?;
    // Who is pulled out of H_CEDE has yielded all the same; a decrementer that comes before the
    // H_CEDE spares it.
    ensure!(
        (1..=yields).contains(&served),
        "{yields} H_CEDEs, {served} served"
    );
    ensure!(
        (1..=in_guest_tb).contains(&ceded_tb),
        "{ceded_tb} ticks in H_CEDE, {in_guest_tb} in the guest"
    );
    same(
        "of the one that spins",
        guest.page(1).firmware.served.get(),
        0,
    )
}

/// What the other core has been told by resets: runs, entries and exits.
static TOLD: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
static OVER: AtomicU64 = AtomicU64::new(0);

fn note(told: &VcoreStats) {
    let exits: u64 = told.exits.iter().map(|count| count.get()).sum();
    for (total, more) in TOLD
        .iter()
        .zip([told.runs.get(), told.entries.get(), exits])
    {
        total.fetch_add(more, Ordering::Relaxed);
    }
}

/// Another core resets the counters all the time while the vcore runs: what the resets have told
/// adds up to what was done.
pub fn stats_reset(lab: &mut Lab) -> Outcome {
    const RUNS: u64 = 100;
    let mut guest = lab.guest(&Wanted::new("calls", 2))?;
    lab::start_all(&mut guest, [case::REPORT_FOR_EVER, 0]);
    TOLD.iter()
        .for_each(|total| total.store(0, Ordering::Relaxed));
    OVER.store(0, Ordering::Relaxed);
    cores::send(lab, &guest, |errand| {
        while OVER.load(Ordering::Acquire) == 0 {
            let told = calls::smt_stats(errand.vcore, StatsAction::Reset);
            note(&accepted("SMT_STATS", told)?);
        }
        Ok(())
    })?;
    let ran = (0..RUNS).try_for_each(|_| lab::run(&mut guest, 3).map(drop));
    OVER.store(1, Ordering::Release);
    cores::answer()?;
    ran?;
    note(&stats(&guest, StatsAction::Reset)?);
    let entries: u64 = (0..2)
        .map(|vcpu| guest.page(vcpu).firmware.entries.get())
        .sum();
    let told = TOLD.each_ref().map(|total| total.load(Ordering::Relaxed));
    same("runs, entries, exits", told, [RUNS, entries, 2 * RUNS])
}

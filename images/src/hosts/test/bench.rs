//! What `cargo xtask bench` counts the instructions of: rows of rounds, between marks. Each row is
//! announced on the console, as `bench row NAME`.
use core::sync::atomic::{AtomicBool, Ordering};

use hcalls::page::SLB_ENTRIES;
use hcalls::papr::H_SUCCESS;
use hcalls::partition::{FLAG_REFLECT, LPCR_AIL_3, MemoryMode, Policy};
use hcalls::run::{RUN_FP_CLEAN, RUN_KEEP_SLB, RUN_SPRS_LOST, RUN_UNTOUCHED, VcpuState};
use images::behaviour::calls as case;
use images::behaviour::exits::{ENTER_REMOVE, FAULTS, READ_ENTRY};
use images::host_runtime::guest::Guest;
use images::host_runtime::{calls, cpu, marks};
use images::println;

use crate::check::{Outcome, accepted, same};
use crate::cores::{self, Errand};
use crate::lab::{self, Lab, MS_TB, Wanted};
use crate::{faults, page_tables, waiting};

/// Rounds of a row. In the first ones more has to be fetched than later; the reader takes one from
/// the middle.
const ROUNDS: u64 = 8;
/// Hypercalls of one kind, and prods back and forth.
const CALLS: u64 = 8;
/// The host vouches for all that it can.
const ALL: u64 = RUN_FP_CLEAN | RUN_UNTOUCHED | RUN_SPRS_LOST;
/// SLB entries of a guest that has some: as many as a Linux that has just started.
const SEGMENTS: u64 = 4;
/// Until every thread is in the guest: 100 µs.
const SETTLED_TB: u64 = MS_TB / 10;

fn row(name: &str) {
    println!("bench row {name}");
    marks::row();
}

/// VCORE_RUN, hypercalls, IPIs, joins and kicks.
pub fn bench(lab: &mut Lab) -> Outcome {
    round_trips(lab)?;
    for (name, vcpus, what) in [
        ("H_PROD of itself", 1, case::PROD),
        ("H_PROD of a sibling in the guest", 2, case::PROD_OTHER),
        ("H_PROD, H_CEDE", 1, case::PROD_CEDE),
        ("H_CONFER", 1, case::CONFER),
    ] {
        served(lab, name, vcpus, what)?;
    }
    for (name, what) in [
        ("H_READ of one", READ_ENTRY),
        ("H_ENTER, H_REMOVE", ENTER_REMOVE),
    ] {
        on_table(lab, name, what)?;
    }
    own_faults(lab)?;
    ping_pong(lab)?;
    join(lab)?;
    for (name, vcpus) in [("kick smt1", 1), ("kick smt8", 8)] {
        kick(lab, name, vcpus)?;
    }
    Ok(())
}

fn round_trips(lab: &mut Lab) -> Outcome {
    let plain = |vcpus| Wanted::new("calls", vcpus);
    let fp = |vcpus| Wanted {
        uses_fp: true,
        ..plain(vcpus)
    };
    let table = |vcpus| Wanted {
        memory_mode: MemoryMode::Vrma,
        ..plain(vcpus)
    };
    let all = |vcpus| Wanted {
        uses_fp: true,
        ..table(vcpus)
    };
    for (name, wanted, flags, segments) in [
        ("smt1", plain(1), ALL, 0),
        ("smt2", plain(2), ALL, 0),
        ("smt4", plain(4), ALL, 0),
        ("smt8", plain(8), ALL, 0),
        ("smt1 fp", fp(1), ALL, 0),
        ("smt8 fp", fp(8), ALL, 0),
        ("smt1 hpt", table(1), ALL, 0),
        ("smt8 hpt", table(8), ALL, 0),
        ("smt1 hpt slb", table(1), ALL, SEGMENTS),
        ("smt8 hpt slb", table(8), ALL, SEGMENTS),
        ("smt1 keep_slb", plain(1), ALL | RUN_KEEP_SLB, 0),
        ("smt1 keeps sprs", plain(1), ALL & !RUN_SPRS_LOST, 0),
        ("smt1 touched", plain(1), ALL & !RUN_UNTOUCHED, 0),
        ("smt8 touched", plain(8), ALL & !RUN_UNTOUCHED, 0),
        ("smt1 no flags", plain(1), 0, 0),
        ("smt8 no flags", plain(8), 0, 0),
        ("smt1 all", all(1), 0, SEGMENTS),
        ("smt8 all", all(8), 0, SEGMENTS),
    ] {
        let mut guest = lab.guest(&wanted)?;
        lab::start_all(&mut guest, [case::ALL_THEN_REPORT, 0]);
        (0..guest.vcpus()).for_each(|vcpu| give_segments(&mut guest, vcpu, segments));
        row(name);
        rounds(&mut guest, flags)?;
        lab.clear();
    }
    Ok(())
}

/// Entries that a guest in real mode keeps without using them.
fn give_segments(guest: &mut Guest, vcpu: usize, count: u64) {
    const VALID: u64 = 1 << 27;
    assert!(count <= SLB_ENTRIES as u64);
    let page = guest.page_mut(vcpu);
    page.slb_count.set(count);
    for (entry, index) in page.slb.iter_mut().zip(0..count) {
        entry.esid.set((index + 1) << 28 | VALID | index);
        entry.vsid.set((index + 1) << 12);
    }
}

/// Runs that all vcpus take part in, each until vcpu 0 makes a hypercall to the host.
fn rounds(guest: &mut Guest, flags: u64) -> Outcome {
    let all = guest.all_slots();
    for _ in 0..ROUNDS {
        let deadline_tb = cpu::time_base() + 100 * MS_TB;
        marks::round();
        let run = accepted("VCORE_RUN", guest.run(all, 0, deadline_tb, flags))?;
        same("exited", run.exited, 1)?;
        lab::answer(guest, 0, H_SUCCESS);
    }
    marks::round();
    Ok(())
}

/// Hypercalls that don't leave the vcore, [`CALLS`] a round.
fn served(lab: &mut Lab, name: &str, vcpus: u32, what: u64) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("calls", vcpus))?;
    lab::start_all(&mut guest, [what, CALLS]);
    row(name);
    rounds(&mut guest, ALL)?;
    lab.clear();
    Ok(())
}

/// Hypercalls on the guest's page table, [`CALLS`] a round, or pairs of them.
fn on_table(lab: &mut Lab, name: &str, what: u64) -> Outcome {
    let wanted = Wanted {
        memory_mode: MemoryMode::Vrma,
        ..Wanted::new("exits", 1)
    };
    let mut guest = lab.guest(&wanted)?;
    page_tables::serve(lab, &guest)?;
    lab::start_all(&mut guest, [what, CALLS]);
    row(name);
    rounds(&mut guest, ALL)?;
    lab.clear();
    Ok(())
}

/// Page faults that become the guest's own interrupts, taken with relocation on.
fn own_faults(lab: &mut Lab) -> Outcome {
    let wanted = Wanted {
        lpcr: LPCR_AIL_3,
        flags: FLAG_REFLECT,
        ..Wanted::new("exits", 1)
    };
    let mut guest = faults::handling_guest(lab, &wanted, faults::skips)?;
    page_tables::serve(lab, &guest)?;
    faults::start_with(&mut guest, [FAULTS, CALLS], faults::RELOCATION);
    row("own page fault");
    rounds(&mut guest, ALL)?;
    lab.clear();
    Ok(())
}

/// Two vcpus that wait for each other: each H_PROD wakes the other one by an IPI.
fn ping_pong(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("calls", 2))?;
    lab::start_all(&mut guest, [case::PING_PONG, ROUNDS * CALLS]);
    row("H_PROD of a sibling in H_CEDE");
    marks::round();
    let all = guest.all_slots();
    lab::serve(&mut guest, all, waiting::serve_prods)?;
    marks::round();
    lab.clear();
    Ok(())
}

/// A run is about to begin: the other core's errand may.
static BEGINS: AtomicBool = AtomicBool::new(false);

/// On the other core: waits until all threads of the run are in the guest.
fn wait_for_guests() {
    while !BEGINS.swap(false, Ordering::Acquire) {
        cpu::relax();
    }
    cpu::wait_until(cpu::time_base() + SETTLED_TB);
    marks::round();
}

/// Has the other core do `work` while the vcpus of `runnable` run.
fn with_errand(
    lab: &Lab,
    guest: &mut Guest,
    runnable: u64,
    work: fn(&Errand) -> Outcome,
) -> Result<calls::Run, alloc::string::String> {
    cores::send(lab, guest, work)?;
    BEGINS.store(true, Ordering::Release);
    let blocked = guest.all_slots() & !runnable;
    let deadline_tb = cpu::time_base() + MS_TB;
    let run = accepted("VCORE_RUN", guest.run(runnable, blocked, deadline_tb, ALL))?;
    cores::answer()?;
    Ok(run)
}

/// Another core makes vcpu 1 runnable while vcpu 0 is in the guest (B26).
fn join(lab: &mut Lab) -> Outcome {
    let wanted = Wanted {
        policy: Policy::Eager,
        ..Wanted::new("loop", 2)
    };
    let mut guest = lab.guest(&wanted)?;
    row("join");
    for _ in 0..ROUNDS {
        with_errand(lab, &mut guest, 1, |errand| {
            wait_for_guests();
            let set = calls::vcpu_set_state(errand.vcore, 2, VcpuState::Runnable);
            same("joined", accepted("VCPU_SET_STATE", set)?.joined, 2)
        })?;
    }
    marks::round();
    lab.clear();
    Ok(())
}

/// Another core kicks vcpu 0 out of the guest, and with it all others (B17).
fn kick(lab: &mut Lab, name: &str, vcpus: u32) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("loop", vcpus))?;
    row(name);
    for _ in 0..ROUNDS {
        let all = guest.all_slots();
        let run = with_errand(lab, &mut guest, all, |errand| {
            wait_for_guests();
            accepted("VCORE_KICK", calls::vcore_kick(errand.vcore, 1, 1)).map(drop)
        })?;
        same("exited", run.exited, 1)?;
    }
    marks::round();
    lab.clear();
    Ok(())
}

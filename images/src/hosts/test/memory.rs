//! Guests in virtual real mode: their memory is what the host's page table says.
use alloc::string::String;

use hcalls::exit::ExitReason;
use hcalls::machine_check::Place;
use hcalls::partition::MemoryMode;
use hcalls::run::RUN_FP_CLEAN;
use images::behaviour::{calls as case, exits};
use images::guest_calls::H_REPORT;
use images::host_runtime::guest::Guest;
use images::host_runtime::hpt::PAGE_BYTES;
use images::host_runtime::{calls, cpu, mmu, real_memory};

use crate::check::{Outcome, accepted, same};
use crate::cores;
use crate::lab::{self, Lab, PATIENCE_TB, Wanted};

/// Guest real address at which `guest-exits` reads and fetches: no page of its own.
const OUTSIDE: u64 = 1 << 32;
/// A real address at which nothing answers, past the memory and below the devices.
pub const NOBODY: u64 = 0x40_0000_0000;
/// DSISR, HDSISR and SRR1: no page table entry translates the address (Power ISA 2.07 Book III-S
/// 6.5.3, 6.5.5).
const NOT_FOUND: u64 = 1 << 30;
/// DSISR after a load that nobody answered (POWER8 User's Manual, "Machine Check").
const LOAD_FAILED: u64 = 1 << 6;
pub const ROUNDS: u64 = 20;
/// RB of a valid SLB entry in place 0.
const SEGMENT: u64 = 0x5 << 28 | 1 << 27;

/// A guest in VRMA mode.
fn virtual_guest(lab: &mut Lab, name: &str, vcpus: u32) -> Result<Guest, String> {
    lab.guest(&Wanted {
        memory_mode: MemoryMode::Vrma,
        ..Wanted::new(name, vcpus)
    })
}

/// Guests of every width and both byte orders run through a page table: their vcpus meet in memory
/// that all of them see.
pub fn vrma(lab: &mut Lab) -> Outcome {
    for (vcpus, little_endian) in [(1, false), (1, true), (2, true), (8, false), (8, true)] {
        let mut guest = lab.guest(&Wanted {
            memory_mode: MemoryMode::Vrma,
            little_endian,
            ..Wanted::new("calls", vcpus)
        })?;
        lab::start_all(&mut guest, [case::ALL_THEN_REPORT, 0]);
        for round in 1..=ROUNDS {
            meet(&mut guest, round)?;
        }
        lab.clear();
    }
    Ok(())
}

/// Runs `guest` until its vcpu 0 has met all the others for the `round`th time.
pub fn meet(guest: &mut Guest, round: u64) -> Outcome {
    let all = guest.all_slots();
    let run = lab::run(guest, all)?;
    same("exited", run.exited, 1)?;
    let (number, [step, _, count, ..]) = lab::hypercall(guest, 0)?;
    same(
        "hypercall",
        (number, step, count),
        (H_REPORT, case::STEP, round),
    )
}

/// A partition by page table and one by RMOR, on two cores at the same time, each on each of them,
/// and then by turns on one: each has its own memory.
pub fn vrma_beside_rmor(lab: &mut Lab) -> Outcome {
    let mut guests = [
        virtual_guest(lab, "calls", 8)?,
        lab.guest(&Wanted::new("calls", 8))?,
    ];
    for guest in &mut guests {
        lab::start_all(guest, [case::ALL_THEN_REPORT, 0]);
    }
    let mut met = [0, 0];
    for here in [0, 1] {
        let there = 1 - here;
        cores::send(lab, &guests[there], meet_there)?;
        for _ in 0..ROUNDS {
            met[here] += 1;
            meet(&mut guests[here], met[here])?;
        }
        cores::answer()?;
        met[there] += ROUNDS;
    }
    for turn in 0..2 * ROUNDS {
        let guest = turn as usize % 2;
        met[guest] += 1;
        meet(&mut guests[guest], met[guest])?;
    }
    Ok(())
}

/// For the other core: the guest's vcpus meet there [`ROUNDS`] times.
pub fn meet_there(errand: &cores::Errand) -> Outcome {
    for _ in 0..ROUNDS {
        let deadline_tb = cpu::time_base() + PATIENCE_TB;
        // SAFETY: nobody has a reference to that guest's pages or memory meanwhile.
        let run = unsafe { calls::vcore_run(errand.vcore, 0xff, 0, deadline_tb, RUN_FP_CLEAN) };
        same("exited", accepted("VCORE_RUN", run)?.exited, 1)?;
    }
    Ok(())
}

/// What a guest's access to an address without a page comes to: the host is told which, and when it
/// has put a page there the guest goes on as if nothing had been (M2).
pub fn page_faults(lab: &mut Lab) -> Outcome {
    for little_endian in [false, true] {
        let mut guest = lab.guest(&Wanted {
            memory_mode: MemoryMode::Vrma,
            little_endian,
            ..Wanted::new("exits", 1)
        })?;
        let page = lab.ram.take(PAGE_BYTES, PAGE_BYTES).ok_or("no memory")?;
        // SAFETY: just taken; only the guest gets at it later.
        let bytes = unsafe { real_memory(page.clone()) };
        let back = 0x4e80_0020_u32; // blr
        bytes[..4].copy_from_slice(&match little_endian {
            true => back.to_le_bytes(),
            false => back.to_be_bytes(),
        });
        for (case, reason, vector) in [
            (exits::DATA_OUTSIDE, ExitReason::DataStorage, 0xe00),
            (exits::FETCH_OUTSIDE, ExitReason::InstructionStorage, 0xe20),
        ] {
            lab::start_all(&mut guest, [case, 0]);
            let run = lab::run(&mut guest, 1)?;
            same("exited", (run.exited, run.first_reason), (1, reason))?;
            faulted(&guest, reason, vector)?;
            guest_table(&mut guest)?.map(OUTSIDE, page.start);
            lab::run(&mut guest, 1)?;
            let (number, [step, ..]) = lab::hypercall(&guest, 0)?;
            same("hypercall", (number, step), (H_REPORT, exits::STEP))?;
            guest_table(&mut guest)?.unmap(OUTSIDE);
            mmu::forget_translation(OUTSIDE, guest.lpid());
        }
        lab.clear();
    }
    Ok(())
}

fn guest_table(
    guest: &mut Guest,
) -> Result<&mut images::host_runtime::hpt::PageTable, &'static str> {
    guest.table().ok_or("the guest has no page table")
}

/// What the host is told of such an access.
fn faulted(guest: &Guest, reason: ExitReason, vector: u32) -> Outcome {
    let page = guest.page(0);
    let line = &page.firmware;
    same(
        "reason and vector",
        (line.reason.get(), line.trap.get()),
        (reason as u32, vector),
    )?;
    if reason == ExitReason::DataStorage {
        let cause = u64::from(line.hdsisr.get()) & NOT_FOUND;
        same(
            "HDAR and HDSISR",
            (line.hdar.get(), cause),
            (OUTSIDE, NOT_FOUND),
        )
    } else {
        let cause = line.srr1.get() & NOT_FOUND;
        same("pc and HSRR1", (page.pc.get(), cause), (OUTSIDE, NOT_FOUND))
    }
}

/// A guest's access to a page that leads to nowhere is a machine check, of which its host alone is
/// told; its siblings, the core and the host go on (L8).
pub fn machine_check(lab: &mut Lab) -> Outcome {
    let mut guest = virtual_guest(lab, "exits", 8)?;
    ensure!(
        guest_table(&mut guest)?.map(OUTSIDE, NOBODY),
        "no room in the page table"
    );
    for access in [exits::DATA_OUTSIDE, exits::FETCH_OUTSIDE] {
        for culprit in 0..8 {
            for vcpu in 0..8 {
                let case = if vcpu == culprit { access } else { exits::SPIN };
                guest.start_vcpu(vcpu, 8, [case, 0]);
            }
            let page = guest.page_mut(culprit);
            page.slb_count.set(1);
            page.slb[0].esid.set(SEGMENT);
            let run = lab::run(&mut guest, 0xff)?;
            same(
                "exited and why",
                (run.exited, run.first_slot, run.first_reason),
                (1 << culprit, culprit as u64, ExitReason::MachineCheck),
            )?;
            let page = guest.page(culprit);
            let told = (page.firmware.reason.get(), page.firmware.trap.get());
            same("told", told, (ExitReason::MachineCheck as u32, 0x200))?;
            if access == exits::DATA_OUTSIDE {
                let fault = (page.firmware.fault.get(), page.sprs.dar.get());
                same("DSISR and DAR", fault, (LOAD_FAILED, OUTSIDE))?;
            } else {
                same("pc", page.pc.get(), OUTSIDE)?;
            }
            // QEMU tells of both as POWER8 does of a broken SLB: it is empty then.
            let place = Place::of(page.firmware.srr1.get(), page.firmware.fault.get());
            same("place", place, Place::Slb)?;
            same("SLB entries", page.slb_count.get(), 0)?;
        }
    }
    // All threads of the core go on.
    lab.clear();
    let mut guest = virtual_guest(lab, "calls", 8)?;
    lab::start_all(&mut guest, [case::ALL_THEN_REPORT, 0]);
    (1..=ROUNDS).try_for_each(|round| meet(&mut guest, round))
}

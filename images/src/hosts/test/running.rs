//! Runs, and how they end.
use hcalls::exit::ExitReason;
use hcalls::page::OWNED;
use hcalls::papr::H_FUNCTION;
use hcalls::partition::PtidMode;
use hcalls::run::RUN_FP_CLEAN;
use images::behaviour::{calls as case, exits};
use images::guest_calls::{H_REPORT, H_UNEXPECTED};
use images::host_runtime::guest::Guest;
use images::host_runtime::{calls, cpu, opal};

use crate::check::{Outcome, accepted, same};
use crate::lab::{self, Lab, MS_TB, WORK_TB, Wanted};

/// One vcpu, one hypercall, in both byte orders.
/// B11, B13, B35, L7.
pub fn run1(lab: &mut Lab) -> Outcome {
    for little_endian in [false, true] {
        let wanted = Wanted {
            little_endian,
            ..Wanted::new("exits", 1)
        };
        let mut guest = lab.guest(&wanted)?;
        lab::start_all(&mut guest, [exits::HYPERCALL, 0]);
        let line = &guest.page(0).firmware;
        let nothing = (line.reason.get(), line.trap.get());
        same(
            "reason and trap before a run (B13)",
            nothing,
            (ExitReason::None as u32, 0),
        )?;
        let before_tb = cpu::time_base();
        let run = lab::run(&mut guest, 1)?;
        came_out_once(&guest, &run, before_tb..cpu::time_base())?;
        let again = lab::run(&mut guest, 1)?;
        let entries = guest.page(0).firmware.entries.get();
        same(
            "second run: exited, entries",
            (again.exited, entries),
            (1, 2),
        )?;
    }
    Ok(())
}

/// What the first run of a vcpu that made a hypercall has to have left.
fn came_out_once(guest: &Guest, run: &calls::Run, during_tb: core::ops::Range<u64>) -> Outcome {
    same("masks", (run.exited, run.did_not_run, run.ceded), (1, 0, 0))?;
    same(
        "first",
        (run.first_slot, run.first_reason),
        (0, ExitReason::Hypercall),
    )?;
    let page = guest.page(0);
    let line = &page.firmware;
    same("trap", line.trap.get(), 0xc00)?;
    same("owner", line.owner.get() & OWNED, 0)?;
    same("entries", line.entries.get(), 1)?;
    let times_tb = [
        during_tb.start,
        line.entered_tb.get(),
        line.left_tb.get(),
        during_tb.end,
    ];
    ensure!(times_tb.is_sorted(), "times {times_tb:?}");
    same("pc and srr0", page.pc.get(), line.srr0.get())?;
    let (number, args) = lab::hypercall(guest, 0)?;
    same("hypercall", (number, args[0]), (H_REPORT, exits::STEP))
}

/// All widths, both byte orders: each vcpu makes its hypercall, whoever is pulled out meanwhile.
/// B30.
pub fn run8(lab: &mut Lab) -> Outcome {
    for (vcpus, little_endian) in [(1, false), (2, true), (4, false), (8, false), (8, true)] {
        let mut guest = lab.guest(&Wanted {
            little_endian,
            ..Wanted::new("calls", vcpus)
        })?;
        lab::start_all(&mut guest, [case::REPORT_THEN_SPIN, 0]);
        let all = guest.all_slots();
        let mut seen = 0;
        lab::serve(&mut guest, all, |guest, vcpu, number, [step, index, ..]| {
            same(
                "hypercall",
                (number, step, index),
                (H_REPORT, case::STEP, vcpu as u64),
            )?;
            same("reported before", seen & guest.slot_mask(vcpu), 0)?;
            seen |= guest.slot_mask(vcpu);
            Ok(false)
        })?;
        same("vcpus that reported", seen, all)?;
        lab.clear();
    }
    Ok(())
}

/// OPAL_REINIT_CPUS, and its flags: interrupts are taken big-endian, little-endian.
const REINIT_CPUS: u64 = 70;
const BIG_ENDIAN_INTERRUPTS: u64 = 1;
const LITTLE_ENDIAN_INTERRUPTS: u64 = 2;

/// A host that has its interrupts little-endian runs guests as any other.
/// L1.
pub fn host_little_endian(lab: &mut Lab) -> Outcome {
    let reinit = |flags| {
        // SAFETY: no argument is an address, and this host's interrupts are off.
        let answer = unsafe { opal::call(REINIT_CPUS, &[flags]) };
        same("REINIT_CPUS", answer.status, 0)
    };
    reinit(LITTLE_ENDIAN_INTERRUPTS)?;
    let done = run8(lab);
    reinit(BIG_ENDIAN_INTERRUPTS)?;
    done
}

/// Packed mode uses the lowest threads, in order (B14); aligned mode that of the id (B15), even if
/// thread 0 has no vcpu then (B24).
pub fn ptid(lab: &mut Lab) -> Outcome {
    for (ptid_mode, threads) in [
        (PtidMode::Packed, [0, 1, 2]),
        (PtidMode::Aligned, [4, 5, 7]),
    ] {
        let mut guest = lab.guest(&Wanted {
            ptid_mode,
            ..Wanted::new("calls", 8)
        })?;
        lab::start_all(&mut guest, [case::REPORT_THEN_SPIN, 0]);
        // Thread by thread: a run with all three each time, until each was the one that reported.
        let vcpus = [4, 5, 7];
        let mut found = [None; 3];
        let limit_tb = cpu::time_base() + WORK_TB;
        while found.contains(&None) {
            ensure!(
                cpu::time_base() < limit_tb,
                "only these reported: {found:?}"
            );
            for (&vcpu, found) in vcpus.iter().zip(found) {
                // Who has reported only spins: else the first of them would always be the first.
                let case = match found {
                    None => case::REPORT_THEN_SPIN,
                    Some(_) => case::FIRST_REPORTS,
                };
                guest.start_vcpu(vcpu, 8, [case, 0]);
            }
            let mask = vcpus.iter().map(|&vcpu| guest.slot_mask(vcpu)).sum();
            let run = lab::run(&mut guest, mask)?;
            for vcpu in guest.vcpus_of(run.exited) {
                let (_, [_, _, thread, ..]) = lab::hypercall(&guest, vcpu)?;
                let place = vcpus
                    .iter()
                    .position(|&it| it == vcpu)
                    .ok_or("another vcpu ran")?;
                found[place] = Some(thread);
            }
            lab::empty_queue(&guest, mask)?;
        }
        same("threads", found, threads.map(Some))?;
        lab.clear();
    }
    Ok(())
}

/// What a case of `guest-exits` has to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Out to the host, by this vector.
    Exit(ExitReason, u32),
    /// Into the guest's own vector.
    OwnVector(u64),
    /// It goes on, and reports an MSR without HV.
    NoHv,
    /// It goes on with the host's answer.
    Answer(u64),
}

/// Each way out of a guest, in both byte orders.
/// B35.
pub fn exits(lab: &mut Lab) -> Outcome {
    use Expected::*;
    let cases = [
        (exits::HYPERCALL, Exit(ExitReason::Hypercall, 0xc00)),
        (exits::UNKNOWN_HYPERCALL, Answer(H_FUNCTION)),
        (exits::ILLEGAL, Exit(ExitReason::EmulationAssist, 0xe40)),
        (exits::DATA_OUTSIDE, OwnVector(0x300)),
        (exits::FETCH_OUTSIDE, OwnVector(0x400)),
        (exits::TRAP, OwnVector(0x700)),
        (exits::HRFID, OwnVector(0x700)),
        (exits::NAP, OwnVector(0x700)),
        (exits::READ_HSPRG0, OwnVector(0x700)),
        (exits::WRITE_LPCR, OwnVector(0x700)),
        (exits::WRITE_LPIDR, OwnVector(0x700)),
        (exits::WRITE_HDEC, OwnVector(0x700)),
        (exits::CACHE_INHIBITED_STORE, OwnVector(0x700)),
        (
            exits::DOORBELL,
            Exit(ExitReason::FacilityUnavailable, 0xf80),
        ),
        (exits::SET_HV, NoHv),
        (exits::RFID_TO_HV, NoHv),
    ];
    for little_endian in [false, true] {
        let mut guest = lab.guest(&Wanted {
            little_endian,
            ..Wanted::new("exits", 1)
        })?;
        for (case, expected) in cases {
            lab::start_all(&mut guest, [case, 0]);
            exit(&mut guest, expected).map_err(|why| alloc::format!("case {case}: {why}"))?;
        }
    }
    Ok(())
}

fn exit(guest: &mut Guest, expected: Expected) -> Outcome {
    const MSR_HV: u64 = 1 << (63 - 3);
    let run = lab::run(guest, 1)?;
    same("exited", run.exited, 1)?;
    let page = guest.page(0);
    let (reason, trap) = (page.firmware.reason.get(), page.firmware.trap.get());
    let gpr = [3, 4, 5].map(|register| page.gpr[register].get());
    match expected {
        Expected::Exit(wanted, vector) => {
            same("reason and vector", (reason, trap), (wanted as u32, vector))?;
            if wanted == ExitReason::EmulationAssist {
                same("the instruction", page.firmware.heir.get(), 0)?;
            }
            if wanted == ExitReason::FacilityUnavailable {
                // 10: the message facility (Power ISA 2.07 Book III-S 6.2.10).
                same("the facility", page.firmware.fault.get(), 10)?;
            }
            Ok(())
        }
        _ if reason != ExitReason::Hypercall as u32 => Err(alloc::format!(
            "reason {reason}, vector {trap:#x}, not {expected:x?}"
        )),
        Expected::OwnVector(vector) => same("vector", (gpr[0], gpr[1]), (H_UNEXPECTED, vector)),
        Expected::NoHv => same("step and HV", (gpr[1], gpr[2] & MSR_HV), (exits::STEP, 0)),
        Expected::Answer(answer) => {
            same("number", gpr[0], exits::UNKNOWN_NUMBER)?;
            lab::answer(guest, 0, answer);
            lab::run(guest, 1)?;
            let (_, [step, told, ..]) = lab::hypercall(guest, 0)?;
            same("step and answer", (step, told), (exits::STEP, answer))
        }
    }
}

/// Guests that never leave by themselves come out when their time is up, not before (L4).
/// B36.
pub fn deadline(lab: &mut Lab) -> Outcome {
    for vcpus in [1, 8] {
        let mut guest = lab.guest(&Wanted::new("loop", vcpus))?;
        let all = guest.all_slots();
        for limit_tb in [MS_TB, 5 * MS_TB, 0] {
            let deadline_tb = cpu::time_base() + limit_tb;
            let run = accepted("VCORE_RUN", guest.run(all, 0, deadline_tb, RUN_FP_CLEAN))?;
            ensure!(cpu::time_base() >= deadline_tb, "out before the deadline");
            same("exited and ceded", (run.exited, run.ceded), (0, 0))?;
            for vcpu in 0..guest.vcpus() {
                let reason = ExitReason::try_from(guest.page(vcpu).firmware.reason.get());
                let fits = match reason {
                    Ok(ExitReason::Deadline | ExitReason::Pulled) => true,
                    Ok(ExitReason::None) => run.did_not_run & guest.slot_mask(vcpu) != 0,
                    _ => false,
                };
                ensure!(fits, "vcpu {vcpu} came out for {reason:?}");
            }
        }
        lab.clear();
    }
    Ok(())
}

/// Deadlines that have passed, by however much, and those too far off to be meant (more than MaxRunTb
/// ahead): each run ends at once, and all threads come back. The hypervisor decrementer has expired
/// when they enter.
pub fn deadline_past(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("loop", 8))?;
    let now_tb = cpu::time_base();
    for deadline_tb in [
        0,
        1,
        now_tb,
        now_tb.wrapping_sub(1),
        now_tb.wrapping_sub(60_000 * MS_TB),
        now_tb.wrapping_add((1 << 63) + 60_000 * MS_TB),
        u64::MAX,
    ] {
        for _ in 0..50 {
            let run = guest.run(0xff, 0, deadline_tb, RUN_FP_CLEAN);
            let run = accepted("VCORE_RUN", run)
                .map_err(|why| alloc::format!("deadline {deadline_tb:#x}: {why}"))?;
            same("exited and ceded", (run.exited, run.ceded), (0, 0))?;
            for vcpu in 0..8 {
                let reason = ExitReason::try_from(guest.page(vcpu).firmware.reason.get());
                let fits = match reason {
                    Ok(ExitReason::Deadline | ExitReason::Pulled) => true,
                    Ok(ExitReason::None) => run.did_not_run & guest.slot_mask(vcpu) != 0,
                    _ => false,
                };
                ensure!(fits, "vcpu {vcpu} came out for {reason:?}");
            }
        }
    }
    Ok(())
}

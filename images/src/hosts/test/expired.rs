//! Decrementers that expired long ago, or will long from now: 32 bits are less than nine seconds.
use hcalls::exit::ExitReason;
use images::behaviour::calls as case;
use images::guest_calls::H_REPORT;
use images::host_runtime::guest::Guest;
use images::host_runtime::{cpu, decrementers};

use crate::check::{Outcome, same};
use crate::lab::{self, Lab, MS_TB, Wanted};

const MSR_EE: u64 = 1 << 15;

/// How long ago, in ms: each side of where 31 and 32 bits end, and much more.
const AGES_MS: [u64; 9] = [1, 2000, 2200, 4190, 4200, 8380, 8400, 60_000, 1 << 40];

/// A guest whose decrementer has expired, however long ago, finds it negative; coming out doesn't
/// change when it was. Its H_CEDE ends at once.
/// B33, L4.
pub fn decrementer_past(lab: &mut Lab) -> Outcome {
    for (vcpus, tb_offset) in [
        (1, 0),
        (2, 0),
        (1, 1 << 40),
        (1, (1u64 << 40).wrapping_neg()),
    ] {
        let mut guest = lab.guest(&Wanted {
            tb_offset,
            ..Wanted::new("calls", vcpus)
        })?;
        for age_ms in AGES_MS {
            let now_tb = cpu::time_base();
            let expires_tb = now_tb.wrapping_sub(age_ms * MS_TB);
            long_past(&mut guest, expires_tb, tb_offset)
                .map_err(|why| alloc::format!("{age_ms} ms ago, offset {tb_offset:#x}: {why}"))?;
        }
        lab.clear();
    }
    Ok(())
}

fn long_past(guest: &mut Guest, expires_tb: u64, tb_offset: u64) -> Outcome {
    let guests_tb = expires_tb.wrapping_add(tb_offset);
    // A second vcpu keeps the first from being the last to cede.
    for vcpu in 1..guest.vcpus() {
        guest.start_vcpu(vcpu, 2, [case::SPIN, 0]);
    }
    set(guest, case::TELL_DEC, guests_tb);
    for _ in 0..3 {
        let dec = told(guest)?;
        ensure!((dec as i32) < 0, "the decrementer reads {dec:#x}");
        let saved_tb = guest.page(0).sprs.dec_expires_tb.get();
        same("when it expired", saved_tb, guests_tb)?;
    }
    set(guest, case::CEDE_FOR_EVER, guests_tb);
    if guest.vcpus() > 1 {
        return told(guest).map(drop);
    }
    let run = lab::run(guest, 1)?;
    same("ceded", (run.exited, run.ceded), (0, 1))?;
    same(
        "the earliest decrementer",
        run.decrementer_tb,
        Some(expires_tb),
    )?;
    let saved_tb = guest.page(0).sprs.dec_expires_tb.get();
    same("when it expired, after H_CEDE", saved_tb, guests_tb)
}

/// Sets vcpu 0 to a case, with a decrementer.
fn set(guest: &mut Guest, case: u64, expires_tb: u64) {
    guest.start_vcpu(0, guest.vcpus() as u64, [case, 0]);
    let page = guest.page_mut(0);
    page.msr.set(page.msr.get() & !MSR_EE);
    page.sprs.dec_expires_tb.set(expires_tb);
}

/// Runs until vcpu 0 reports; its number after the index.
fn told(guest: &mut Guest) -> Result<u64, alloc::string::String> {
    for _ in 0..100 {
        let run = lab::run(guest, guest.all_slots())?;
        if run.exited & 1 != 0 {
            let (number, [step, _, told, ..]) = lab::hypercall(guest, 0)?;
            same("hypercall", (number, step), (H_REPORT, case::STEP))?;
            return Ok(told);
        }
    }
    Err("vcpu 0 doesn't report".into())
}

/// One that is farther off than a decrementer can show: it reads as far as it goes, and stays as it was.
/// B33.
pub fn decrementer_far(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("calls", 1))?;
    for off_ms in [4000, 4190, 4200, 8400, 60_000, 1 << 40] {
        let expires_tb = cpu::time_base() + off_ms * MS_TB;
        set(&mut guest, case::TELL_DEC, expires_tb);
        for _ in 0..3 {
            let dec = told(&mut guest)?;
            let saved_tb = guest.page(0).sprs.dec_expires_tb.get();
            let off_tb = saved_tb.abs_diff(expires_tb);
            ensure!(
                dec as i32 as u64 > 1500 * MS_TB && off_tb < 500 * MS_TB,
                "{off_ms} ms ahead: reads {dec:#x}, {off_tb} off afterwards"
            );
        }
    }
    Ok(())
}

/// A guest that sets its decrementer has it so, whatever it was before.
/// B33.
pub fn decrementer_set(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("calls", 1))?;
    for before_ms in [-60_000i64, -4200, -1, 1, 4200, 60_000] {
        for ticks in [-1i32, 50_000, i32::MAX] {
            let now_tb = cpu::time_base();
            let expires_tb = now_tb.wrapping_add_signed(before_ms * MS_TB as i64);
            set(&mut guest, case::SET_DEC, expires_tb);
            guest.page_mut(0).gpr[6].set(i64::from(ticks) as u64);
            let set_tb = told(&mut guest)?;
            let left_tb = guest.page(0).firmware.left_tb.get();
            let expires_tb = guest.page(0).sprs.dec_expires_tb.get();
            let earliest_tb = now_tb.wrapping_add_signed(i64::from(ticks));
            let latest_tb = left_tb.wrapping_add_signed(i64::from(ticks)) + 500 * MS_TB;
            ensure!(
                (earliest_tb..latest_tb).contains(&expires_tb),
                "{ticks} at {set_tb:#x}, from {before_ms} ms: expires at {expires_tb:#x}"
            );
        }
    }
    Ok(())
}

/// The host's own decrementers count on over a run, and one that has expired stays so.
/// L1.
pub fn host_decrementers(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("loop", 1))?;
    for ticks in [
        i32::MAX,
        1 << 29,
        1000,
        0,
        -1,
        -50_000,
        -(1 << 29),
        -(3 << 29),
    ] {
        let set_tb = cpu::time_base();
        decrementers::set(ticks);
        let run = lab::run_for(&mut guest, 1, MS_TB)?;
        same("first reason", run.first_reason, ExitReason::Deadline)?;
        let now = decrementers::read();
        let passed_tb = cpu::time_base() - set_tb;
        for (name, reads) in [("DEC", now[0]), ("HDEC", now[1])] {
            // As much again either way: the emulator may pause between any two readings.
            let counted = i64::from(ticks) - passed_tb as i64;
            // Not farther below 0 than it can be and stay there.
            let middle = counted.max(-(1 << 30) - passed_tb as i64);
            let off = i64::from(reads) - middle;
            ensure!(
                off.unsigned_abs() <= 2 * passed_tb && (ticks >= 0 || reads < 0),
                "{name} was {ticks:#x} and reads {reads:#x}, {passed_tb} ticks later"
            );
        }
        decrementers::set(i32::MAX);
    }
    Ok(())
}

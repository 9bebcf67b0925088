//! Registers that a core's threads share: each vcore finds its own there, and so does the host.
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};

use hcalls::partition::PtidMode;
use hcalls::run::DoorbellsAction;
use images::behaviour::{calls as case, doorbell as bell};
use images::guest_calls::H_REPORT;
use images::host_runtime::calls;
use images::host_runtime::cpu;
use images::host_runtime::guest::Guest;

use crate::check::{Outcome, accepted, same};
use crate::cores;
use crate::lab::{self, Lab, Wanted};

const ROUNDS: u64 = 15;
/// Ahead of the host's time base, and behind it, by more than its upper bits could be mistaken for.
const AHEAD_TB: u64 = 5 << 40 | 3 << 24;
const BEHIND_TB: u64 = (1u64 << 41).wrapping_neg();

/// The other core's time base, which no run there changes, and whether it may stop telling it.
static CLOCK: AtomicU64 = AtomicU64::new(0);
static OVER: AtomicU64 = AtomicU64::new(0);

/// Partitions with time bases of their own: each guest reads its own, times in its pages are its own,
/// and the host's goes on, between and after runs, as another core's does.
/// L1.
pub fn time_base(lab: &mut Lab) -> Outcome {
    let guests = [AHEAD_TB, BEHIND_TB, 0].map(|tb_offset| {
        lab.guest(&Wanted {
            tb_offset,
            ..Wanted::new("calls", 4)
        })
        .map(|guest| (guest, tb_offset))
    });
    let [ahead, behind, even] = guests;
    let (mut ahead, mut behind, mut even) = (ahead?, behind?, even?);
    OVER.store(0, Ordering::Relaxed);
    cores::send(lab, &even.0, |_| {
        while OVER.load(Ordering::Relaxed) == 0 {
            CLOCK.store(cpu::time_base(), Ordering::Release);
        }
        Ok(())
    })?;
    let outcome: Outcome = (0..ROUNDS).try_for_each(|_| {
        for (guest, offset_tb) in [&mut ahead, &mut behind, &mut even] {
            tells_time(guest, *offset_tb)?;
            keeps_time()?;
        }
        Ok(())
    });
    OVER.store(1, Ordering::Relaxed);
    cores::answer()?;
    outcome?;
    on_both_cores(lab, ahead, behind.0)
}

/// Runs the guest once; its time base lies between the host's before and after, by the offset. It
/// starts anew: a vcpu that was pulled out last time may have read its time base then.
fn tells_time(guest: &mut Guest, offset_tb: u64) -> Outcome {
    lab::start_all(guest, [case::TELL_TIME, 0]);
    let all = guest.all_slots();
    let before_tb = cpu::time_base().wrapping_add(offset_tb);
    let run = lab::run(guest, all)?;
    let after_tb = cpu::time_base().wrapping_add(offset_tb);
    ensure!(run.exited != 0, "nobody came out");
    for vcpu in guest.vcpus_of(run.exited) {
        let (number, [step, _, told_tb, ..]) = lab::hypercall(guest, vcpu)?;
        same("hypercall", (number, step), (H_REPORT, case::STEP))?;
        let line = &guest.page(vcpu).firmware;
        let (entered_tb, left_tb) = (line.entered_tb.get(), line.left_tb.get());
        let times_tb = [before_tb, entered_tb, told_tb, left_tb, after_tb];
        ensure!(times_tb.is_sorted(), "vcpu {vcpu}: times {times_tb:x?}");
    }
    Ok(())
}

/// This core's time base is the other core's.
fn keeps_time() -> Outcome {
    let before_tb = CLOCK.load(Ordering::Acquire);
    let own_tb = cpu::time_base();
    ensure!(
        before_tb <= own_tb,
        "the time base fell behind: {own_tb:#x}, {before_tb:#x}"
    );
    // Told after this core's was read: once it has been told twice since.
    for _ in 0..2 {
        let last_tb = CLOCK.load(Ordering::Acquire);
        while CLOCK.load(Ordering::Acquire) == last_tb {
            cpu::relax();
        }
    }
    let after_tb = CLOCK.load(Ordering::Acquire);
    ensure!(
        own_tb <= after_tb,
        "the time base ran ahead: {own_tb:#x}, {after_tb:#x}"
    );
    Ok(())
}

/// A core's guests don't hear of the other core's time base.
fn on_both_cores(lab: &Lab, (mut ahead, offset_tb): (Guest, u64), behind: Guest) -> Outcome {
    cores::LENT.lock().push(behind);
    cores::send(lab, &ahead, |_| {
        let mut lent = cores::LENT.lock();
        (0..ROUNDS).try_for_each(|_| tells_time(&mut lent[0], BEHIND_TB))
    })?;
    let outcome = (0..ROUNDS).try_for_each(|_| tells_time(&mut ahead, offset_tb));
    let there = cores::answer();
    cores::LENT.lock().clear();
    outcome.and(there)
}

/// A partition gets another time base without being made anew.
/// L1.
pub fn updated(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("calls", 4))?;
    for offset_tb in [0, AHEAD_TB, BEHIND_TB, 0] {
        accepted("PARTITION_UPDATE", guest.update(offset_tb))?;
        tells_time(&mut guest, offset_tb)?;
        tells_time(&mut guest, offset_tb)?;
    }
    Ok(())
}

/// A doorbell that is rung while its vcpu has interrupts off is kept when the vcore comes out, told to
/// the host, and heard in a later run; other partitions on the core see nothing of it.
/// L1.
pub fn doorbell_kept(lab: &mut Lab) -> Outcome {
    let wanted = Wanted {
        ptid_mode: PtidMode::Aligned,
        ..Wanted::new("doorbell", 4)
    };
    let (mut guest, mut other) = (lab.guest(&wanted)?, lab.guest(&wanted)?);
    for _ in 0..ROUNDS {
        for (guest, case) in [(&mut guest, bell::KEPT), (&mut other, bell::LOOK)] {
            lab::start_all(guest, [case, 0]);
        }
        // Vcpu 0 rings the others' doorbells and says so.
        let (step, rung) = until_report(&mut guest)?;
        same("rung", (step, rung), (bell::STEP_RUNG, 0b1110))?;
        taken_and_given_back(&guest, rung)?;
        let (step, rung) = until_report(&mut other)?;
        same("in another partition", (step, rung), (bell::STEP_SEEN, 0))?;
        let seen = other.page(0).gpr[5].get();
        same("DPDES in another partition", seen, 0)?;
        // Now they let interrupts in.
        let (step, rung) = until_report(&mut guest)?;
        same("heard", (step, rung), (bell::STEP_HEARD, 0))?;
        same("doorbells heard", guest.page(0).gpr[5].get(), 3)?;
    }
    Ok(())
}

/// As a host moves a guest: what VCORE_DOORBELLS tells, and takes, it can set again.
fn taken_and_given_back(guest: &Guest, rung: u64) -> Outcome {
    let doorbells = |action, slots| {
        let before = calls::vcore_doorbells(guest.vcore, action, slots);
        accepted("VCORE_DOORBELLS", before)
    };
    same("told", doorbells(DoorbellsAction::Tell, 0)?, rung)?;
    same("taken", doorbells(DoorbellsAction::Set, 0)?, rung)?;
    same("given back", doorbells(DoorbellsAction::Set, rung)?, 0)
}

/// Runs until vcpu 0 reports: its step, and whose doorbells were rung and not heard then.
fn until_report(guest: &mut Guest) -> Result<(u64, u64), String> {
    let all = guest.all_slots();
    let run = lab::run(guest, all)?;
    same("exited", run.exited, 1)?;
    let (number, [step, ..]) = lab::hypercall(guest, 0)?;
    same("hypercall", number, H_REPORT)?;
    Ok((step, run.rung))
}

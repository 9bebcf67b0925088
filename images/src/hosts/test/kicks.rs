//! Kicks, what they are for, and who is told (L5).
use alloc::string::String;
use core::sync::atomic::{AtomicUsize, Ordering};

use hcalls::Status;
use hcalls::exit::ExitReason;
use hcalls::page::{PENDING_EXTERNAL, VcpuPage};
use hcalls::run::{KICK_GUEST, RUN_FP_CLEAN};
use images::behaviour::interrupts as guests;
use images::guest_calls::{H_DONE, H_REPORT};
use images::host_runtime::guest::Guest;
use images::host_runtime::{calls, cpu, icp};

use crate::check::{Outcome, accepted, refused, same};
use crate::cores::{self, Errand};
use crate::lab::{self, Lab, MS_TB, PATIENCE_TB, Wanted};

/// Slot of the vcpu that the other core kicks.
static SLOT: AtomicUsize = AtomicUsize::new(0);

/// What a kick is for reaches the kicked vcpu's page, and no other's; causes of kicks that are
/// answered together come together.
/// L5.
pub fn kick_cause(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("loop", 4))?;
    let causes =
        |guest: &Guest| [0, 1, 2, 3].map(|vcpu| guest.page(vcpu).firmware.kick_cause.get());
    for round in 1..10 {
        cores::send(lab, &guest, |errand| {
            errand.runs.wait_for_any()?;
            for (slots, cause) in [(0b0100, 1), (0b0110, 0x1000), (0b0100, 4)] {
                let kicked = calls::vcore_kick(errand.vcore, slots, cause);
                accepted("VCORE_KICK", kicked)?;
            }
            Ok(())
        })?;
        let blocked = guest.all_slots() & !0b0111;
        let deadline_tb = cpu::time_base() + PATIENCE_TB;
        let run = guest.run(0b0111, blocked, deadline_tb, RUN_FP_CLEAN);
        cores::answer()?;
        let run = accepted("VCORE_RUN", run)?;
        // The later ones of them may come when the run is over: then the next one answers them.
        same("the first kick is answered", run.exited & !0b110, 0)?;
        ensure!(run.exited & 0b100 != 0, "the first kick isn't answered");
        let told = causes(&guest);
        let known = told[2] & !0x1005 == 0 && told[2] & 1 != 0 && told[1] & !0x1000 == 0;
        ensure!(known && told[0] == 0 && told[3] == 0, "causes {told:x?}");
        drain(&mut guest)?;
        let cause = 0x100 * round;
        accepted("VCORE_KICK", calls::vcore_kick(guest.vcore, 0b1000, cause))?;
        let run = guest.run(0b1000, 0, cpu::time_base() + MS_TB, RUN_FP_CLEAN);
        refused("a kicked vcpu's run", run, Status::Empty, 0)?;
        same("cause of the refusal", causes(&guest)[3], cause)?;
        guest = again(lab)?;
    }
    Ok(())
}

/// A new guest in the place of the others.
fn again(lab: &mut Lab) -> Result<Guest, String> {
    lab.clear();
    lab.guest(&Wanted::new("loop", 4))
}

/// Has kicks that nobody has answered refuse runs until there is none left.
fn drain(guest: &mut Guest) -> Outcome {
    for _ in 0..4 {
        let run = guest.run(0b0111, 0b1000, cpu::time_base(), RUN_FP_CLEAN);
        if !run.is_err_and(|refusal| refusal.is(Status::Empty)) {
            lab::empty_queue(guest, 0b1111)?;
            return accepted("VCORE_RUN", run).map(drop);
        }
    }
    Err("kicks go on refusing runs".into())
}

/// An external interrupt for the guest becomes pending.
fn make_pending(page: *mut VcpuPage) {
    // SAFETY: the host's line of a vcpu page; the firmware only reads it.
    unsafe { (&raw mut (*page).host.pending).write_volatile(PENDING_EXTERNAL.into()) }
}

/// For the other core: an interrupt for the guest while it runs.
fn interrupt_guest(errand: &Errand) -> Outcome {
    errand.runs.wait_for_any()?;
    let slot = SLOT.load(Ordering::Relaxed);
    make_pending(errand.runs.page(slot).ok_or("no vcpu to kick")?);
    let slots = 1 << slot;
    let absent = accepted(
        "VCORE_KICK",
        calls::vcore_kick(errand.vcore, slots, KICK_GUEST),
    )?;
    // It may have found the interrupt by itself, and be out already to say so.
    ensure!(absent == 0 || absent == slots, "absent is {absent:#x}");
    Ok(())
}

/// A kick for the guest gets a vcpu its interrupt without bringing anybody out: while it spins with
/// interrupts on, or has them off for a time, or naps in H_CEDE; whichever thread it is on.
/// L5.
pub fn kick_guest(lab: &mut Lab) -> Outcome {
    for (vcpus, kicked) in [(1, 0), (2, 0), (8, 5)] {
        for (case, little_endian) in [
            (guests::SPIN, false),
            (guests::OFF_FOR_A_TIME, true),
            (guests::CEDE, false),
        ] {
            // A vcpu that cedes alone brings its vcore out.
            if vcpus == 1 && case == guests::CEDE {
                continue;
            }
            let mut guest = lab.guest(&Wanted {
                little_endian,
                ..Wanted::new("external", vcpus)
            })?;
            for vcpu in 0..guest.vcpus() {
                let what = if vcpu == kicked { case } else { guests::IDLE };
                guest.start_vcpu(vcpu, vcpus.into(), [what, 0]);
            }
            interrupts(lab, &mut guest, kicked)
                .map_err(|why| alloc::format!("{vcpus} vcpus, case {case}: {why}"))?;
            lab.clear();
        }
    }
    Ok(())
}

fn interrupts(lab: &Lab, guest: &mut Guest, kicked: usize) -> Outcome {
    let all = guest.all_slots();
    let slot = guest.slot_mask(kicked).trailing_zeros();
    SLOT.store(slot as usize, Ordering::Relaxed);
    let mut taken = 0;
    loop {
        guest.page_mut(kicked).host.pending.set(0);
        cores::send(lab, guest, interrupt_guest)?;
        let deadline_tb = cpu::time_base() + PATIENCE_TB;
        let run = guest.run(all, 0, deadline_tb, RUN_FP_CLEAN);
        cores::answer()?;
        // On the host's thread a call may have hidden one of its own.
        icp::drop_ipi();
        let run = accepted("VCORE_RUN", run)?;
        let first = (run.exited, run.first_slot, run.first_reason);
        let wanted = (1 << kicked, kicked as u64, ExitReason::Hypercall);
        same("exited, first and why", first, wanted)?;
        let entries = guest.page(kicked).firmware.entries.get();
        match lab::hypercall(guest, kicked)? {
            (H_REPORT, [guests::STEP_TAKEN, count, ..]) => {
                taken += 1;
                same("interrupts and entries", (count, entries), (taken, taken))?;
            }
            (H_REPORT, [guests::STEP_DONE, ..]) => {}
            (H_DONE, _) => return same("interrupts", taken, guests::COUNT),
            (number, args) => return Err(alloc::format!("hypercall {number:#x} {args:x?}")),
        }
        if taken == guests::COUNT {
            return Ok(());
        }
    }
}

/// Of a vcore that doesn't run, such a kick only says so: the next run finds what is pending.
/// L5.
pub fn kick_guest_absent(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("loop", 2))?;
    for _ in 0..3 {
        let absent = calls::vcore_kick(guest.vcore, 2, KICK_GUEST | 1);
        same("absent", accepted("VCORE_KICK", absent)?, 2)?;
        let absent = calls::vcore_kick(guest.vcore, 0, KICK_GUEST);
        same("all absent", accepted("VCORE_KICK", absent)?, 3)?;
        let run = lab::run_for(&mut guest, 3, MS_TB)?;
        same("exited", run.exited, 0)?;
    }
    let none = calls::vcore_kick(guest.vcore, 4, KICK_GUEST);
    refused("a slot without a vcpu", none, Status::Parameter, 2)
}

//! The host's own interrupts, which come while its thread is in a guest: they bring the vcore out and
//! wait, unread, for the host (L6).
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};

use hcalls::exit::ExitReason;
use hcalls::partition::PtidMode;
use hcalls::run::RUN_FP_CLEAN;
use images::behaviour::calls as case;
use images::host_runtime::calls::{self, Run};
use images::host_runtime::guest::Guest;
use images::host_runtime::{cpu, icp, xscom};

use crate::check::{Outcome, accepted, same};
use crate::cores::{self, Errand};
use crate::lab::{self, Lab, PATIENCE_TB, Wanted};

const ROUNDS: u64 = 20;

/// PIR of the thread that the other core interrupts.
static TARGET: AtomicU64 = AtomicU64::new(0);

/// Runs the guest, and leaves an interrupt that waits then where it is.
fn run(guest: &Guest, runnable: u64) -> Result<Run, String> {
    let blocked = guest.all_slots() & !runnable;
    let deadline_tb = cpu::time_base() + PATIENCE_TB;
    // SAFETY: no reference to a page or to the memory is alive.
    let run =
        unsafe { calls::vcore_run(guest.vcore, runnable, blocked, deadline_tb, RUN_FP_CLEAN) };
    accepted("VCORE_RUN", run)
}

/// The other core's device interrupts this thread when the vcore runs.
fn by_device(errand: &Errand) -> Outcome {
    errand.runs.wait_for_any()?;
    xscom::raise_occ();
    Ok(())
}

/// The other core sends this thread an inter-processor interrupt when the vcore runs.
fn by_ipi(errand: &Errand) -> Outcome {
    errand.runs.wait_for_any()?;
    icp::send_ipi(TARGET.load(Ordering::Relaxed) as u32);
    Ok(())
}

/// How the host is interrupted, and by what source.
type Means = (fn(&Errand) -> Outcome, u32);

const MEANS: [Means; 2] = [(by_device, xscom::OCC_INTERRUPT), (by_ipi, icp::IPI)];

/// Lets the device interrupt this thread while `work` runs.
fn with_device(work: impl FnOnce() -> Outcome) -> Outcome {
    TARGET.store(cpu::pir().into(), Ordering::Relaxed);
    xscom::route_occ(Some(cpu::pir())).map_err(|status| alloc::format!("SET_XIVE: {status}"))?;
    let outcome = work();
    xscom::lower_occ();
    let masked = xscom::route_occ(None).map_err(|status| alloc::format!("SET_XIVE: {status}"));
    outcome.and(masked)
}

/// The interrupt waits for the host, once.
fn waits(source: u32) -> Outcome {
    same("the interrupt that waits", icp::pending(), source)?;
    if source == xscom::OCC_INTERRUPT {
        xscom::lower_occ();
    }
    same("taken", icp::drop_pending(), Some(source))?;
    same("then", icp::pending(), 0)
}

/// A device, or another thread of the host's, interrupts a thread whose vcore runs: with its own vcpu
/// in the guest, and, in aligned mode, without one.
/// L6.
pub fn host_interrupt(lab: &mut Lab) -> Outcome {
    with_device(|| {
        for (ptid_mode, runnable) in [
            (PtidMode::Packed, 0xff),
            (PtidMode::Packed, 1),
            (PtidMode::Aligned, 0xff),
            (PtidMode::Aligned, 0xfe),
        ] {
            let guest = lab.guest(&Wanted {
                ptid_mode,
                ..Wanted::new("loop", 8)
            })?;
            for round in 0..ROUNDS {
                let (means, source) = MEANS[round as usize % 2];
                interrupted(lab, &guest, runnable, means, source).map_err(|why| {
                    alloc::format!("{ptid_mode:?} {runnable:#x} source {source:#x}: {why}")
                })?;
            }
            lab.clear();
        }
        Ok(())
    })
}

fn interrupted(
    lab: &Lab,
    guest: &Guest,
    runnable: u64,
    means: fn(&Errand) -> Outcome,
    source: u32,
) -> Outcome {
    lab::empty_queue(guest, 0xff)?;
    cores::send(lab, guest, means)?;
    let run = run(guest, runnable)?;
    cores::answer()?;
    same(
        "masks and reason",
        (run.exited, run.ceded, run.first_reason),
        (0, 0, ExitReason::External),
    )?;
    if runnable & 1 != 0 {
        let line = &guest.page(0).firmware;
        let told = (line.reason.get(), line.trap.get());
        same("vcpu 0", told, (ExitReason::External as u32, 0x500))?;
    }
    waits(source)
}

/// An interrupt that waits already ends a run before its guest gets anywhere, and again until the
/// host has taken it.
/// L6.
pub fn host_interrupt_before(lab: &mut Lab) -> Outcome {
    with_device(|| {
        let guest = lab.guest(&Wanted::new("loop", 2))?;
        for (_, source) in MEANS {
            match source {
                icp::IPI => icp::send_ipi(cpu::pir()),
                _ => xscom::raise_occ(),
            }
            for _ in 0..3 {
                let run = run(&guest, 3)?;
                same("reason", run.first_reason, ExitReason::External)?;
                same("exited", run.exited, 0)?;
            }
            waits(source)?;
        }
        Ok(())
    })
}

/// The same to a vcpu that naps in H_CEDE on the host's thread: its H_CEDE ends, and it stays queued.
/// L6.
pub fn host_interrupt_ceded(lab: &mut Lab) -> Outcome {
    with_device(|| {
        let mut guest = lab.guest(&Wanted::new("calls", 2))?;
        for round in 0..ROUNDS {
            guest.start_vcpu(0, 2, [case::CEDE_FOR_EVER, 0]);
            guest.start_vcpu(1, 2, [case::FIRST_REPORTS, 0]);
            let (means, source) = MEANS[round as usize % 2];
            lab::empty_queue(&guest, 3)?;
            cores::send(lab, &guest, means)?;
            let run = run(&guest, 3)?;
            cores::answer()?;
            let line = &guest.page(0).firmware;
            same(
                "masks and reasons",
                (run.exited, run.ceded, run.first_reason, line.reason.get()),
                (0, 0, ExitReason::External, ExitReason::External as u32),
            )?;
            waits(source)?;
        }
        Ok(())
    })
}

/// The host's interrupt comes together with a kick for the vcpu on its thread: both reach whom they
/// are for.
/// L6.
pub fn host_interrupt_kick(lab: &mut Lab) -> Outcome {
    TARGET.store(cpu::pir().into(), Ordering::Relaxed);
    let guest = lab.guest(&Wanted::new("loop", 1))?;
    for round in 0..10 * ROUNDS {
        cores::send(lab, &guest, |errand| {
            errand.runs.wait_for_any()?;
            icp::send_ipi(TARGET.load(Ordering::Relaxed) as u32);
            cores::bring_out(errand, 1)
        })?;
        let first = run(&guest, 1)?;
        cores::answer()?;
        // The interrupt alone, before the kick came: then that is answered now.
        if first.exited == 0 {
            same("reason", first.first_reason, ExitReason::External)?;
            lab::empty_queue(&guest, 1)?;
        }
        ensure!(
            icp::pending() == icp::IPI,
            "round {round}: the host's interrupt was lost"
        );
        icp::drop_ipi();
    }
    Ok(())
}

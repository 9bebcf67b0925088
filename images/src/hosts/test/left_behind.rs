//! What a host leaves to a thread that it gives back.
use core::sync::atomic::{AtomicBool, Ordering};

use images::host_runtime::{cores, cpu, icp, opal, xscom};

use crate::check::{Outcome, same};
use crate::lab::{Lab, PATIENCE_TB};
use crate::{stats, watch};

/// The interrupt goes to the thread, which may be returned.
static ROUTED: AtomicBool = AtomicBool::new(false);
/// What the thread found waiting when it was started again.
static FOUND: AtomicBool = AtomicBool::new(false);
static DONE: AtomicBool = AtomicBool::new(false);

/// A host returns threads to which a device's interrupt still goes. It wakes none of them while the firmware has
/// them, and waits for the host that gets them again (B29, H2).
pub fn left_behind(lab: &mut Lab) -> Outcome {
    let cores = lab.machine.cores.iter().copied();
    for pir in cores.filter(|&pir| pir != cpu::pir()) {
        leave_behind(lab, pir).map_err(|why| alloc::format!("thread {pir:#x}: {why}"))?;
    }
    Ok(())
}

fn leave_behind(lab: &Lab, pir: u32) -> Outcome {
    ROUTED.store(false, Ordering::Release);
    cores::start(pir, |_| {
        while !ROUTED.load(Ordering::Acquire) {
            cpu::relax();
        }
        opal::return_cpu()
    })
    .map_err(|status| alloc::format!("START_CPU: {status:?}"))?;
    xscom::route_occ(Some(pir)).map_err(|status| alloc::format!("SET_XIVE: {status}"))?;
    ROUTED.store(true, Ordering::Release);
    watch::wait("it is never returned", || opal::is_inactive(pir))?;
    let before = stats::spurious(lab, pir)?;
    xscom::raise_occ();
    let until_tb = cpu::time_base() + PATIENCE_TB / 50;
    while cpu::time_base() < until_tb {
        opal::poll_events();
    }
    same("wake-ups for nothing", stats::spurious(lab, pir)?, before)?;
    take(pir)
}

/// The thread is the host's again: the interrupt has waited for it.
fn take(pir: u32) -> Outcome {
    DONE.store(false, Ordering::Release);
    cores::start(pir, |_| {
        let limit_tb = cpu::time_base() + PATIENCE_TB;
        while icp::pending() != xscom::OCC_INTERRUPT && cpu::time_base() < limit_tb {
            cpu::relax();
        }
        FOUND.store(icp::pending() == xscom::OCC_INTERRUPT, Ordering::Relaxed);
        xscom::lower_occ();
        icp::drop_pending();
        DONE.store(true, Ordering::Release);
        opal::return_cpu()
    })
    .map_err(|status| alloc::format!("START_CPU again: {status:?}"))?;
    watch::wait("it doesn't begin again", || DONE.load(Ordering::Acquire))?;
    ensure!(FOUND.load(Ordering::Relaxed), "the interrupt is lost");
    xscom::route_occ(None).map_err(|status| alloc::format!("SET_XIVE: {status}"))
}

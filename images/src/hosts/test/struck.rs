//! A system reset of every thread of the machine at once, as a service processor makes it, or QEMU's
//! monitor: who sees [`NOW`] on the console has to send it.
use hcalls::exit::ExitReason;
use hcalls::partition::PtidMode;
use images::behaviour::calls as case;
use images::host_runtime;
use images::host_runtime::guest::Guest;
use images::println;

use crate::check::{Outcome, same};
use crate::cores::{self, Errand};
use crate::lab::{self, Lab, MS_TB, Wanted};
use crate::{memory, watch};

const NOW: &str = "struck: now";
const SYSTEM_RESET: u32 = 0x100;
const HYPERCALL: u32 = 0xc00;

/// With eight vcpus in their guests, with one, with none on the runner's thread, and with most of them in
/// H_CEDE: the host is told SystemReset, and the guest goes on where it was. Threads that nap for the
/// firmware nap on, on this core in its vectors, on the other one in the host's; the host there counts
/// its own reset. Both cores run guests afterwards.
/// L8, H5.
pub fn struck(lab: &mut Lab) -> Outcome {
    host_runtime::expect_resets();
    for (ptid_mode, runnable) in [
        (PtidMode::Packed, 0xff),
        (PtidMode::Packed, 1),
        (PtidMode::Aligned, 0xfe),
    ] {
        let wanted = Wanted {
            ptid_mode,
            ..Wanted::new("loop", 8)
        };
        in_guests(lab, &wanted, runnable)
            .map_err(|why| alloc::format!("{ptid_mode:?} {runnable:#x}: {why}"))?;
        both_cores_run(lab)?;
    }
    in_cede(lab)?;
    both_cores_run(lab)
}

fn in_guests(lab: &mut Lab, wanted: &Wanted<'_>, runnable: u64) -> Outcome {
    let mut guest = lab.guest(wanted)?;
    strike(lab, &mut guest, runnable)?;
    let run = lab::run_for(&mut guest, runnable, 5 * MS_TB)?;
    let told = (run.exited, run.first_reason);
    same("goes on", told, (0, ExitReason::Deadline))
}

/// All but the last vcpu wait in H_CEDE.
fn in_cede(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("calls", 8))?;
    lab::start_all(&mut guest, [case::CEDE_FOR_EVER, 0]);
    guest.start_vcpu(7, 8, [case::SPIN, 0]);
    strike(lab, &mut guest, 0xff)
}

/// Runs the guest until it is struck; the host is told.
fn strike(lab: &Lab, guest: &mut Guest, runnable: u64) -> Outcome {
    cores::send(lab, guest, ask)?;
    // An H_CEDE ends by the guest's decrementer if it takes long.
    let run = loop {
        let run = lab::run(guest, runnable)?;
        if run.first_reason != ExitReason::Hypercall {
            break run;
        }
    };
    cores::answer()?;
    same("reason", run.first_reason, ExitReason::SystemReset)?;
    for vcpu in guest.vcpus_of(run.exited) {
        let line = &guest.page(vcpu).firmware;
        let told = (line.reason.get(), line.trap.get());
        let struck = (ExitReason::SystemReset as u32, SYSTEM_RESET);
        // Struck just when it woke, an H_CEDE returns, and its vcpu reports.
        let woke = (ExitReason::Hypercall as u32, HYPERCALL);
        ensure!([struck, woke].contains(&told), "vcpu {vcpu}: {told:x?}");
    }
    Ok(())
}

/// The other core asks for it when the vcore runs, and is struck in its host.
fn ask(errand: &Errand) -> Outcome {
    errand.runs.wait_for_any()?;
    let before = host_runtime::resets();
    println!("{NOW}");
    watch::wait("nobody has struck", || host_runtime::resets() != before)?;
    same("resets of the host's", host_runtime::resets(), before + 1)
}

fn both_cores_run(lab: &mut Lab) -> Outcome {
    lab.clear();
    let wanted = Wanted::new("calls", 8);
    let (mut here, mut there) = (lab.guest(&wanted)?, lab.guest(&wanted)?);
    for guest in [&mut here, &mut there] {
        lab::start_all(guest, [case::ALL_THEN_REPORT, 0]);
    }
    cores::send(lab, &there, memory::meet_there)?;
    let met = (1..=memory::ROUNDS).try_for_each(|round| memory::meet(&mut here, round));
    cores::answer()?;
    lab.clear();
    met
}

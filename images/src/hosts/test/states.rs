//! States of vcpus, and their queue.
use hcalls::Status;
use hcalls::partition::{Policy, PtidMode};
use hcalls::run::{RUN_FP_CLEAN, VcpuState};
use images::behaviour::calls as case;
use images::host_runtime::calls;
use images::host_runtime::cpu;
use images::host_runtime::guest::Guest;

use crate::check::{Outcome, accepted, refused, same};
use crate::lab::{self, Lab, MS_TB, PATIENCE_TB, Wanted};

fn set(guest: &Guest, slots: u64, state: VcpuState) -> Result<bool, alloc::string::String> {
    let set = calls::vcpu_set_state(guest.vcore, slots, state);
    Ok(accepted("VCPU_SET_STATE", set)?.complete)
}

/// From blocked to work in the host is busy, which holds back its siblings under the policy complete and
/// nobody under eager; a busy vcpu doesn't run by itself. The call that makes the last of them blocked or
/// runnable says that the set is complete (B7–B11).
pub fn busy_state(lab: &mut Lab) -> Outcome {
    for ptid_mode in [PtidMode::Packed, PtidMode::Aligned] {
        for policy in [Policy::Complete, Policy::Eager] {
            let mut guest = lab.guest(&Wanted {
                policy,
                ptid_mode,
                ..Wanted::new("loop", 4)
            })?;
            busy(&mut guest, policy).map_err(|why| alloc::format!("{policy:?}: {why}"))?;
            lab.clear();
        }
    }
    Ok(())
}

fn busy(guest: &mut Guest, policy: Policy) -> Outcome {
    same(
        "complete with nobody runnable",
        set(guest, 0b10, VcpuState::Busy)?,
        false,
    )?;
    same(
        "complete with one busy",
        set(guest, 1, VcpuState::Runnable)?,
        false,
    )?;
    let deadline_tb = cpu::time_base() + MS_TB;
    let run = guest.run(0, 0, deadline_tb, RUN_FP_CLEAN);
    match policy {
        Policy::Complete => refused("a run with one busy", run, Status::Constrained, 0)?,
        Policy::Eager => drop(accepted("a run with one busy", run)?),
    }
    let entries = |guest: &Guest| [0, 1, 2].map(|vcpu| guest.page(vcpu).firmware.entries.get());
    let ran = u64::from(policy == Policy::Eager);
    same("entries", entries(guest), [ran, 0, 0])?;
    same(
        "complete with none busy",
        set(guest, 0b10, VcpuState::Blocked)?,
        true,
    )?;
    // A run's request unblocks it.
    lab::run_for(guest, 0b11, 20 * MS_TB)?;
    set(guest, 0b11, VcpuState::Blocked)?;
    same("busy again", set(guest, 0b11, VcpuState::Busy)?, false)?;
    same(
        "complete with two busy",
        set(guest, 0b01, VcpuState::Runnable)?,
        false,
    )?;
    same(
        "complete at last",
        set(guest, 0b10, VcpuState::Runnable)?,
        true,
    )
}

/// Slots in the order in which they queue up; the second one leaves the queue.
const ORDER: [usize; 4] = [3, 1, 2, 0];
const LEAVES: usize = 1;

/// A way out of the queue of a vcore that doesn't run.
#[derive(Clone, Copy, Debug)]
enum Way {
    Blocked,
    Busy,
    Kicked,
}

/// First come, first served: a vcpu that leaves the queue, in whichever way, has those behind it move up
/// by one thread in packed mode, and changes nothing in aligned mode (B14–B16, B18).
pub fn queue_moves_up(lab: &mut Lab) -> Outcome {
    for (ptid_mode, threads) in [
        (PtidMode::Packed, [2, 1, 0]),
        (PtidMode::Aligned, [0, 2, 3]),
    ] {
        for (policy, way) in [
            (Policy::Complete, Way::Blocked),
            (Policy::Eager, Way::Busy),
            (Policy::Eager, Way::Kicked),
        ] {
            let mut guest = lab.guest(&Wanted {
                policy,
                ptid_mode,
                ..Wanted::new("calls", 4)
            })?;
            for (vcpu, thread) in [0, 2, 3].into_iter().zip(threads) {
                let found = thread_of(&mut guest, vcpu, way)?;
                same(
                    "vcpu and thread",
                    (way_name(way), vcpu, found),
                    (way_name(way), vcpu, thread),
                )?;
            }
            lab.clear();
        }
    }
    Ok(())
}

fn way_name(way: Way) -> &'static str {
    match way {
        Way::Blocked => "blocked",
        Way::Busy => "busy",
        Way::Kicked => "kicked",
    }
}

/// The thread that `vcpu` gets when all have queued up and one has left: that one tells, and the others
/// spin.
fn thread_of(guest: &mut Guest, vcpu: usize, way: Way) -> Result<u64, alloc::string::String> {
    let all = guest.all_slots();
    set(guest, all, VcpuState::Blocked)?;
    for slot in ORDER {
        set(guest, 1 << slot, VcpuState::Runnable)?;
    }
    match way {
        Way::Blocked => drop(set(guest, 1 << LEAVES, VcpuState::Blocked)?),
        Way::Busy => drop(set(guest, 1 << LEAVES, VcpuState::Busy)?),
        Way::Kicked => {
            let left = calls::vcore_kick(guest.vcore, 1 << LEAVES, 0);
            same("left the queue", accepted("VCORE_KICK", left)?, 1 << LEAVES)?;
        }
    }
    for other in 0..4 {
        let what = match other == vcpu {
            true => case::REPORT_THEN_SPIN,
            false => case::SPIN,
        };
        guest.start_vcpu(other, 4, [what, 0]);
    }
    let deadline_tb = cpu::time_base() + PATIENCE_TB;
    let run = accepted("VCORE_RUN", guest.run(0, 0, deadline_tb, RUN_FP_CLEAN))?;
    same("exited", run.exited, 1 << vcpu)?;
    let (_, [_, _, thread, ..]) = lab::hypercall(guest, vcpu)?;
    Ok(thread)
}

//! What of a thread is a guest's own, and isn't what the firmware needs meanwhile.
use hcalls::run::RUN_FP_CLEAN;
use images::behaviour::calls as case;
use images::host_runtime::cpu;

use crate::check::{Outcome, same};
use crate::lab::{self, Lab, Wanted};
use crate::watch;

/// The number of CTRL, read.
const CTRL: u16 = 136;
/// Where CTRL has the run latches of the core's threads.
const LATCHES_SHIFT: u32 = 8;
const MS_TB: u64 = cpu::TB_HZ / 1000;

/// A thread that waits in the firmware for what its guest has asked for has low priority; the guest finds its
/// own again (L3).
pub fn priority(lab: &mut Lab) -> Outcome {
    for vcpus in [1, 2] {
        let mut guest = lab.guest(&Wanted::new("calls", vcpus))?;
        lab::start_all(&mut guest, [case::PRIORITY, 0]);
        lab::run(&mut guest, 1)?;
        let (_, told) = lab::hypercall(&guest, 0)?;
        let low = case::PRIORITY_LOW;
        same(
            "step, PPR after each",
            &told[..4],
            &[case::STEP, low, low, low],
        )?;
        lab.clear();
    }
    Ok(())
}

/// Guests had all run latches on; of the threads that nap for the firmware none has, and the host's own is on
/// as before (L1).
pub fn run_latch(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("loop", 8))?;
    let run = guest.run(0xff, 0, cpu::time_base() + MS_TB, RUN_FP_CLEAN);
    run.map_err(|refused| alloc::format!("{refused:?}"))?;
    watch::wait("a thread naps with its run latch on", || {
        cpu::spr::<CTRL>() >> LATCHES_SHIFT & 0xff == 1
    })?;
    same("the host's own", cpu::spr::<CTRL>() & 1, 1)
}

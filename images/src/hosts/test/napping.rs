//! The host's own nap, on the thread of a core whose other threads nap for the firmware.
use hcalls::run::{ClaimAction, CoreState};
use images::host_runtime::{self, calls, cpu};

use crate::check::{Outcome, accepted, same};
use crate::lab::{self, Lab, MS_TB, Wanted};

/// Real address of the vector in which a thread wakes (Power ISA 2.07 Book III-S 3.3.2).
const SYSTEM_RESET: u64 = 0x100;
/// SRR1\[42:45\]: what has ended a nap; and the decrementer there.
const CAUSE_SHIFT: u32 = 18;
const CAUSE_MASK: u64 = 0xf;
const DECREMENTER: u64 = 6;

/// The host naps before its guests run, after that, and while it has the core's other threads; it
/// wakes in its own vectors each time, by its decrementer, and guests run on.
/// H4.
pub fn host_nap(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("loop", 8))?;
    let pir = u64::from(cpu::pir());
    let claim = |action| accepted("CORE_CLAIM", calls::core_claim(pir, action));
    for _ in 0..20 {
        nap()?;
        lab::run_for(&mut guest, 0xff, MS_TB)?;
    }
    nap()?;
    same(
        "released",
        claim(ClaimAction::Release)?,
        CoreState::Released,
    )?;
    nap()?;
    same("claimed", claim(ClaimAction::Claim)?, CoreState::Held)?;
    nap()?;
    lab::run_for(&mut guest, 0xff, MS_TB)?;
    Ok(())
}

fn nap() -> Outcome {
    let began_tb = cpu::time_base();
    cpu::set_decrementer(MS_TB);
    let [vector, srr1] = host_runtime::nap();
    let napped_tb = cpu::time_base() - began_tb;
    same("the vector", vector, SYSTEM_RESET)?;
    let cause = srr1 >> CAUSE_SHIFT & CAUSE_MASK;
    same("the cause", cause, DECREMENTER)?;
    ensure!(napped_tb >= MS_TB, "woke after {napped_tb} ticks");
    cpu::set_decrementer(0x7fff_ffff);
    Ok(())
}

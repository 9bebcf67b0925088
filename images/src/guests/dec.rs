//! Vcpu 0 arms its decrementer, cedes, and takes the interrupt; the others spin meanwhile.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]
use core::sync::atomic::{AtomicU64, Ordering};

use images::behaviour::interrupts::*;
use images::guest_calls::DIGEST_BYTES;
use images::guest_runtime::{Vcpu, hcall, interrupt, spr};

static TAKEN: AtomicU64 = AtomicU64::new(0);

images::guest!(dec);

fn dec(vcpu: Vcpu) -> ! {
    if vcpu.index > 0 {
        loop {
            spr::relax();
        }
    }
    interrupt::set_handler(taken);
    let mut latest_tb = 0;
    for round in 1..=COUNT {
        let due_tb = spr::read::<{ spr::TB }>() + DEC_TB;
        arm();
        while TAKEN.load(Ordering::Acquire) < round {
            hcall::cede();
        }
        match spr::read::<{ spr::TB }>().checked_sub(due_tb) {
            Some(late_tb) => latest_tb = late_tb.max(latest_tb),
            None => drop(hcall::report(STEP_WRONG, &[round])),
        }
    }
    hcall::report(STEP_DONE, &[TAKEN.load(Ordering::Acquire), latest_tb]);
    hcall::done(&[0; DIGEST_BYTES])
}

fn arm() {
    // SAFETY: the handler is set, and nothing else depends on the decrementer.
    unsafe { spr::write::<{ spr::DEC }>(DEC_TB) }
}

fn taken(vector: u64) -> bool {
    if vector == 0x900 {
        interrupt::stop_decrementer();
        TAKEN.fetch_add(1, Ordering::Release);
    }
    vector == 0x900
}

//! Takes external interrupts. It first stands with interrupts off, where none may come.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]
use core::sync::atomic::{AtomicU64, Ordering};

use images::behaviour::interrupts::*;
use images::guest_calls::DIGEST_BYTES;
use images::guest_runtime::{Vcpu, hcall, interrupt, spr};

static TAKEN: AtomicU64 = AtomicU64::new(0);

images::guest!(external);

fn external(_vcpu: Vcpu) -> ! {
    interrupt::set_handler(taken);
    interrupt::stop_decrementer();
    spr::set_interrupts(false);
    for _ in 0..3 {
        hcall::report(STEP_OFF, &[]);
    }
    let early = TAKEN.load(Ordering::Acquire);
    if early > 0 {
        hcall::report(STEP_WRONG, &[early]);
    }
    spr::set_interrupts(true);
    while TAKEN.load(Ordering::Acquire) < COUNT {
        spr::relax();
    }
    hcall::report(STEP_DONE, &[TAKEN.load(Ordering::Acquire)]);
    hcall::done(&[0; DIGEST_BYTES])
}

/// The host takes the interrupt's cause away when it hears of it.
fn taken(vector: u64) -> bool {
    if vector == 0x500 {
        let count = TAKEN.fetch_add(1, Ordering::AcqRel) + 1;
        hcall::report(STEP_TAKEN, &[count]);
    }
    vector == 0x500
}

//! Takes external interrupts, in the way that its argument names (`images::behaviour::interrupts`).
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]
use core::sync::atomic::{AtomicU64, Ordering};

use images::behaviour::interrupts::*;
use images::guest_calls::DIGEST_BYTES;
use images::guest_runtime::{Vcpu, hcall, interrupt, spr};

static TAKEN: AtomicU64 = AtomicU64::new(0);

images::guest!(external);

fn external(vcpu: Vcpu) -> ! {
    interrupt::set_handler(taken);
    interrupt::stop_decrementer();
    match vcpu.args[0] {
        SPIN => wait_on(spr::relax),
        OFF_FOR_A_TIME => wait_on(off_for_a_time),
        CEDE => wait_on(hcall::cede),
        IDLE => loop {
            spr::relax();
        },
        _ => off_at_first(),
    }
}

fn wait_on(how: fn()) -> ! {
    spr::set_interrupts(true);
    loop {
        how();
    }
}

/// Long enough off that a kick comes then, and on for longer than the firmware takes to look.
fn off_for_a_time() {
    spr::set_interrupts(false);
    wait_tb(1_000_000);
    spr::set_interrupts(true);
    wait_tb(50_000);
}

fn wait_tb(ticks: u64) {
    let until_tb = spr::read::<{ spr::TB }>() + ticks;
    while spr::read::<{ spr::TB }>() < until_tb {
        spr::relax();
    }
}

/// It first stands with interrupts off, where none may come.
fn off_at_first() -> ! {
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

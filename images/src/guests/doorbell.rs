//! Vcpu 0 rings every other vcpu's doorbell (`msgsndp`), by turns, and waits for its answer.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]
use core::sync::atomic::{AtomicU64, Ordering};

use images::behaviour::doorbell as bell;
use images::behaviour::interrupts::*;
use images::guest_calls::DIGEST_BYTES;
use images::guest_runtime::{Vcpu, hcall, interrupt, spr};

/// Doorbells taken, by all vcpus; and vcpus that are ready for theirs.
static TAKEN: AtomicU64 = AtomicU64::new(0);
static READY: AtomicU64 = AtomicU64::new(0);
/// Who is to be rung at: a doorbell anywhere else is wrong.
static RUNG: AtomicU64 = AtomicU64::new(0);
const ANYONE: u64 = u64::MAX;

images::guest!(doorbell);

/// Says that interrupts may be let in.
static LET_IN: AtomicU64 = AtomicU64::new(0);

fn doorbell(vcpu: Vcpu) -> ! {
    interrupt::set_handler(taken);
    interrupt::stop_decrementer();
    match (vcpu.args[0], vcpu.index) {
        (bell::KEPT, 0) => ring_all(vcpu.count - 1),
        (bell::KEPT, _) => hear_later(),
        (bell::LOOK, 0) => look(),
        (bell::LOOK, _) => hear(),
        _ => {}
    }
    let thread = spr::read::<{ spr::TIR }>();
    if thread != vcpu.index {
        hcall::report(STEP_WRONG, &[vcpu.index, thread]);
    }
    if vcpu.index > 0 {
        READY.fetch_add(1, Ordering::AcqRel);
        hear()
    }
    while READY.load(Ordering::Acquire) < vcpu.count - 1 {
        spr::relax();
    }
    let mut rung = 0;
    for _ in 0..COUNT {
        for sibling in 1..vcpu.count {
            RUNG.store(sibling, Ordering::Release);
            ring(sibling);
            rung += 1;
            while TAKEN.load(Ordering::Acquire) < rung {
                spr::relax();
            }
        }
    }
    hcall::report(STEP_DONE, &[TAKEN.load(Ordering::Acquire)]);
    hcall::done(&[0; DIGEST_BYTES])
}

/// Vcpu 0 of [`bell::KEPT`].
fn ring_all(others: u64) -> ! {
    RUNG.store(ANYONE, Ordering::Release);
    TAKEN.store(0, Ordering::Release);
    while READY.load(Ordering::Acquire) < others {
        spr::relax();
    }
    READY.store(0, Ordering::Release);
    (1..=others).for_each(ring);
    hcall::report(bell::STEP_RUNG, &[]);
    LET_IN.store(1, Ordering::Release);
    while TAKEN.load(Ordering::Acquire) < others {
        spr::relax();
    }
    LET_IN.store(0, Ordering::Release);
    hcall::report(bell::STEP_HEARD, &[TAKEN.load(Ordering::Acquire)]);
    hear()
}

fn hear_later() -> ! {
    spr::set_interrupts(false);
    READY.fetch_add(1, Ordering::AcqRel);
    while LET_IN.load(Ordering::Acquire) == 0 {
        spr::relax();
    }
    hear()
}

fn hear() -> ! {
    spr::set_interrupts(true);
    loop {
        spr::relax();
    }
}

fn look() -> ! {
    let rung = spr::read::<{ spr::DPDES }>();
    hcall::report(bell::STEP_SEEN, &[rung]);
    hear()
}

fn taken(vector: u64) -> bool {
    if vector != 0xa00 {
        return false;
    }
    let thread = spr::read::<{ spr::TIR }>();
    let rung = RUNG.load(Ordering::Acquire);
    if rung != ANYONE && rung != thread {
        hcall::report(STEP_WRONG, &[thread]);
    }
    TAKEN.fetch_add(1, Ordering::AcqRel);
    true
}

/// `msgsndp` to thread `thread` of this core.
fn ring(thread: u64) {
    #[cfg(target_arch = "powerpc64")]
    // SAFETY: a doorbell interrupt at a sibling, which has a handler. Type 5 (Power ISA 2.07 Book
    // III-S 11.2); written as a number since the assembler asks for a newer processor.
    unsafe {
        core::arch::asm!("sync", "mr 9, {}", ".long 0x7c00491c", in(reg) 5 << 27 | thread, out("r9") _);
    }
    #[cfg(not(target_arch = "powerpc64"))]
    unreachable!("no POWER8: doorbell of {thread}")
}

//! Vcpu 0 rings every other vcpu's doorbell (`msgsndp`), by turns, and waits for its answer.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]
use core::sync::atomic::{AtomicU64, Ordering};

use images::behaviour::interrupts::*;
use images::guest_calls::DIGEST_BYTES;
use images::guest_runtime::{Vcpu, hcall, interrupt, spr};

/// Doorbells taken, by all vcpus; and vcpus that are ready for theirs.
static TAKEN: AtomicU64 = AtomicU64::new(0);
static READY: AtomicU64 = AtomicU64::new(0);
/// Who is to be rung at: a doorbell anywhere else is wrong.
static RUNG: AtomicU64 = AtomicU64::new(0);

images::guest!(doorbell);

fn doorbell(vcpu: Vcpu) -> ! {
    interrupt::set_handler(taken);
    interrupt::stop_decrementer();
    let thread = spr::read::<{ spr::TIR }>();
    if thread != vcpu.index {
        hcall::report(STEP_WRONG, &[vcpu.index, thread]);
    }
    if vcpu.index > 0 {
        READY.fetch_add(1, Ordering::AcqRel);
        spr::set_interrupts(true);
        loop {
            spr::relax();
        }
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

fn taken(vector: u64) -> bool {
    if vector != 0xa00 {
        return false;
    }
    let thread = spr::read::<{ spr::TIR }>();
    if thread != RUNG.load(Ordering::Acquire) {
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

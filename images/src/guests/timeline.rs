//! A guest to be looked at: vcpus that wait, wake each other, come late, and leave.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]
use core::sync::atomic::{AtomicU64, Ordering};

use images::behaviour::timeline::*;
use images::guest_runtime::{Vcpu, hcall, interrupt, spr};

images::guest!(timeline);

/// Late joiners that have come.
static JOINED: AtomicU64 = AtomicU64::new(0);

fn timeline(vcpu: Vcpu) -> ! {
    match vcpu.index {
        PRODDER => prod_and_report(),
        PRODDED => wait_for_prod(),
        TIMED => wait_for_decrementer(),
        FIRST_LATE.. => {
            JOINED.fetch_add(1, Ordering::Release);
            spin()
        }
        _ => spin(),
    }
}

fn spin() -> ! {
    loop {
        spr::relax();
    }
}

fn work_for(ticks: u64) {
    let end_tb = spr::read::<{ spr::TB }>() + ticks;
    while spr::read::<{ spr::TB }>() < end_tb {
        spr::relax();
    }
}

/// Leaves when all late joiners are in the guest, too.
fn prod_and_report() -> ! {
    work_for(3 * STEP_TB);
    hcall::prod(PRODDED);
    while JOINED.load(Ordering::Acquire) != LATE {
        spr::relax();
    }
    work_for(STEP_TB);
    hcall::report(STEP, &[]);
    spin()
}

fn wait_for_prod() -> ! {
    work_for(STEP_TB / 2);
    hcall::cede();
    spin()
}

fn wait_for_decrementer() -> ! {
    interrupt::set_handler(|vector| {
        interrupt::stop_decrementer();
        vector == 0x900
    });
    // SAFETY: the handler is set, and nothing else depends on the decrementer.
    unsafe { spr::write::<{ spr::DEC }>(3 * STEP_TB / 2) }
    hcall::cede();
    spin()
}

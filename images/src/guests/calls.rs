//! Makes the hypercalls that its argument names (`images::behaviour::calls`).
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]
use core::sync::atomic::{AtomicU64, Ordering};
use hcalls::papr::ANYONE;

use images::behaviour::calls::*;
use images::guest_calls::DIGEST_BYTES;
use images::guest_runtime::{Vcpu, hcall, interrupt, spr};

images::guest!(calls);

/// Whose turn it is to play, and how often a turn was taken.
static TURNS: AtomicU64 = AtomicU64::new(0);

/// The turn that each vcpu has seen.
static SEEN: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

fn calls(vcpu: Vcpu) -> ! {
    let index = vcpu.index;
    match vcpu.args[0] {
        REPORT_FOR_EVER => report_for_ever(index),
        CEDE_FOR_EVER => loop {
            hcall::cede();
            hcall::report(STEP, &[index]);
        },
        PING_PONG if index < 2 => ping_pong(index, vcpu.args[1]),
        ANSWERS => answers(index),
        PRIORITY => priority(index),
        PROD if index == 0 => repeat(vcpu.args[1], || hcall::prod(0)),
        PROD_CEDE if index == 0 => repeat(vcpu.args[1], prod_cede),
        CONFER if index == 0 => repeat(vcpu.args[1], || hcall::confer(ANYONE, 0)),
        PROD_OTHER if index == 0 => repeat(vcpu.args[1], || hcall::prod(1)),
        TELL_TIME => loop {
            hcall::report(STEP, &[index, spr::read::<{ spr::TB }>()]);
        },
        TELL_DEC => loop {
            hcall::report(STEP, &[index, spr::read::<{ spr::DEC }>()]);
        },
        SET_DEC => loop {
            interrupt::set_decrementer(vcpu.args[1]);
            hcall::report(STEP, &[index, spr::read::<{ spr::TB }>()]);
        },
        REPORT_THEN_SPIN => {
            hcall::report(STEP, &[index, spr::read::<{ spr::TIR }>()]);
            spin()
        }
        FIRST_REPORTS if index == 0 => report_for_ever(index),
        ALL_THEN_REPORT if index == 0 => gather(vcpu.count),
        ALL_THEN_REPORT => be_seen(index),
        PING_PONG => done(),
        _ => spin(),
    }
}

fn done() -> ! {
    hcall::done(&[0; DIGEST_BYTES])
}

fn spin() -> ! {
    loop {
        spr::relax();
    }
}

fn report_for_ever(index: u64) -> ! {
    let mut count = 0;
    loop {
        hcall::report(STEP, &[index, count]);
        count += 1;
    }
}

/// Vcpu 0: says which round it is, and reports when all others have seen it.
fn gather(vcpus: u64) -> ! {
    for round in 1.. {
        TURNS.store(round, Ordering::Release);
        for seen in &SEEN[1..vcpus as usize] {
            while seen.load(Ordering::Acquire) != round {
                spr::relax();
            }
        }
        hcall::report(STEP, &[0, round]);
    }
    done()
}

fn be_seen(index: u64) -> ! {
    loop {
        SEEN[index as usize].store(TURNS.load(Ordering::Acquire), Ordering::Release);
        spr::relax();
    }
}

fn ping_pong(index: u64, rounds: u64) -> ! {
    for round in 0..rounds {
        while TURNS.load(Ordering::Acquire) != 2 * round + index {
            hcall::cede();
        }
        TURNS.store(2 * round + index + 1, Ordering::Release);
        hcall::prod(1 - index);
    }
    done()
}

fn answers(index: u64) -> ! {
    let prod = hcall::prod(index);
    hcall::cede();
    let absent = hcall::prod(99);
    let anyone = hcall::confer(ANYONE, 0);
    let nobody = hcall::confer(99, 1);
    hcall::report(STEP, &[prod, absent, anyone, nobody]);
    done()
}

fn priority(index: u64) -> ! {
    // SAFETY: no code depends on it.
    unsafe { spr::write::<{ spr::PPR }>(PRIORITY_LOW) };
    hcall::prod(index);
    let after_prod = spr::read::<{ spr::PPR }>();
    hcall::cede();
    let after_cede = spr::read::<{ spr::PPR }>();
    hcall::confer(ANYONE, 0);
    let after_confer = spr::read::<{ spr::PPR }>();
    hcall::report(STEP, &[after_prod, after_cede, after_confer]);
    done()
}

fn prod_cede() -> u64 {
    let answer = hcall::prod(0);
    hcall::cede();
    answer
}

/// Makes the call that is `one`, `count` times between reports.
fn repeat(count: u64, one: fn() -> u64) -> ! {
    loop {
        for _ in 0..count {
            one();
        }
        hcall::report(STEP, &[]);
    }
}

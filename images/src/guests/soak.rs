//! Does everything that a guest may do, and some that it may not, in an order that is drawn from
//! its second argument. It reports how often it did, and finds out when something of its own has
//! changed (`images::behaviour::soak`).
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]
use images::behaviour::soak::*;
use images::guest_runtime::{Vcpu, hcall, interrupt, spr};
use images::random::Random;

images::guest!(soak);

fn soak(vcpu: Vcpu) -> ! {
    interrupt::stop_decrementer();
    let mut random = Random::new(vcpu.args[0] ^ vcpu.index << 32);
    let mut count = 0;
    mark(vcpu.index, count);
    loop {
        act(&vcpu, &mut random);
        check(vcpu.index, count);
        if random.below(4) == 0 {
            report(vcpu.index, count);
            count += 1;
            mark(vcpu.index, count);
        }
    }
}

fn act(vcpu: &Vcpu, random: &mut Random) {
    match random.below(16) {
        0 => hcall::cede(),
        1 => {
            // An interrupt, or the host, ends the nap.
            arm(random.below(LONGEST_NAP_TB));
            hcall::cede();
        }
        2 | 3 => drop(hcall::prod(random.below(vcpu.count))),
        4 => drop(hcall::confer(random.below(vcpu.count), 1)),
        5 => drop(hcall::call(NOBODYS_NUMBER, &[])),
        6 => wrong::instruction(),
        7 if vcpu.args[1] == HAS_NOWHERE => wrong::address(),
        _ => spin(random),
    }
}

/// Mostly for a short time, as others come and go.
fn spin(random: &mut Random) {
    let limit = 1 << random.below(12);
    for _ in 0..random.below(limit) {
        spr::relax();
    }
}

fn report(index: u64, count: u64) {
    let answer = hcall::report(STEP, &[index, count]);
    if answer != self::answer(index, count) {
        hcall::report(STEP_WRONG, &[WRONG_ANSWER, answer, count]);
    }
}

fn arm(ticks_tb: u64) {
    // SAFETY: the runtime takes the interrupt, and nothing else depends on the decrementer.
    unsafe { spr::write::<{ spr::DEC }>(ticks_tb) }
}

/// Registers that no code of this guest uses.
fn mark(index: u64, count: u64) {
    let value = answer(!index, count);
    // SAFETY: none of these is used by the compiler's code or by the guest's vectors.
    unsafe {
        spr::write::<{ spr::SPRG2 }>(value);
        spr::write::<{ spr::SPRG3 }>(!value);
    }
}

fn check(index: u64, count: u64) {
    let value = answer(!index, count);
    let found = [
        (spr::read::<{ spr::SPRG2 }>(), value),
        (spr::read::<{ spr::SPRG3 }>(), !value),
    ];
    for (register, (found, wanted)) in found.into_iter().enumerate() {
        if found != wanted {
            hcall::report(STEP_WRONG, &[register as u64, found, wanted]);
        }
    }
}

/// The host goes on behind these.
#[cfg(target_arch = "powerpc64")]
mod wrong {
    use core::arch::asm;

    pub fn instruction() {
        // SAFETY: never an instruction (Power ISA 2.07 Book I, appendix of reserved instructions).
        unsafe { asm!(".long 0") }
    }

    pub fn address() {
        // SAFETY: a machine check instead of a load.
        unsafe { asm!("ld {0}, 0({1})", out(reg) _, in(reg_nonzero) super::NOWHERE) }
    }
}

/// Where the images are only compiled, not run.
#[cfg(not(target_arch = "powerpc64"))]
mod wrong {
    pub fn instruction() {
        unreachable!("no POWER8")
    }
    pub fn address() {
        unreachable!("no POWER8")
    }
}

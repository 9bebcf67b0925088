//! Spins for ever with interrupts off: only a deadline or a kick gets it out.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]
use images::guest_runtime::{Vcpu, spr};

images::guest!(spin);

fn spin(_vcpu: Vcpu) -> ! {
    spr::set_interrupts(false);
    loop {
        spr::relax();
    }
}

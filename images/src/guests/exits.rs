//! Comes out of the guest, or into its own interrupt vectors, in the way that its argument names
//! (`images::behaviour::exits`).
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]
use images::behaviour::exits::*;
use images::guest_runtime::{Vcpu, hcall, spr};

images::guest!(exit);

fn exit(vcpu: Vcpu) -> ! {
    match vcpu.args[0] {
        HYPERCALL => {}
        UNKNOWN_HYPERCALL => drop(hcall::report(STEP, &[hcall::call(UNKNOWN_NUMBER, &[])])),
        SET_HV => drop(hcall::report(STEP, &[cause::msr_with_hv()])),
        RFID_TO_HV => drop(hcall::report(STEP, &[cause::rfid_to_hv()])),
        READ_DEC => drop(hcall::report(STEP, &[spr::read::<{ spr::DEC }>()])),
        SPIN => loop {
            spr::relax();
        },
        other => cause::exception(other),
    }
    loop {
        hcall::report(STEP, &[]);
    }
}

#[cfg(target_arch = "powerpc64")]
mod cause {
    use super::*;
    use core::arch::asm;

    const MSR_HV: u64 = 1 << (63 - 3);
    /// Where no guest of 256 MiB has memory.
    const OUTSIDE: u64 = 1 << 32;

    /// Does what `case` names; none of them is expected to go on.
    pub fn exception(case: u64) {
        // SAFETY: each instruction is one that the processor has to refuse; should it not, the
        // guest has harmed itself, and the step that follows tells the host.
        unsafe {
            match case {
                ILLEGAL => asm!(".long 0"),
                DATA_OUTSIDE => asm!("ld {0}, 0({1})", out(reg) _, in(reg_nonzero) OUTSIDE),
                FETCH_OUTSIDE => {
                    asm!("mtctr {}", "bctrl", in(reg) OUTSIDE, out("ctr") _, out("lr") _)
                }
                TRAP => asm!("trap"),
                HRFID => asm!("hrfid"),
                NAP => asm!("nap"),
                READ_HSPRG0 => drop(spr::read::<304>()),
                WRITE_LPCR => spr::write::<318>(0),
                WRITE_LPIDR => spr::write::<319>(0),
                WRITE_HDEC => spr::write::<310>(0x7fff_ffff),
                CACHE_INHIBITED_STORE => asm!("stbcix {0}, 0, {0}", in(reg) 0x8000u64),
                // msgsndp: type 5, thread 0.
                DOORBELL => asm!("mr 9, {}", ".long 0x7c00491c", in(reg) 5u64 << 27, out("r9") _),
                _ => {}
            }
        }
    }

    /// The MSR after an attempt to set HV.
    pub fn msr_with_hv() -> u64 {
        // SAFETY: HV doesn't change in a guest (Power ISA 2.07 Book III-S 4.4.2, mtmsrd).
        unsafe { asm!("mtmsrd {}, 0", in(reg) spr::msr() | MSR_HV) }
        spr::msr()
    }

    /// The same by an interrupt's way back.
    pub fn rfid_to_hv() -> u64 {
        // SAFETY: goes on behind the rfid with the same registers.
        unsafe {
            asm!(
                "bcl 20, 31, 2f", "2: mflr {pc}", "addi {pc}, {pc}, 3f - 2b", "mtsrr0 {pc}",
                "mtsrr1 {msr}", "rfid", "3:",
                pc = out(reg_nonzero) _, msr = in(reg) spr::msr() | MSR_HV, out("lr") _,
            );
        }
        spr::msr()
    }
}

/// Where the images are only compiled, not run.
#[cfg(not(target_arch = "powerpc64"))]
mod cause {
    pub fn exception(_case: u64) {
        unreachable!("no POWER8")
    }
    pub fn msr_with_hv() -> u64 {
        unreachable!("no POWER8")
    }
    pub fn rfid_to_hv() -> u64 {
        unreachable!("no POWER8")
    }
}

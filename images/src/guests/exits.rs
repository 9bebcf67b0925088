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
        ENTER_OUTSIDE => table::enter_outside(vcpu.args[1]),
        WORK_ON_TABLE => table::work(&vcpu),
        READ_ENTRY if table::enter(table::OWN, table::PLAIN) == 0 => {
            table::repeat(vcpu.args[1], || {
                let _ = table::read(table::OWN);
            })
        }
        ENTER_REMOVE => table::repeat(vcpu.args[1], || {
            table::enter(table::OWN, table::PLAIN | table::SIZE_64K);
            table::remove(table::OWN);
        }),
        FAULTS => table::repeat(vcpu.args[1], || cause::exception(DATA_OUTSIDE)),
        COUNT_OUTSIDE => cause::count_outside(vcpu.index),
        other => cause::exception(other),
    }
    loop {
        hcall::report(STEP, &[]);
    }
}

mod table {
    use super::*;
    use hcalls::papr::{H_ENTER, H_EXACT, H_PROTECT, H_READ, H_REMOVE, H_SUCCESS};

    /// Of the smallest table, and an entry in the middle of it where nothing is.
    const GROUPS: u64 = 2048;
    pub const OWN: u64 = 8 * 1000;
    /// The entry for address 2^32 of the virtual real mode area, in pages of 16 MiB.
    const OUTSIDE: u64 = 0x4001_ffff_ff01_0004;
    const OUTSIDE_GROUP: u64 = 0x7ff ^ 0x100;
    /// Some virtual page, of 16 MiB; memory as any other, at real 0.
    const PAGE: u64 = 1 << 62 | 0x77 << 24 | 4;
    pub const PLAIN: u64 = 0x192;
    /// LP of a page of 64 KiB.
    pub const SIZE_64K: u64 = 1 << 12;

    pub fn enter(index: u64, second: u64) -> u64 {
        hcall::call(H_ENTER, &[H_EXACT, index, PAGE, second])
    }

    pub fn remove(index: u64) -> u64 {
        hcall::call(H_REMOVE, &[0, index, 0])
    }

    pub fn read(index: u64) -> u64 {
        hcall::call(H_READ, &[0, index])
    }

    pub fn repeat(count: u64, one: fn()) -> ! {
        loop {
            for _ in 0..count {
                one();
            }
            hcall::report(STEP, &[]);
        }
    }

    pub fn enter_outside(second: u64) {
        let answer = hcall::call(H_ENTER, &[0, 8 * OUTSIDE_GROUP, OUTSIDE, second]);
        hcall::report(STEP, &[answer]);
        cause::exception(DATA_OUTSIDE);
    }

    /// All use one group, and each an entry of its own.
    pub fn work(vcpu: &Vcpu) {
        let own = 8 * 900 + vcpu.index;
        let mut wrong = 0;
        for round in 0..vcpu.args[1] {
            // Now and then memory that the guest hasn't, or not all of.
            let second = PLAIN | (round % 24) << 24;
            let expected = [
                enter(own, second) == H_SUCCESS,
                enter(own, second) != H_SUCCESS,
                read(own) == H_SUCCESS,
                hcall::call(H_PROTECT, &[round % 4, own, 0]) == H_SUCCESS,
                remove(own) == H_SUCCESS,
                remove(own) != H_SUCCESS,
                remove(8 * GROUPS) != H_SUCCESS,
            ];
            // In any place of a group that all use.
            while hcall::call(H_ENTER, &[0, 8 * 901, PAGE, second]) != H_SUCCESS {}
            wrong += expected.iter().filter(|good| !**good).count() as u64;
            // Somebody's: all are entered as often as removed.
            while (0..8).all(|at| remove(8 * 901 + at) != H_SUCCESS) {}
        }
        hcall::report(STEP, &[vcpu.index, wrong]);
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
                // r5 is the handler's, should it go on.
                DATA_OUTSIDE => {
                    asm!("ld {0}, 0({1})", out(reg) _, in(reg_nonzero) OUTSIDE, out("r5") _)
                }
                STORE_OUTSIDE => asm!("std {0}, 0({0})", in(reg_nonzero) OUTSIDE),
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

    /// Has the page there, and adds to one of its doublewords until it is gone.
    pub fn count_outside(index: u64) -> ! {
        loop {
            // SAFETY: the host has let the guest enter that page, in which nothing else is.
            unsafe {
                asm!("ld {1}, 0({0})", "addi {1}, {1}, 1", "std {1}, 0({0})",
                    in(reg_nonzero) OUTSIDE + 8 * index, out(reg_nonzero) _)
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
    pub fn count_outside(_index: u64) -> ! {
        unreachable!("no POWER8")
    }
    pub fn msr_with_hv() -> u64 {
        unreachable!("no POWER8")
    }
    pub fn rfid_to_hv() -> u64 {
        unreachable!("no POWER8")
    }
}

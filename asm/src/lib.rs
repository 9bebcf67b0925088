//! All of catnap's assembly, and the layouts it works on.
//!
//! Nothing here decides anything: each entry point saves what the machine would lose, puts the
//! stack and the TOC pointer in place and calls a Rust function that the firmware names. Register
//! contracts stand on each entry point. On the build host a simulated machine stands in its place (`sim`).
#![no_std]

pub mod area;
pub mod mitigations;
pub mod msr;
pub mod spr;
pub mod spr_numbers;

#[cfg(target_arch = "powerpc64")]
pub mod copy;
#[cfg(target_arch = "powerpc64")]
pub mod guest;
#[cfg(target_arch = "powerpc64")]
pub mod nap;
#[cfg(target_arch = "powerpc64")]
pub mod op;
#[cfg(target_arch = "powerpc64")]
pub mod opal;
#[cfg(target_arch = "powerpc64")]
mod reset;
#[cfg(target_arch = "powerpc64")]
mod vectors;

#[cfg(not(target_arch = "powerpc64"))]
pub mod sim;
#[cfg(not(target_arch = "powerpc64"))]
pub use sim::{guest, nap, op, opal};

/// Real address at which the image runs, and HRMOR while a core's threads are the firmware's.
pub const BASE: u64 = 0x3000_0000;
/// Effective addresses with this bit set reach real memory past HRMOR (Power ISA 2.07 Book III-S
/// 5.7.3.1).
pub const EA_REAL: u64 = ibm(0);

/// QEMU has interrupt presentation pages answer within 1 MiB for each chip, and has a thread's page
/// lie there at its PIR × 4 KiB: the pages of threads from this PIR on, those of the third chip and
/// further ones, end in a machine check.
pub const QEMU_UNREACHABLE_PIR: u32 = 0x100;

/// IBM bit `n` of a 64-bit register: 0 is the most significant.
pub const fn ibm(n: u32) -> u64 {
    1 << (63 - n)
}

/// IBM bits `first` to `last` of a 64-bit register.
pub const fn ibm_field(first: u32, last: u32) -> u64 {
    let len = last - first + 1;
    let ones = if len == 64 { u64::MAX } else { (1 << len) - 1 };
    ones << (63 - last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ibm_numbers_count_from_the_top() {
        assert_eq!(ibm(0), 1 << 63);
        assert_eq!(ibm(63), 1);
        assert_eq!(ibm_field(0, 63), u64::MAX);
        assert_eq!(ibm_field(60, 63), 0xf);
        assert_eq!(ibm_field(33, 36), 0x7800_0000);
    }
}

//! Hypercalls.
use hcalls::papr;

use crate::guest_calls::{H_DONE, H_REPORT};

/// `sc 1` with `number` in r3 and up to five arguments in r4–r8; what comes back in r3.
#[cfg(target_arch = "powerpc64")]
pub fn call(number: u64, args: &[u64]) -> u64 {
    let arg = |index: usize| args.get(index).copied().unwrap_or(0);
    let result;
    // SAFETY: the host keeps all registers but r3 (PAPR lets it use r4–r12, too) and reads memory
    // only where an argument tells it to. `sc 1` is written as a number since assemblers for this
    // processor want another spelling of it.
    unsafe {
        core::arch::asm!(
            ".long 0x44000022",
            inlateout("r3") number => result,
            inlateout("r4") arg(0) => _, inlateout("r5") arg(1) => _, inlateout("r6") arg(2) => _,
            inlateout("r7") arg(3) => _, inlateout("r8") arg(4) => _,
            out("r0") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
            out("ctr") _, out("xer") _, out("cr0") _, out("cr1") _, out("cr5") _, out("cr6") _,
            out("cr7") _,
        );
    }
    result
}

/// Where the images are only compiled, not run.
#[cfg(not(target_arch = "powerpc64"))]
pub fn call(_number: u64, _args: &[u64]) -> u64 {
    unreachable!("no POWER8")
}

/// Waits until there may be something new: another vcpu's [`prod`], an interrupt, or nothing.
/// MSR\[EE\] is on afterwards.
pub fn cede() {
    call(papr::H_CEDE, &[]);
}

/// Wakes vcpu `id`, or lets its next [`cede`] return at once.
pub fn prod(id: u64) -> u64 {
    call(papr::H_PROD, &[id])
}

/// Lets vcpu `id` go first, as long as it has the yield count that the caller has seen.
pub fn confer(id: u64, yield_count: u64) -> u64 {
    call(papr::H_CONFER, &[id, yield_count])
}

/// The vcpu's work is done: the host takes the digest and doesn't run the vcpu again.
pub fn done(digest: &[u8; crate::guest_calls::DIGEST_BYTES]) -> ! {
    loop {
        call(H_DONE, &[digest.as_ptr().expose_provenance() as u64]);
    }
}

/// Tells a step and up to four numbers.
pub fn report(step: u64, numbers: &[u64]) -> u64 {
    let number = |index: usize| numbers.get(index).copied().unwrap_or(0);
    call(
        H_REPORT,
        &[step, number(0), number(1), number(2), number(3)],
    )
}

//! Special-purpose registers: their numbers, and access to them.
pub use crate::spr_numbers::*;

/// Reads SPR `N`.
#[cfg(target_arch = "powerpc64")]
#[inline(always)]
pub fn read<const N: u16>() -> u64 {
    let value: u64;
    // SAFETY: reading any SPR named above changes nothing but the target register.
    unsafe {
        core::arch::asm!("mfspr {}, {}", out(reg) value, const N,
            options(nomem, nostack, preserves_flags))
    };
    value
}

/// Writes SPR `N`.
///
/// # Safety
/// The register may change how this or another thread runs; the caller knows that it doesn't break
/// what the firmware relies on.
#[cfg(target_arch = "powerpc64")]
#[inline(always)]
pub unsafe fn write<const N: u16>(value: u64) {
    // SAFETY: the caller's promise.
    unsafe { core::arch::asm!("mtspr {}, {}", const N, in(reg) value, options(nostack)) };
}

/// Reads SPR `N` of the simulated thread.
#[cfg(not(target_arch = "powerpc64"))]
#[must_use]
pub fn read<const N: u16>() -> u64 {
    crate::sim::read(N)
}

/// Writes SPR `N` of the simulated thread.
///
/// # Safety
/// As on the machine.
#[cfg(not(target_arch = "powerpc64"))]
pub unsafe fn write<const N: u16>(value: u64) {
    crate::sim::write(N, value);
}

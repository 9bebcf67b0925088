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

/// Stores SPRs `A` and `B` beside each other, `AT` bytes behind `base`.
///
/// # Safety
/// There is memory for both, aligned to 16 bytes.
#[cfg(target_arch = "powerpc64")]
#[inline(always)]
pub unsafe fn store_two<const A: u16, const B: u16, const AT: usize>(base: *mut u64) {
    const { assert!(AT.is_multiple_of(16)) }
    // SAFETY: the caller's promise; reading SPRs changes nothing.
    unsafe {
        core::arch::asm!("mfspr 10, {a}", "mfspr 11, {b}", "stq 10, {at}({base})",
            a = const A, b = const B, at = const AT, base = in(reg_nonzero) base,
            out("r10") _, out("r11") _, options(nostack, preserves_flags))
    };
}

/// Loads what [`store_two`] stores.
///
/// # Safety
/// As [`store_two`] and [`write`].
#[cfg(target_arch = "powerpc64")]
#[inline(always)]
pub unsafe fn load_two<const A: u16, const B: u16, const AT: usize>(base: *const u64) {
    const { assert!(AT.is_multiple_of(16)) }
    // SAFETY: the caller's promise.
    unsafe {
        core::arch::asm!("lq 10, {at}({base})", "mtspr {a}, 10", "mtspr {b}, 11",
            a = const A, b = const B, at = const AT, base = in(reg_nonzero) base,
            out("r10") _, out("r11") _, options(nostack, preserves_flags))
    };
}

/// Stores SPRs `A` and `B` of the simulated thread, as the machine does: big-endian.
///
/// # Safety
/// As on the machine.
#[cfg(not(target_arch = "powerpc64"))]
pub unsafe fn store_two<const A: u16, const B: u16, const AT: usize>(base: *mut u64) {
    let at = base.wrapping_byte_add(AT);
    // SAFETY: the caller's promise.
    unsafe {
        at.write(read::<A>().to_be());
        at.add(1).write(read::<B>().to_be());
    }
}

/// Loads what [`store_two`] stores.
///
/// # Safety
/// As on the machine.
#[cfg(not(target_arch = "powerpc64"))]
pub unsafe fn load_two<const A: u16, const B: u16, const AT: usize>(base: *const u64) {
    let at = base.wrapping_byte_add(AT);
    // SAFETY: the caller's promise.
    unsafe {
        write::<A>(u64::from_be(at.read()));
        write::<B>(u64::from_be(at.add(1).read()));
    }
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

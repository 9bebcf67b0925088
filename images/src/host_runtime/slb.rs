//! The segment lookaside buffer of a host's thread, which runs in real mode and uses none.

/// How many of its entries are valid.
#[cfg(target_arch = "powerpc64")]
pub fn valid_entries() -> u64 {
    const ENTRIES: u64 = 32;
    /// In an entry's first half (Power ISA 2.07 Book III-S 5.9.3.1).
    const VALID: u64 = 1 << (63 - 36);
    let is_valid = |index: &u64| {
        let entry: u64;
        // SAFETY: reads an entry.
        unsafe {
            core::arch::asm!("slbmfee {}, {}", out(reg) entry, in(reg) *index, options(nomem, nostack));
        }
        entry & VALID != 0
    };
    (0..ENTRIES).filter(is_valid).count() as u64
}

/// Where the images are only compiled, not run.
#[cfg(not(target_arch = "powerpc64"))]
pub fn valid_entries() -> u64 {
    unreachable!("no POWER8")
}

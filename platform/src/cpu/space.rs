//! Which memory the threads of a core reach: SDR1, RMOR and LPIDR.
//!
//! POWER8 has one of each for all threads of a core, so thread 0 alone switches them, while no
//! sibling is in a guest. QEMU has them per thread: there each sibling writes the same values once
//! more ([`AddressSpace::copy`]).
use asm::{op, spr};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The LPID that no partition has and the host hasn't: nothing is translated under it. The largest
/// that POWER8 can tell apart.
pub const RESERVED_LPID: u64 = 0x7ff;

/// Sets of the core's TLB, and where `tlbiel` takes a set's number (POWER8 User's Manual, "Translation
/// Lookaside Buffer").
const TLB_SETS: u64 = 512;
const SET_SHIFT: u32 = 12;
/// RB\[IS\] = 0b10: all entries of the LPID in LPIDR (Power ISA 2.07 Book III-S 5.9.3.3).
const IS_LPID: u64 = asm::ibm(52);
/// RB\[IS\] = 0b11: all entries.
const IS_ALL: u64 = asm::ibm_field(52, 53);

/// See [`has_copies`].
static COPIES: AtomicBool = AtomicBool::new(false);

/// Says whether each thread has these registers for itself.
pub fn set_copies(per_thread: bool) {
    COPIES.store(per_thread, Relaxed);
}

/// Each thread has these registers for itself: what one writes, its siblings don't see.
#[inline(always)]
#[must_use]
pub fn has_copies() -> bool {
    COPIES.load(Relaxed)
}

/// A host's memory, or a partition's.
#[derive(Clone, Copy, Debug, Default)]
pub struct AddressSpace {
    pub lpid: u64,
    pub rmor: u64,
    pub sdr1: u64,
}

impl AddressSpace {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            lpid: 0,
            rmor: 0,
            sdr1: 0,
        }
    }

    /// The present one.
    #[inline(always)]
    #[must_use]
    pub fn current() -> Self {
        Self {
            lpid: spr::read::<{ spr::LPIDR }>(),
            rmor: spr::read::<{ spr::RMOR }>(),
            sdr1: spr::read::<{ spr::SDR1 }>(),
        }
    }

    /// Switches the core, in the order that the machine wants (Power ISA 2.07 Book III-S,
    /// chapter 12): no translation is made by a table with another table's LPID.
    ///
    /// # Safety
    /// This is thread 0, in real mode; no sibling is in a guest, or executes for the host.
    #[inline(always)]
    pub unsafe fn switch(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            spr::write::<{ spr::LPIDR }>(RESERVED_LPID);
            op::ptesync();
            spr::write::<{ spr::SDR1 }>(self.sdr1);
            spr::write::<{ spr::RMOR }>(self.rmor);
            spr::write::<{ spr::LPIDR }>(self.lpid);
        }
        op::isync();
    }

    /// On a sibling, once thread 0 has switched the core: where a thread has the registers, and PCR,
    /// for itself, it gets the core's values.
    ///
    /// # Safety
    /// This thread is in real mode, and goes into a guest of this space.
    #[inline(always)]
    pub unsafe fn copy(&self) {
        if !has_copies() {
            return;
        }
        // SAFETY: the caller's promise. LPIDR comes last: QEMU forgets translations by it.
        unsafe {
            spr::write::<{ spr::PCR }>(0);
            spr::write::<{ spr::SDR1 }>(self.sdr1);
            spr::write::<{ spr::RMOR }>(self.rmor);
            spr::write::<{ spr::LPIDR }>(self.lpid);
        }
    }
}

/// Forgets what the core has translated for the LPID in LPIDR: by an earlier partition of that LPID,
/// perhaps, whose tables are gone.
#[inline(never)]
pub fn forget_translations() {
    forget(IS_LPID);
}

/// Forgets all that the core has translated, for whomever.
#[inline(never)]
pub fn forget_all_translations() {
    forget(IS_ALL);
}

fn forget(scope: u64) {
    op::ptesync();
    for set in 0..TLB_SETS {
        op::tlbiel(set << SET_SHIFT | scope);
    }
    op::ptesync();
    op::isync();
}

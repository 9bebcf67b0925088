//! The bits of a page table entry (Power ISA 2.07 Book III-S 5.7.7.1).
use asm::{ibm, ibm_field, op};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// The first doubleword: the segment's size.
pub const SEGMENT_SIZE: u64 = ibm_field(0, 1);
/// The page is larger than 4 KiB.
pub const LARGE: u64 = ibm(61);
/// The entry is in its secondary group.
pub const SECONDARY: u64 = ibm(62);
/// The hardware may use it.
pub const VALID: u64 = ibm(63);
/// Four bits of software's own.
pub const SOFTWARE: u64 = ibm_field(57, 60);
/// Of these, as Linux's hypervisor has them (`HPTE_V_ABSENT` of its `asm/book3s/64/mmu-hash.h`): the guest has
/// the entry, and the host what is missing for it to be valid.
pub const ABSENT: u64 = ibm(58);
/// And `HPTE_V_HVLOCK`: the host or the firmware is changing the entry. Meanwhile it may have neither of the
/// others, though the guest has it.
pub const LOCKED: u64 = ibm(57);

/// What of the first doubleword says which page it is for, and in which of its groups.
pub const IDENTITY: u64 = !(SOFTWARE | VALID);
/// The segment's size and the virtual page, as PAPR's H_AVPN compares them.
pub const AVPN: u64 = ibm_field(0, 56);

/// The second doubleword: the highest bit of the page's protection.
pub const PP0: u64 = ibm(0);
/// Not the hardware's. In the shadow, as Linux's hypervisor has it (`HPTE_GR_MODIFIED`): the entry has
/// changed since the host last looked.
pub const MODIFIED: u64 = ibm(1);
/// The real page's number, and parts of the page's size.
pub const REAL_PAGE: u64 = ibm_field(4, 51);
/// The storage key.
pub const KEY: u64 = ibm_field(2, 3) | ibm_field(52, 54);
pub const REFERENCED: u64 = ibm(55);
pub const CHANGED: u64 = ibm(56);
/// How the memory is accessed.
pub const WIMG: u64 = ibm_field(57, 60);
/// Of these: coherent, as all memory is.
pub const COHERENT: u64 = ibm(59);
/// And guarded, as a device is.
pub const GUARDED: u64 = ibm(60);
pub const NO_EXECUTE: u64 = ibm(61);
/// The lower bits of the page's protection.
pub const PP: u64 = ibm_field(62, 63);
/// What H_PROTECT sets.
pub const PROTECTION: u64 = PP0 | PP | NO_EXECUTE | KEY;

/// Whether this second doubleword lets anybody write (5.7.9.2).
#[inline(always)]
pub const fn is_writable(second: u64) -> bool {
    !matches!(
        (second & PP0 != 0, second & PP),
        (false, 3) | (true, 2) | (true, 3)
    )
}

#[inline(always)]
const fn is_free(first: u64) -> bool {
    first & (VALID | ABSENT | LOCKED) == 0
}

/// How often a lock is tried before the host is asked to do what the firmware can't.
const PATIENCE: u32 = 1 << 18;

/// An entry in the table, which hardware, host and firmware share: two big-endian doublewords.
#[repr(transparent)]
#[derive(Debug)]
pub struct Entry([AtomicU64; 2]);

impl Entry {
    #[inline(always)]
    pub fn first(&self) -> u64 {
        u64::from_be(self.0[0].load(Relaxed))
    }

    #[inline(always)]
    pub fn second(&self) -> u64 {
        u64::from_be(self.0[1].load(Relaxed))
    }

    /// Takes the lock if the first doubleword is still this one.
    #[inline(always)]
    pub(super) fn lock_as(&self, first: u64) -> bool {
        let [old, new] = [first.to_be(), (first | LOCKED).to_be()];
        self.0[0]
            .compare_exchange(old, new, Acquire, Relaxed)
            .is_ok()
    }

    /// Nobody has it, nor is about to.
    #[inline(always)]
    pub fn is_free(&self) -> bool {
        is_free(self.first())
    }

    /// The lock of an entry that nobody has; others are left.
    #[inline(always)]
    pub fn lock_free(&self) -> bool {
        let first = self.first();
        is_free(first) && self.lock_as(first)
    }

    /// Takes the lock; answers the first doubleword without it. None: somebody has it for too long.
    #[inline(always)]
    pub fn lock(&self) -> Option<u64> {
        for _ in 0..PATIENCE {
            let first = self.first();
            if first & LOCKED == 0 && self.lock_as(first) {
                return Some(first);
            }
            op::give_way();
        }
        None
    }

    /// Gives the lock back with this first doubleword, which everything written before is seen before.
    #[inline(always)]
    pub fn unlock(&self, first: u64) {
        self.0[0].store((first & !LOCKED).to_be(), Release);
    }

    /// The first doubleword of an entry whose lock is held, and stays so.
    #[inline(always)]
    pub fn set_first(&self, first: u64) {
        self.0[0].store((first | LOCKED).to_be(), Relaxed);
    }

    /// The second doubleword; the lock is held, and the hardware can't use the entry.
    #[inline(always)]
    pub fn set_second(&self, second: u64) {
        self.0[1].store(second.to_be(), Relaxed);
    }
}

//! The thread's segment lookaside buffer, and translations of guests' addresses. A host in real mode
//! uses neither itself.
use hcalls::page::SLB_ENTRIES;

/// The V bit of an SLB entry's part with the ESID.
pub const SLB_VALID: u64 = 1 << 27;

#[cfg(target_arch = "powerpc64")]
mod machine {
    use super::{SLB_ENTRIES, SLB_VALID};
    use core::arch::asm;

    /// Makes this thread's SLB hold these entries, ESID first, in their places, and no others.
    pub fn set_slb(entries: &[[u64; 2]; SLB_ENTRIES]) {
        // SAFETY: no entry is used. slbia leaves entry 0.
        unsafe {
            asm!("slbmte {0}, {0}", "slbia", "isync", in(reg) 0u64, options(nostack));
            for (index, [esid, vsid]) in entries.iter().enumerate() {
                let esid = *esid | index as u64;
                asm!("slbmte {}, {}", in(reg) *vsid, in(reg) esid, options(nostack));
            }
        }
    }

    /// Entry `index` of this thread's SLB, ESID first; zeros if it isn't valid.
    pub fn slb_entry(index: usize) -> [u64; 2] {
        let (esid, vsid): (u64, u64);
        // SAFETY: reads registers.
        unsafe {
            asm!(
                "slbmfee {}, {index}", "slbmfev {}, {index}",
                out(reg) esid, out(reg) vsid, index = in(reg) index, options(nostack)
            );
        }
        match esid & SLB_VALID {
            0 => [0, 0],
            _ => [esid, vsid],
        }
    }

    /// Every thread of the machine forgets the large page of `address` in partition `lpid` (Power
    /// ISA 2.07 Book III-S 5.9.3.3).
    pub fn forget_translation(address: u64, lpid: u32) {
        // SAFETY: translations are made anew from the page table.
        unsafe {
            asm!(
                "ptesync", "tlbie {}, {}", "eieio", "tlbsync", "ptesync",
                in(reg) address | 1, in(reg) lpid, options(nostack)
            );
        }
    }
}

/// Where the images are only compiled, not run.
#[cfg(not(target_arch = "powerpc64"))]
mod machine {
    pub fn set_slb(_entries: &[[u64; 2]; super::SLB_ENTRIES]) {
        unreachable!("no POWER8")
    }
    pub fn slb_entry(_index: usize) -> [u64; 2] {
        unreachable!("no POWER8")
    }
    pub fn forget_translation(_address: u64, _lpid: u32) {
        unreachable!("no POWER8")
    }
}

pub use machine::*;

//! A guest's segment lookaside buffer.
use asm::op::{clear_slb_entry_0, slb_gathered, slbmfee, slbmfev, slbmte};
use hcalls::VcpuPage;
use hcalls::page::SLB_ENTRIES;

/// RB\[V\] of `slbmte` and `slbmfee`: the entry is valid.
const VALID: u64 = asm::ibm(36);
/// RB\[index\] of the 32 entries.
const INDEX: u64 = asm::ibm_field(59, 63);
/// RB\[ESID\].
const ESID: u64 = asm::ibm_field(0, 35);

/// Whether there are such segments (Power ISA 2.07 Book III-S 5.7.6.1; POWER8 User's Manual, "Segment
/// Lookaside Buffer"): 256 MiB or 1 TiB, with pages of 4 KiB, 64 KiB, 16 MiB or 16 GiB. A machine may
/// take any other entry for an illegal instruction, here, in the firmware.
#[inline(always)]
fn exists(vsid: u64) -> bool {
    /// By L and LP: 0, 4, 5, 6.
    const PAGE_SIZES: u64 = 0b0111_0001;
    let page_size = vsid >> 6 & 4 | vsid >> 4 & 3;
    vsid >> 63 == 0 && PAGE_SIZES >> page_size & 1 != 0
}

/// Puts those of the page's entries that a machine can have into the SLB, which is empty but for entry 0: that one `slbia` leaves as
/// it is.
///
/// # Safety
/// The thread is in real mode, and `page` a vcpu page that is its own.
#[inline(always)]
pub unsafe fn load(page: *mut VcpuPage) {
    // SAFETY: the caller's promise.
    unsafe {
        clear_slb_entry_0();
        let count = ((*page).slb_count.get() as usize).min(SLB_ENTRIES);
        let slb = &(*page).slb;
        for entry in &slb[..count] {
            let esid = entry.esid.get() & (ESID | VALID | INDEX);
            let vsid = entry.vsid.get();
            if exists(vsid) {
                slbmte(vsid, esid);
            }
        }
    }
}

/// Overwrites every entry: an invalid one can still be read, in QEMU at least.
///
/// # Safety
/// The thread is in real mode.
pub unsafe fn clear() {
    for index in 0..SLB_ENTRIES as u64 {
        // SAFETY: the caller's promise; the entry is made invalid.
        unsafe { slbmte(0, index) };
    }
}

/// Entries that are looked at together: most groups have none that is valid.
const GROUP: usize = 8;

/// Whether any of the [`GROUP`] entries from `FIRST` on is valid.
#[inline(always)]
fn any_valid<const FIRST: usize>() -> bool {
    slb_gathered::<FIRST, GROUP>() & VALID != 0
}

/// Stores the SLB's valid entries.
///
/// # Safety
/// As [`load`].
pub unsafe fn save(page: *mut VcpuPage) {
    const { assert!(SLB_ENTRIES == 4 * GROUP) };
    // SAFETY: the caller's promise.
    unsafe {
        let mut count = 0;
        if any_valid::<0>() {
            count = save_group(page, 0, count);
        }
        if any_valid::<GROUP>() {
            count = save_group(page, GROUP, count);
        }
        if any_valid::<{ 2 * GROUP }>() {
            count = save_group(page, 2 * GROUP, count);
        }
        if any_valid::<{ 3 * GROUP }>() {
            count = save_group(page, 3 * GROUP, count);
        }
        (*page).slb_count.set(count as u64);
    }
}

/// Stores a group's valid entries from number `count` of the page's on; answers how many those are
/// then.
///
/// # Safety
/// As [`load`]; `count` entries of lower numbers are stored.
#[inline(always)]
unsafe fn save_group(page: *mut VcpuPage, first: usize, mut count: usize) -> usize {
    for index in first..first + GROUP {
        // SAFETY: the caller's promise; no more entries are stored than there are.
        unsafe {
            let esid = slbmfee(index as u64);
            if esid & VALID != 0 {
                let vsid = slbmfev(index as u64);
                let entry = (*page).slb.get_unchecked_mut(count);
                entry.esid.set(esid & (ESID | VALID) | index as u64);
                entry.vsid.set(vsid);
                count += 1;
            }
        }
    }
    count
}

/// A host's SLB, kept over a run.
#[derive(Debug)]
pub struct SavedSlb([(u64, u64); SLB_ENTRIES]);

impl Default for SavedSlb {
    fn default() -> Self {
        Self::new()
    }
}

impl SavedSlb {
    /// No entries.
    #[must_use]
    pub const fn new() -> Self {
        Self([(0, 0); SLB_ENTRIES])
    }

    /// Copies this thread's SLB.
    pub fn take(&mut self) {
        for (index, (esid, vsid)) in self.0.iter_mut().enumerate() {
            let index = index as u64;
            *esid = slbmfee(index) | index;
            *vsid = slbmfev(index);
        }
    }

    /// Puts the valid entries back; the SLB is empty before.
    pub fn put_back(&self) {
        for (esid, vsid) in self.0.iter().filter(|(esid, _)| esid & VALID != 0) {
            // SAFETY: the host's own entry, as it was; the thread is in real mode.
            unsafe { slbmte(*vsid, *esid) };
        }
        asm::op::isync();
    }
}

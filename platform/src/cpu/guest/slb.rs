//! A guest's segment lookaside buffer.
use asm::op::{clear_slb_entry_0, slb_gathered, slbmfee, slbmfev, slbmte};
use hcalls::VcpuPage;
use hcalls::page::{SLB_ENTRIES, SlbEntry};

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
    /// By L, C, a reserved bit and LP, of which L and LP say the page size: 0 and 0; 1 and 0, 1, 2.
    const PAGE_SIZES: u32 = 0x7777_1111;
    let kind = vsid >> 4 & 0x1f;
    (vsid as i64) >= 0 && PAGE_SIZES >> kind & 1 != 0
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
#[inline(always)]
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
#[inline(always)]
pub unsafe fn save(page: *mut VcpuPage) {
    const { assert!(SLB_ENTRIES == 4 * GROUP) };
    // SAFETY: the caller's promise.
    unsafe {
        let first = (&raw mut (*page).slb).cast::<SlbEntry>();
        let mut to = first;
        if any_valid::<0>() {
            to = save_group(to, 0);
        }
        if any_valid::<GROUP>() {
            to = save_group(to, GROUP);
        }
        if any_valid::<{ 2 * GROUP }>() {
            to = save_group(to, 2 * GROUP);
        }
        if any_valid::<{ 3 * GROUP }>() {
            to = save_group(to, 3 * GROUP);
        }
        (*page).slb_count.set(to.offset_from(first) as u64);
    }
}

/// Stores a group's valid entries from `to` on; answers where the next one goes.
///
/// # Safety
/// As [`load`]; `to` is in the page's list, with no more entries before it than those of lower numbers.
#[inline(always)]
unsafe fn save_group(mut to: *mut SlbEntry, first: usize) -> *mut SlbEntry {
    for index in first..first + GROUP {
        // SAFETY: the caller's promise; no more entries are stored than there are.
        unsafe {
            let esid = slbmfee(index as u64);
            if esid & VALID != 0 {
                (*to).esid.set(esid & (ESID | VALID) | index as u64);
                (*to).vsid.set(slbmfev(index as u64));
                to = to.add(1);
            }
        }
    }
    to
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

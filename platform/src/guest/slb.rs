//! A guest's segment lookaside buffer.
use core::arch::asm;
use hcalls::VcpuPage;
use hcalls::page::SLB_ENTRIES;

/// RB\[V\] of `slbmte` and `slbmfee`: the entry is valid.
const VALID: u64 = asm::ibm(36);
/// RB\[index\] of the 32 entries.
const INDEX: u64 = asm::ibm_field(59, 63);
/// RB\[ESID\].
const ESID: u64 = asm::ibm_field(0, 35);

/// Puts the page's entries into the SLB, which is empty.
///
/// # Safety
/// The thread is in real mode, and `page` a vcpu page that is its own.
#[inline(always)]
pub unsafe fn load(page: *mut VcpuPage) {
    // SAFETY: the caller's promise.
    unsafe {
        let count = ((*page).slb_count.get() as usize).min(SLB_ENTRIES);
        let slb = &(*page).slb;
        for entry in &slb[..count] {
            let esid = entry.esid.get() & (ESID | VALID | INDEX);
            asm!("slbmte {}, {}", in(reg) entry.vsid.get(), in(reg) esid, options(nostack));
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
        unsafe { asm!("slbmte {}, {}", in(reg) 0u64, in(reg) index, options(nostack)) };
    }
}

/// Whether any entry is valid; a guest in real mode mostly has none.
#[inline(always)]
pub fn any_valid() -> bool {
    let all: u64;
    // SAFETY: reads the SLB's entries; the bits of all are gathered in one register.
    unsafe {
        asm!(
            "li {all}, 0",
            ".set n, 0",
            ".rept {entries}",
            "li {index}, n",
            "slbmfee {index}, {index}",
            "or {all}, {all}, {index}",
            ".set n, n + 1",
            ".endr",
            all = out(reg) all,
            index = out(reg) _,
            entries = const SLB_ENTRIES,
            options(nostack),
        );
    }
    all & VALID != 0
}

/// Stores the SLB's valid entries.
///
/// # Safety
/// As [`load`].
pub unsafe fn save(page: *mut VcpuPage) {
    // SAFETY: the caller's promise.
    unsafe {
        let slb = &mut (*page).slb;
        let mut count = 0;
        for index in 0..SLB_ENTRIES {
            let esid: u64;
            asm!("slbmfee {}, {}", out(reg) esid, in(reg) index, options(nostack));
            if esid & VALID != 0 {
                let vsid: u64;
                asm!("slbmfev {}, {}", out(reg) vsid, in(reg) index, options(nostack));
                slb[count].esid.set(esid & (ESID | VALID) | index as u64);
                slb[count].vsid.set(vsid);
                count += 1;
            }
        }
        (*page).slb_count.set(count as u64);
    }
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
            // SAFETY: reads one entry.
            unsafe {
                asm!("slbmfee {}, {}", out(reg) *esid, in(reg) index, options(nostack));
                asm!("slbmfev {}, {}", out(reg) *vsid, in(reg) index, options(nostack));
            }
            *esid |= index as u64;
        }
    }

    /// Puts the valid entries back; the SLB is empty before.
    pub fn put_back(&self) {
        for (esid, vsid) in self.0.iter().filter(|(esid, _)| esid & VALID != 0) {
            // SAFETY: the host's own entry, as it was; the thread is in real mode.
            unsafe { asm!("slbmte {}, {}", in(reg) *vsid, in(reg) *esid, options(nostack)) };
        }
    }
}

//! Single instructions: barriers, hints, the time base, the thread's own area.
use crate::area::{ThreadArea, offset};
use core::arch::asm;
use core::sync::atomic::AtomicU64;

macro_rules! instruction {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        $($(#[$doc])* #[inline(always)] pub fn $name() {
            // SAFETY: orders or hints only; no register or memory changes.
            unsafe { asm!($text, options(nostack)) };
        })+
    };
}
instruction! {
    /// Full barrier, also for device memory.
    sync = "sync";
    /// Full barrier that page tables and translations wait for, too.
    ptesync = "ptesync";
    /// Orders ordinary loads and stores, but not stores before loads.
    lwsync = "lwsync";
    /// What follows is fetched and executed in the new context.
    isync = "isync";
    /// Forgets where branches went (`clrbhrb`).
    clear_branch_history = ".long 0x7c00035c";
    /// Stops this thread and tells the service processor, if HID0 allows it (POWER8 User's Manual,
    /// "Support Processor Attention").
    attn = ".long 0x00000200";
    /// Low priority, and a yield of the emulator's time slice: for loops that wait.
    relax = "or 1,1,1; or 27,27,27";
    /// Others may have this thread's resources for a moment, and an emulator's its time; the priority stays.
    give_way = "or 27,27,27";
    /// Back to medium priority after [`relax`].
    unrelax = "or 2,2,2";
}

/// The time base, in ticks of 512 MHz.
#[inline(always)]
pub fn time_tb() -> u64 {
    crate::spr::read::<{ crate::spr::TB }>()
}

/// This thread's area; r13 holds it all the time that the firmware runs.
#[inline(always)]
pub fn area() -> *mut ThreadArea {
    let area;
    // SAFETY: reads a register that every entry point has set.
    unsafe { asm!("mr {}, 13", out(reg) area, options(nomem, nostack, preserves_flags)) };
    area
}

/// Its record of this thread.
#[inline(always)]
#[must_use]
pub fn area_thread() -> u64 {
    let thread;
    // SAFETY: reads the area, which every entry point has set.
    unsafe {
        asm!("ld {}, {THREAD}(13)", out(reg) thread, THREAD = const offset::THREAD,
            options(nostack, readonly, preserves_flags))
    };
    thread
}

/// Makes `area` this thread's area, for itself (r13) and for its interrupts (HSPRG0).
///
/// # Safety
/// `area` must be filled in, and be this thread's alone from now on.
#[inline(always)]
pub unsafe fn set_area(area: *mut ThreadArea) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("mr 13, {0}", "mtspr {1}, {0}", in(reg) area, const crate::spr::HSPRG0, options(nostack))
    };
}

/// The MSR.
#[inline(always)]
pub fn msr() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mfmsr {}", out(reg) value, options(nostack)) };
    value
}

/// Turns facilities (FP, VEC, VSX, TM) on or off.
///
/// # Safety
/// `value` is the present MSR but for those bits.
#[inline(always)]
pub unsafe fn set_msr(value: u64) {
    // SAFETY: the caller's promise.
    unsafe { asm!("mtmsrd {}, 0", in(reg) value, options(nostack)) };
}

/// A hypervisor doorbell for thread 0 of this core: type 5 (Power ISA 2.07 Book III-S 11.2).
const DOORBELL_0: u64 = 5 << 27;

/// Rings thread 0's hypervisor doorbell, which ends its nap or interrupts its guest; all earlier
/// stores are seen before it.
#[inline(always)]
pub fn ring_thread_0() {
    // SAFETY: changes no register; written as a number since the assembler wants a newer processor.
    unsafe { asm!("sync", ".long 0x7c00499c", in("r9") DOORBELL_0, options(nostack)) };
}

/// Forgets that this thread's, thread 0's, hypervisor doorbell was rung (`msgclr`).
#[inline(always)]
pub fn silence_thread_0() {
    // SAFETY: as `ring_thread_0`.
    unsafe { asm!(".long 0x7c0049dc", in("r9") DOORBELL_0, options(nostack)) };
}

/// Forgets translations of this core, as `rb` says (`tlbiel`). Done after [`ptesync`].
#[inline(always)]
pub fn tlbiel(rb: u64) {
    // SAFETY: what is forgotten is translated anew; written as a number since newer processors have
    // further operands.
    unsafe { asm!(".long 0x7c004a24", in("r9") rb, options(nostack)) };
}

/// A doubleword of somebody who is little-endian.
#[inline(always)]
#[must_use]
pub fn load_little(word: &AtomicU64) -> u64 {
    let value;
    // SAFETY: a load, which is one access as an atomic one's is.
    unsafe {
        asm!("ldbrx {}, 0, {}", out(reg) value, in(reg_nonzero) word.as_ptr(),
            options(nostack, readonly, preserves_flags))
    };
    value
}

/// As [`load_little`], written.
#[inline(always)]
pub fn store_little(word: &AtomicU64, value: u64) {
    // SAFETY: a store, which is one access as an atomic one's is.
    unsafe {
        asm!("stdbrx {}, 0, {}", in(reg) value, in(reg_nonzero) word.as_ptr(),
            options(nostack, preserves_flags))
    };
}

/// Forgets a translation of partition `lpid` on all cores, as `rb` says, and waits until nobody uses it any
/// more: what the hardware has noted in its entry is in memory then. Several threads may do this at once
/// (Power ISA 2.07 Book III-S 5.9.3.3, 5.10.1).
#[inline(always)]
pub fn tlbie(rb: u64, lpid: u64) {
    // SAFETY: what is forgotten is translated anew; written as a number since newer processors have
    // further operands.
    unsafe {
        asm!("ptesync", ".long 0x7d404a64", "eieio", "tlbsync", "ptesync",
            in("r9") rb, in("r10") lpid, options(nostack))
    };
}

/// Forgets this thread's SLB and the translations derived from it, and HRMOR's old value.
///
/// # Safety
/// The thread runs in real mode and needs no SLB entry.
#[inline(always)]
pub unsafe fn slbia() {
    // SAFETY: the caller's promise. Entry 0, which slbia leaves, is made invalid by hand.
    unsafe { asm!("slbmte {0}, {0}", "slbia", "isync", in(reg) 0u64, options(nostack)) };
}

/// Writes an SLB entry.
///
/// # Safety
/// The thread runs in real mode.
#[inline(always)]
pub unsafe fn slbmte(vsid: u64, esid: u64) {
    // SAFETY: the caller's promise.
    unsafe { asm!("slbmte {}, {}", in(reg) vsid, in(reg) esid, options(nostack)) };
}

/// Makes SLB entry 0 invalid, which `slbia` leaves.
///
/// # Safety
/// As [`slbmte`].
#[inline(always)]
pub unsafe fn clear_slb_entry_0() {
    // SAFETY: the caller's promise.
    unsafe { asm!("slbmte {0}, {0}", in(reg) 0u64, options(nostack)) };
}

/// The ESID, and the valid bit, of SLB entry `index`.
#[inline(always)]
pub fn slbmfee(index: u64) -> u64 {
    let esid;
    // SAFETY: reads one entry.
    unsafe { asm!("slbmfee {}, {}", out(reg) esid, in(reg) index, options(nostack)) };
    esid
}

/// The VSID of SLB entry `index`.
#[inline(always)]
pub fn slbmfev(index: u64) -> u64 {
    let vsid;
    // SAFETY: reads one entry.
    unsafe { asm!("slbmfev {}, {}", out(reg) vsid, in(reg) index, options(nostack)) };
    vsid
}

/// The VSID, as [`slbmfev`] reads it, of the valid SLB entry for effective `address`; 0: there is none.
#[inline(always)]
pub fn slbfee(address: u64) -> u64 {
    let vsid;
    // SAFETY: looks one entry up.
    unsafe {
        asm!("slbfee. {}, {}", out(reg) vsid, in(reg) address, out("cr0") _, options(nostack))
    };
    vsid
}

/// The bits that [`slbmfee`] reads of any of `LEN` SLB entries from `FIRST` on.
#[inline(always)]
pub fn slb_gathered<const FIRST: usize, const LEN: usize>() -> u64 {
    let all: u64;
    // SAFETY: reads the SLB's entries; the bits of all are gathered in one register.
    unsafe {
        asm!(
            "li {all}, {first}",
            "slbmfee {all}, {all}",
            ".set n, {first} + 1",
            ".rept {len} - 1",
            "li {index}, n",
            "slbmfee {index}, {index}",
            "or {all}, {all}, {index}",
            ".set n, n + 1",
            ".endr",
            all = out(reg) all,
            index = out(reg) _,
            first = const FIRST,
            len = const LEN,
            options(nostack),
        );
    }
    all
}

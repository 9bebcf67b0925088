//! Nap: how a thread waits at no cost.
use crate::area::offset as a;
use crate::spr;
use core::arch::global_asm;

unsafe extern "C" {
    /// Naps until an event that LPCR\[PECE\] lets through; returns SRR1, whose bits 42:45 name it
    /// (Power ISA 2.07 Book III-S 6.5.1).
    ///
    /// Out: r3 = SRR1. As a C function it keeps r1, r2, r13–r31, CR2–CR4 and LR.
    ///
    /// # Safety
    /// HRMOR is `BASE` and HILE is off from the nap to the wake-up.
    pub fn nap() -> u64;

    /// Naps with nothing to come back to: the thread wakes in its area's `woken` function, on an
    /// empty stack.
    ///
    /// # Safety
    /// As for [`nap`]; nothing on the present stack is needed any more.
    pub fn nap_for_good() -> !;

    /// Where LR points to in that nap: a system reset that comes while a host has the core wakes the
    /// thread in the host's vectors, since HRMOR is the core's. A host sends a thread back by LR that
    /// has lost nothing (SRR1\[46:47\] = 1), as Linux does with its own. Naps again.
    ///
    /// In: HSPRG0 = the thread's area; hypervisor real mode in either byte order. The host may have
    /// used all other registers but LR, and the area's first part and stack, which nobody needs then.
    ///
    /// # Safety
    /// Not to be called.
    pub fn renap() -> !;
}

/// An instruction as a thread in little-endian mode has to find it.
const fn swapped(instruction: u32) -> u32 {
    instruction.swap_bytes()
}

global_asm!(
    ".section .text.nap, \"ax\"",
    ".globl nap",
    ".type nap, @function",
    "nap:",
    "    mflr 0",
    "    std 0, 16(1)",
    "    mfcr 0",
    "    stw 0, 8(1)",
    "    stdu 1, -192(1)",
    ".irp n, 14,16,18,20,22,24,26,28,30",
    "    stq \\n, 8*\\n-64(1)",
    ".endr",
    // What was written to LPCR must be in effect in the nap.
    "    isync",
    "    std 1, {NAP_SP}(13)",
    // Stores must be seen before the thread sleeps: the order that the ISA asks for (3.3.2).
    "    ptesync",
    "    ld 0, {NAP_SP}(13)",
    "1:  cmpd 0, 0",
    "    bne 1b",
    "    nap",
    "    b .",
    //
    // From 0x100: r1 = NAP_SP, r3 = SRR1, r13 = area.
    ".globl nap_return",
    "nap_return:",
    "    ld 2, {TOC}(13)",
    "    li 0, 0",
    "    std 0, {NAP_SP}(13)",
    ".irp n, 14,16,18,20,22,24,26,28,30",
    "    lq \\n, 8*\\n-64(1)",
    ".endr",
    "    addi 1, 1, 192",
    "    ld 0, 16(1)",
    "    mtlr 0",
    "    lwz 0, 8(1)",
    "    mtcrf 0x38, 0",
    "    blr",
    ".size nap, . - nap",
    ".globl nap_for_good",
    ".type nap_for_good, @function",
    "nap_for_good:",
    "    ld 3, {RENAP}(13)",
    "    mtlr 3",
    // As above. NAP_SP is 0 but inside `nap`.
    "1:  isync",
    "    ptesync",
    "    ld 0, {NAP_SP}(13)",
    "2:  cmpd 0, 0",
    "    bne 2b",
    "    nap",
    "    b .",
    ".globl renap",
    "renap:",
    // Read in the other byte order this is a branch over the next instruction.
    "    tdi 0, 0, 0x48",
    "    b 3f",
    "    .long {MFLR_4}, {ADDI_4_4_36}, {MTHSRR0_4}, {MFMSR_5}, {XORI_5_5_1}, {MTHSRR1_5}, {HRFID}",
    // 36 bytes from `renap`. The host has used some of what a guest may have left in this thread. And
    // this thread has translated addresses by the host's HRMOR: that is forgotten, or it would wake in the
    // host's vectors again when it is called.
    "3:  mfspr 13, {SPR_HSPRG0}",
    "    li 0, 0",
    "    std 0, {HOLDS}(13)",
    "    slbmte 0, 0",
    "    slbia",
    "    b 1b",
    ".size nap_for_good, . - nap_for_good",
    NAP_SP = const a::NAP_SP,
    TOC = const a::TOC,
    RENAP = const a::RENAP,
    HOLDS = const a::HOLDS,
    MFLR_4 = const swapped(0x7c88_02a6),
    ADDI_4_4_36 = const swapped(0x3884_0024),
    MTHSRR0_4 = const swapped(0x7c9a_4ba6),
    MFMSR_5 = const swapped(0x7ca0_00a6),
    XORI_5_5_1 = const swapped(0x68a5_0001),
    MTHSRR1_5 = const swapped(0x7cbb_4ba6),
    HRFID = const swapped(0x4c00_0224),
    SPR_HSPRG0 = const spr::HSPRG0,
);

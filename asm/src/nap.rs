//! Nap: how a thread waits at no cost.
use crate::area::offset as a;
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
    ".irp n, 14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "    std \\n, 8*\\n-64(1)",
    ".endr",
    "    std 1, {NAP_SP}(13)",
    // Stores must be seen before the thread sleeps: the order that the ISA asks for (3.3.2).
    "    ptesync",
    "    ld 0, {NAP_SP}(13)",
    "1:  cmpd 0, 0",
    "    bne 1b",
    "    nap",
    "    b .",
    //
    // From 0x100: r1 = NAP_SP, r2 = TOC, r3 = SRR1, r13 = area.
    ".globl nap_return",
    "nap_return:",
    "    li 0, 0",
    "    std 0, {NAP_SP}(13)",
    ".irp n, 14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "    ld \\n, 8*\\n-64(1)",
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
    // NAP_SP is 0 but inside `nap`.
    "    ptesync",
    "    ld 0, {NAP_SP}(13)",
    "1:  cmpd 0, 0",
    "    bne 1b",
    "    nap",
    "    b .",
    ".size nap_for_good, . - nap_for_good",
    NAP_SP = const a::NAP_SP,
);

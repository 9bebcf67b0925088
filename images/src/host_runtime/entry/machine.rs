//! The entries, the call into OPAL, and safe ways to what the vectors keep.
use super::{CallRegisters, FOUND_LEN, VECTORS_BYTES};
use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

unsafe extern "C" {
    /// Branches to OPAL with the token in r0, OPAL's base in r2 and arguments in r3–r10.
    ///
    /// OPAL keeps r1, r2, r13–r31 and CR2–CR4 as the ABI asks of any function; CTR, XER, r0
    /// and r3–r12 are lost either way.
    pub fn opal_call(registers: *mut CallRegisters);
    /// Calls OPAL's `entry` with a token alone, in little-endian mode; r3 afterwards.
    pub fn opal_call_little(token: u64, entry: u64) -> i64;
    /// Naps. On waking: the vector that it woke in, and SRR1. One thread at a time.
    fn host_nap(woke: *mut [u64; 2]);
    /// Where another core's thread comes in, with its PIR in r3.
    fn host_secondary_start();
    static host_vectors: [u8; VECTORS_BYTES];
    static host_resets: AtomicU64;
    static host_first_found: [AtomicU64; FOUND_LEN];
    static host_secondary_found: [AtomicU64; FOUND_LEN];
}

/// What the host's first thread has found in the registers of [`super::FOUND`], and in the MSR.
pub fn first_found() -> [u64; FOUND_LEN] {
    // SAFETY: the entry has filled it, and nobody writes it any more.
    unsafe { host_first_found.each_ref().map(|word| word.load(Relaxed)) }
}

/// The same of the thread that was started last.
pub fn secondary_found() -> [u64; FOUND_LEN] {
    // SAFETY: written by a thread that starts, as a whole doubleword each.
    unsafe {
        host_secondary_found
            .each_ref()
            .map(|word| word.load(Relaxed))
    }
}

/// From now on system resets don't end the host.
pub fn expect_resets() {
    // SAFETY: a doubleword that this function, the next one and the vector use, all of them atomically.
    unsafe { host_resets.store(1, Relaxed) }
}

/// System resets that threads of the host's have taken, since they are expected.
pub fn resets() -> u64 {
    // SAFETY: as above.
    unsafe { host_resets.load(Relaxed).saturating_sub(1) }
}

/// Real address of the entry for START_CPU.
pub fn secondary_entry() -> u64 {
    host_secondary_start as *const () as u64
}

/// Naps until the decrementer expires or an interrupt is presented, whichever LPCR, which is as
/// the firmware has left it, allows. The vector in which the thread woke, and SRR1 there. For one
/// thread at a time.
pub fn nap() -> [u64; 2] {
    let mut woke = [0; 2];
    // SAFETY: interrupts are off, so that the vectors are entered by the wake-up alone, which
    // finds this stack as it was.
    unsafe { host_nap(&raw mut woke) };
    woke
}

/// Puts the vectors in place, so that an interrupt which nobody expects is told of.
pub fn install_vectors() {
    // The host needs none of what was in the first page. Vectors begin at 0x100.
    let place = core::ptr::with_exposed_provenance_mut::<u8>(0x100);
    // SAFETY: the page is the host's own (its HRMOR is 0), and nothing else of it lies there.
    // Only one thread runs. dcbst/icbi: the instructions are fetched from memory afterwards.
    unsafe {
        let vectors = (&raw const host_vectors).cast::<u8>();
        core::ptr::copy_nonoverlapping(vectors.add(0x100), place, VECTORS_BYTES - 0x100);
        for line in (0..VECTORS_BYTES).step_by(128) {
            core::arch::asm!("dcbst 0, {0}", "sync", "icbi 0, {0}", in(reg) line);
        }
        core::arch::asm!("sync", "isync");
    }
}

global_asm!(
    // r3 = device tree, r8 = OPAL's base, r9 = its entry; hypervisor real mode.
    ".section .text.host_start, \"ax\"",
    ".globl host_start",
    ".type host_start, @function",
    "host_start:",
    // What the thread finds: the registers of `FOUND`, then the MSR.
    ".macro found place",
    "    lis 11, \\place@h",
    "    ori 11, 11, \\place@l",
    "    .set at, 0",
    "    .irp n, 318,313,319,338,190,22,310,188,187,795,349,896,136,337,176,304,272,273,274,275,153,17,815,48,157,29,61,256,26,27,19,18,1,336",
    "    mfspr 10, \\n",
    "    std 10, at(11)",
    "    .set at, at + 8",
    "    .endr",
    "    mfmsr 10",
    "    std 10, at(11)",
    ".endm",
    "    found host_first_found",
    "    mfspr 6, 268",
    "    lis 2, .TOC.@ha",
    "    addi 2, 2, .TOC.@l",
    "    lis 10, __bss_start@ha",
    "    addi 10, 10, __bss_start@l",
    "    lis 11, __bss_end@ha",
    "    addi 11, 11, __bss_end@l",
    "1:  cmpld 10, 11",
    "    bge 2f",
    "    dcbz 0, 10",
    "    addi 10, 10, 128",
    "    b 1b",
    "2:  lis 1, host_boot_stack_top@ha",
    "    addi 1, 1, host_boot_stack_top@l",
    "    li 0, 0",
    "    stdu 0, -32(1)",
    "    mr 4, 8",
    "    mr 5, 9",
    "    bl host_main",
    "    nop",
    "    trap",
    ".size host_start, . - host_start",
    // r3 = PIR; the thread that started this one has left a stack.
    ".globl host_secondary_start",
    ".type host_secondary_start, @function",
    "host_secondary_start:",
    "    found host_secondary_found",
    ".purgem found",
    "    lis 2, .TOC.@ha",
    "    addi 2, 2, .TOC.@l",
    "    lis 1, host_secondary_stack_top@ha",
    "    ld 1, host_secondary_stack_top@l(1)",
    "    li 0, 0",
    "    stdu 0, -32(1)",
    "    bl host_secondary_main",
    "    nop",
    "    trap",
    ".size host_secondary_start, . - host_secondary_start",
    // r3 = CallRegisters, kept in r31 through the call.
    ".section .text.opal_call, \"ax\"",
    ".globl opal_call",
    ".type opal_call, @function",
    "opal_call:",
    "    mflr 0",
    "    std 0, 16(1)",
    "    mfcr 0",
    "    stw 0, 8(1)",
    "    stdu 1, -48(1)",
    "    std 2, 24(1)",
    "    std 31, 40(1)",
    "    mr 31, 3",
    "    ld 0, 64(31)",
    "    ld 2, 72(31)",
    "    ld 12, 80(31)",
    "    mtctr 12",
    "    ld 4, 8(31)",
    "    ld 5, 16(31)",
    "    ld 6, 24(31)",
    "    ld 7, 32(31)",
    "    ld 8, 40(31)",
    "    ld 9, 48(31)",
    "    ld 10, 56(31)",
    "    ld 3, 0(31)",
    "    bctrl",
    "    std 3, 0(31)",
    "    std 4, 8(31)",
    "    std 5, 16(31)",
    "    std 6, 24(31)",
    "    std 7, 32(31)",
    "    std 8, 40(31)",
    "    std 9, 48(31)",
    "    ld 31, 40(1)",
    "    ld 2, 24(1)",
    "    addi 1, 1, 48",
    "    lwz 0, 8(1)",
    "    mtcrf 0x38, 0",
    "    ld 0, 16(1)",
    "    mtlr 0",
    "    blr",
    ".size opal_call, . - opal_call",
    // r7 and r8 lead back: the MSR, and where to go on.
    ".globl opal_call_little",
    ".type opal_call_little, @function",
    "opal_call_little:",
    "    mflr 10",
    "    mr 0, 3",
    "    mtctr 4",
    "    bcl 20, 31, 2f",
    "2:  mflr 5",
    "    addi 6, 5, 3f - 2b",
    "    addi 8, 5, 4f - 2b",
    "    mfmsr 7",
    "    xori 5, 7, 1",
    "    mtsrr0 6",
    "    mtsrr1 5",
    "    rfid",
    // Byte by byte: `bctrl; mtsrr0 r8; mtsrr1 r7; rfid`.
    "3:  .long 0x2104804e, 0xa6031a7d, 0xa603fb7c, 0x2400004c",
    "4:  mtlr 10",
    "    blr",
    ".size opal_call_little, . - opal_call_little",
);

//! `memcpy` and `memcmp` as compiled code calls them, for big-endian mode.
//!
//! They stand for those of `compiler_builtins`, which take twice as long and more
//! ([decision 32](../../docs/decisions/0032-copies-in-assembly.md)). Both load and store doublewords at any
//! address, which POWER8 does by itself in memory that is cached (POWER8 User's Manual 10.1.4): neither is
//! for devices.
use core::arch::global_asm;

unsafe extern "C" {
    /// Copies r5 bytes from r4 to r3; r3 stays. Uses r0, r5–r11, CR0, CR6, CR7 and CTR.
    ///
    /// # Safety
    /// As for C's: both ranges are there, and don't overlap.
    pub fn memcpy(to: *mut u8, from: *const u8, len_bytes: usize) -> *mut u8;

    /// Compares r5 bytes at r3 and r4: r3 is less than, equal to or greater than 0 as the first bytes that
    /// differ are. Uses r0, r4–r9, CR0, CR7 and CTR.
    ///
    /// # Safety
    /// As for C's: both ranges are there.
    pub fn memcmp(one: *const u8, other: *const u8, len_bytes: usize) -> i32;
}

global_asm!(
    ".section .text.memcpy, \"ax\"",
    ".balign 32",
    ".globl memcpy",
    ".type memcpy, @function",
    "memcpy:",
    "    mr 11, 3",
    "    srdi. 0, 5, 5",
    // CR6 and CR7 have the length's last eight bits, CR7 the last four.
    "    mtocrf 0x02, 5",
    "    mtocrf 0x01, 5",
    "    beq 2f",
    "    mtctr 0",
    "1:  ld 6, 0(4)",
    "    ld 7, 8(4)",
    "    ld 8, 16(4)",
    "    ld 9, 24(4)",
    "    addi 4, 4, 32",
    "    std 6, 0(11)",
    "    std 7, 8(11)",
    "    std 8, 16(11)",
    "    std 9, 24(11)",
    "    addi 11, 11, 32",
    "    bdnz 1b",
    "2:  bf 27, 3f",
    "    ld 6, 0(4)",
    "    ld 7, 8(4)",
    "    addi 4, 4, 16",
    "    std 6, 0(11)",
    "    std 7, 8(11)",
    "    addi 11, 11, 16",
    "3:  bf 28, 4f",
    "    ld 6, 0(4)",
    "    addi 4, 4, 8",
    "    std 6, 0(11)",
    "    addi 11, 11, 8",
    "4:  bf 29, 5f",
    "    lwz 6, 0(4)",
    "    addi 4, 4, 4",
    "    stw 6, 0(11)",
    "    addi 11, 11, 4",
    "5:  bf 30, 6f",
    "    lhz 6, 0(4)",
    "    addi 4, 4, 2",
    "    sth 6, 0(11)",
    "    addi 11, 11, 2",
    "6:  bflr 31",
    "    lbz 6, 0(4)",
    "    stb 6, 0(11)",
    "    blr",
    ".size memcpy, . - memcpy",
);

global_asm!(
    ".section .text.memcmp, \"ax\"",
    ".balign 32",
    ".globl memcmp",
    ".type memcmp, @function",
    "memcmp:",
    "    srdi. 0, 5, 3",
    "    mtocrf 0x01, 5",
    "    beq 2f",
    "    mtctr 0",
    "1:  ld 6, 0(3)",
    "    ld 7, 0(4)",
    "    cmpld 6, 7",
    "    bne 9f",
    "    addi 3, 3, 8",
    "    addi 4, 4, 8",
    "    bdnz 1b",
    "2:  bf 29, 3f",
    "    lwz 6, 0(3)",
    "    lwz 7, 0(4)",
    "    cmpld 6, 7",
    "    bne 9f",
    "    addi 3, 3, 4",
    "    addi 4, 4, 4",
    "3:  bf 30, 4f",
    "    lhz 6, 0(3)",
    "    lhz 7, 0(4)",
    "    cmpld 6, 7",
    "    bne 9f",
    "    addi 3, 3, 2",
    "    addi 4, 4, 2",
    "4:  bf 31, 5f",
    "    lbz 6, 0(3)",
    "    lbz 7, 0(4)",
    "    cmpld 6, 7",
    "    bne 9f",
    "5:  li 3, 0",
    "    blr",
    // The first byte is the most significant, so that numbers compare as bytes do.
    "9:  li 3, 1",
    "    bgtlr",
    "    li 3, -1",
    "    blr",
    ".size memcmp, . - memcmp",
);

//! Into a guest and out again: the general registers, and the jump.
//!
//! Everything else of the guest's (SPRs, SLB, floating point) is loaded and stored around this by
//! `platform::cpu::guest`.
use crate::area::{LAST_TABLE_HYPERCALL, offset as a};
use crate::spr;
use core::arch::global_asm;

/// Hypercalls that may be served without leaving the guest have numbers from here to there.
pub const FIRST_HYPERCALL: u64 = 0xe0;
pub const LAST_HYPERCALL: u64 = 0xe8;
/// So may those on the guest's page table; of these one has its number here.
pub const BULK_HYPERCALL: u64 = 0x124;
/// The vectors of a guest's page faults, which may be served so, too (Power ISA 2.07 Book III-S 6.5).
pub const DATA_STORAGE: u64 = 0xe00;
pub const INSTRUCTION_STORAGE: u64 = 0xe20;

unsafe extern "C" {
    /// Runs the guest whose registers are in `page`. There is no return: when an interrupt that the
    /// firmware doesn't serve itself ends it, the thread goes on in its area's `left` function, at
    /// its area's `guest_sp`, with r3 = vector and r4 = page.
    ///
    /// In: r3 = vcpu page, r13 = thread area. SRR0 and SRR1 are the guest's. Its MSR is the page's,
    /// but never with what [`crate::msr::GUEST`] forbids.
    ///
    /// # Safety
    /// HRMOR is `BASE`; the partition's registers (LPCR, LPIDR, RMOR or SDR1) are set so that the
    /// guest reaches its own memory alone; `page` is the vcpu's own; nothing on the present stack is
    /// needed any more.
    pub fn guest_enter(page: *mut u8) -> !;
}

global_asm!(
    ".section .text.guest_enter, \"ax\"",
    ".globl guest_enter",
    ".type guest_enter, @function",
    "guest_enter:",
    // Two registers at a time, as everywhere below: `lq` and `stq` move an even one and the next, from or to
    // 16 bytes that are aligned.
    ".irp n, 14,16,18,20,22,24,26,28,30",
    "    lq \\n, {GPR}+8*\\n(3)",
    ".endr",
    //
    // r3 = page; r14–r31 are the guest's already. `mitigations` may change the first instruction
    // here, at guest_called and at guest_left.
    ".globl guest_resume",
    "guest_resume:",
    "    std 3, {PAGE}(13)",
    "    lq 4, {PC}(3)",
    "    mtspr {SPR_HSRR0}, 4",
    // CFAR names the firmware's last branch; hrfid doesn't change it.
    "    mtspr {SPR_CFAR}, 4",
    // A reservation of the firmware's, as a failed compare-and-swap leaves one, would let the guest's next
    // conditional store succeed. The area's first doubleword is scratch.
    "    stdcx. 4, 0, 13",
    "    ld 4, {GUEST_MSR}(13)",
    "    and 5, 5, 4",
    "    ori 5, 5, {ME}",
    "    mtspr {SPR_HSRR1}, 5",
    "    lq 4, {CR}(3)",
    "    lq 6, {CTR}(3)",
    "    mtlr 5",
    "    mtctr 6",
    "    mtspr {SPR_XER}, 7",
    "    mtcrf 0xff, 4",
    "    lq 0, {GPR}+0(3)",
    "    lq 4, {GPR}+32(3)",
    "    lq 6, {GPR}+48(3)",
    "    lq 8, {GPR}+64(3)",
    "    lq 10, {GPR}+80(3)",
    "    lq 12, {GPR}+96(3)",
    "    lq 2, {GPR}+16(3)",
    "    hrfid",
    //
    // From the vectors, a hypercall: r1 = GUEST_SP, r3 = the guest's, r12 = page, r13 = area; all but r14–r31 is
    // saved. A function that is called by its address, in r12, finds r2 by that.
    ".globl guest_called",
    "guest_called:",
    "    cmpldi 3, {LAST_TABLE_HYPERCALL}",
    "    bgt 1f",
    "    sldi 4, 3, 3",
    "    ld 5, {TABLE_HYPERCALLS}(13)",
    "    std 12, 32(1)",
    "    mr 3, 12",
    "    ldx 12, 5, 4",
    "2:  mtctr 12",
    "    bctrl",
    "    cmpldi 3, 0",
    "    ld 3, 32(1)",
    "    bne guest_resume",
    "    mr 12, 3",
    "    b 4f",
    "1:  cmpldi 3, {FIRST_HYPERCALL}",
    "    blt 4f",
    "    cmpldi 3, {LAST_HYPERCALL}",
    "    bgt 3f",
    "    std 12, 32(1)",
    "    mr 3, 12",
    "    ld 12, {HYPERCALL}(13)",
    "    b 2b",
    "3:  cmpldi 3, {BULK_HYPERCALL}",
    "    bne 4f",
    "    ld 5, {TABLE_HYPERCALLS}(13)",
    "    std 12, 32(1)",
    "    mr 3, 12",
    "    ld 12, 8*({LAST_TABLE_HYPERCALL}+1)(5)",
    "    b 2b",
    "4:  li 11, 0xc00",
    "    b 1f",
    //
    // Any other interrupt, its vector in r11, the rest alike.
    ".globl guest_left",
    "guest_left:",
    "    cmpldi 11, {DATA_STORAGE}",
    "    beq 3f",
    "    cmpldi 11, {INSTRUCTION_STORAGE}",
    "    bne 1f",
    "3:  std 12, 32(1)",
    "    std 11, 40(1)",
    "    mr 3, 11",
    "    mr 4, 12",
    "    ld 12, {STORAGE}(13)",
    "    mtctr 12",
    "    bctrl",
    "    cmpldi 3, 0",
    "    ld 3, 32(1)",
    "    bne guest_resume",
    "    mr 12, 3",
    "    ld 11, 40(1)",
    "1:",
    ".irp n, 14,16,18,20,22,24,26,28,30",
    "    stq \\n, {GPR}+8*\\n(12)",
    ".endr",
    "    mr 3, 11",
    "    mr 4, 12",
    "    ld 12, {LEFT}(13)",
    "    mtctr 12",
    "    bctr",
    ".size guest_enter, . - guest_enter",
    FIRST_HYPERCALL = const FIRST_HYPERCALL,
    LAST_HYPERCALL = const LAST_HYPERCALL,
    LAST_TABLE_HYPERCALL = const LAST_TABLE_HYPERCALL,
    BULK_HYPERCALL = const BULK_HYPERCALL,
    TABLE_HYPERCALLS = const a::TABLE_HYPERCALLS,
    DATA_STORAGE = const DATA_STORAGE,
    INSTRUCTION_STORAGE = const INSTRUCTION_STORAGE,
    STORAGE = const a::STORAGE,
    PAGE = const a::PAGE,
    HYPERCALL = const a::HYPERCALL,
    LEFT = const a::LEFT,
    GPR = const a::GPR,
    PC = const a::PC,
    GUEST_MSR = const a::GUEST_MSR,
    ME = const crate::msr::ME,
    CR = const a::CR,
    CTR = const a::CTR,
    SPR_CFAR = const spr::CFAR,
    SPR_HSRR0 = const spr::HSRR0,
    SPR_HSRR1 = const spr::HSRR1,
    SPR_XER = const spr::XER,
);

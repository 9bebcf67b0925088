//! Between the host and the firmware: the OPAL entry, and the way into a host.
use crate::area::offset as a;
use crate::spr;
use core::arch::global_asm;

/// As many PIRs as the machine can have: 16 chips of 16 cores of 8 threads.
pub const PIR_LIMIT: usize = 2048;

/// The call that may go on in guests on this very thread, and so returns by [`return_from_run`].
pub const RUN_TOKEN: u64 = 1106;
/// Calls that end the machine: CEC_POWER_DOWN, CEC_REBOOT, CEC_REBOOT2. A thread that is in a call
/// already may make them at any depth.
pub const ENDING_TOKENS: [u64; 3] = [5, 6, 116];
/// What a run in a call answers, and any other call that is the third.
pub const INTERNAL_ERROR: i64 = -11;
/// What a call in little-endian mode answers.
pub const WRONG_STATE: i16 = -14;
/// What the OPAL entry has of a stack, from its top: room for a callee, eight arguments, the four
/// registers that every call keeps, and those that a run loses.
pub const CALL_FRAME_BYTES: u64 = FRAME as u64;
const FRAME: usize = 320;
/// Where the arguments are in it. Each second one, from the second on, is at a multiple of 16: `stq` and `lq`
/// move two registers at once.
const ARGS: usize = 40;
const _: () = assert!((ARGS + 8).is_multiple_of(16) && FRAME.is_multiple_of(16));

unsafe extern "C" {
    /// Where hosts call (its real address is published, see [`entry_real`]).
    ///
    /// In: r0 = token, r3–r10 = arguments, HV real mode, big-endian; in little-endian mode r3 is
    /// [`WRONG_STATE`], and all else kept. Out: r3 = status, r4–r9 =
    /// results. Keeps r1, r2, r13–r31, CR2–CR4, LR; loses r0, r10–r12, CTR, XER, CR0, CR1, CR5–7.
    fn opal_entry();

    /// Returns from the call with [`RUN_TOKEN`] to its host, with results from the call's
    /// arguments and r14-r31 as they were.
    ///
    /// # Safety
    /// That call is under way on this thread, which is as its host left it.
    pub fn return_from_run(status: i64) -> !;

    /// Gives this thread to a host at real address `pc`: r3–r9 from `args`, HRMOR 0, MSR
    /// HV real mode big-endian with ME.
    ///
    /// # Safety
    /// LPCR and the other hypervisor registers are as a host expects them; nothing on this stack
    /// is needed any more.
    pub fn enter_host(pc: u64, args: *const [u64; 7]) -> !;

    /// Thread areas by PIR; a thread that isn't there has 0.
    static mut opal_areas: [u64; PIR_LIMIT];
}

/// Real address of the OPAL entry.
pub fn entry_real() -> u64 {
    opal_entry as *const () as u64 & !crate::EA_REAL
}

/// Tells the OPAL entry, and threads that wake for the first time, where thread `pir`'s area is.
///
/// # Safety
/// `area` is filled in and stays where it is for good.
pub unsafe fn register_area(pir: usize, area: *mut crate::area::ThreadArea) {
    // SAFETY: in bounds by the index check; each thread's slot is written once, before the thread
    // is woken.
    unsafe { (&raw mut opal_areas[pir]).write_volatile(area as u64) }
}

/// Thread `pir`'s area; null when none is registered.
pub fn area_of(pir: usize) -> *mut crate::area::ThreadArea {
    // SAFETY: in bounds by the index check; written only while the machine boots.
    unsafe { (&raw mut opal_areas[pir]).read_volatile() as *mut _ }
}

global_asm!(
    ".section .bss.opal_areas, \"aw\", @nobits",
    ".balign 128",
    ".globl opal_areas",
    "opal_areas:",
    "    .space 8 * {PIR_LIMIT}",
    // A call's frame at r11, its arguments at r3, this thread's area (r12) in r13.
    ".macro call_frame",
    "    std 1, -8(11)",
    "    std 2, -16(11)",
    "    std 13, -24(11)",
    "    mflr 1",
    "    std 1, -32(11)",
    "    addi 1, 11, -{FRAME}",
    "    mr 13, 12",
    "    li 11, 0",
    "    std 11, 0(1)",
    "    std 3, {ARGS}(1)",
    "    stq 4, {ARGS}+8(1)",
    "    stq 6, {ARGS}+24(1)",
    "    addi 3, 1, {ARGS}",
    ".endm",
    // The function for all calls but the run, with the rest of the arguments.
    ".macro call_function",
    "    ld 12, {OPAL}(13)",
    "    mtctr 12",
    "    stq 8, {ARGS}+40(1)",
    "    std 10, {ARGS}+56(1)",
    "    mr 4, 0",
    "    bctrl",
    ".endm",
    ".section .text.opal_entry, \"ax\"",
    ".globl opal_entry",
    ".type opal_entry, @function",
    "opal_entry:",
    // Nothing; read in the other byte order, a branch to `opal_entry_little`.
    "    tdi 0, 3, 0x48",
    // By its real address, as the host has come here.
    "    mfspr 11, {SPR_PIR}",
    "    sldi 11, 11, 3",
    "    lis 12, opal_areas@high",
    "    ori 12, 12, opal_areas@l",
    "    ldx 12, 12, 11",
    "    ld 11, {IN_CALL}(12)",
    "    cmpdi 11, 0",
    "    bne 3f",
    "4:  ld 11, {STACK_TOP}(12)",
    "    call_frame",
    "    cmpldi 0, {RUN_TOKEN}",
    "    beq 1f",
    "    std 1, {IN_CALL}(13)",
    "    call_function",
    "    li 0, 0",
    "    std 0, {IN_CALL}(13)",
    "2:  lq 4, {ARGS}+8(1)",
    "    lq 6, {ARGS}+24(1)",
    "    lq 8, {ARGS}+40(1)",
    "    ld 0, {FRAME}-32(1)",
    "    ld 13, {FRAME}-24(1)",
    "    ld 2, {FRAME}-16(1)",
    "    ld 1, {FRAME}-8(1)",
    "    mtlr 0",
    "    blr",
    // This thread is in a call already: a system reset has struck it there. A host that is about to end
    // has things to say: it gets the other stack, once, and may go back to the first call. Only calls that end
    // the machine may take that one's stack.
    "3:  cmpldi 0, {POWER_DOWN}",
    "    beq 4b",
    "    cmpldi 0, {REBOOT}",
    "    beq 4b",
    "    cmpldi 0, {REBOOT2}",
    "    beq 4b",
    "    cmpldi 0, {RUN_TOKEN}",
    "    beq 5f",
    "    ld 11, {IN_NESTED_CALL}(12)",
    "    cmpdi 11, 0",
    "    bne 5f",
    "    ld 11, {FAULT_STACK_TOP}(12)",
    "    call_frame",
    "    std 1, {IN_NESTED_CALL}(13)",
    // The locks of the first call aren't the second's to give back.
    "    ld 12, {LOCKS}(13)",
    "    std 12, {FRAME}-40(1)",
    "    li 12, 0",
    "    std 12, {LOCKS}(13)",
    "    call_function",
    "    ld 0, {FRAME}-40(1)",
    "    std 0, {LOCKS}(13)",
    "    li 0, 0",
    "    std 0, {IN_NESTED_CALL}(13)",
    "    b 2b",
    "5:  li 3, {INTERNAL_ERROR}",
    "    blr",
    // A run: what guests on this thread would lose of the host's is kept in this frame.
    "1:  mfcr 0",
    "    stw 0, 8(1)",
    ".irp n, 14,16,18,20,22,24,26,28,30",
    "    stq \\n, 8*\\n(1)",
    ".endr",
    "    ld 12, {RUN}(13)",
    "    mtctr 12",
    "    bctrl",
    // Refused: nothing was lost. Else `return_from_run`.
    "    b 2b",
    ".globl return_from_run",
    "return_from_run:",
    "    ld 1, {STACK_TOP}(13)",
    "    addi 1, 1, -{FRAME}",
    "    lwz 0, 8(1)",
    "    mtcrf 0x38, 0",
    ".irp n, 14,16,18,20,22,24,26,28,30",
    "    lq \\n, 8*\\n(1)",
    ".endr",
    "    b 2b",
    ".size opal_entry, . - opal_entry",
    ".globl enter_host",
    ".type enter_host, @function",
    "enter_host:",
    "    mtspr {SPR_HSRR0}, 3",
    "    li 0, 9",
    "    sldi 0, 0, 60",
    "    ori 0, 0, 0x1000",
    "    mtspr {SPR_HSRR1}, 0",
    "    mr 10, 4",
    "    ld 3, 0(10)",
    "    ld 4, 8(10)",
    "    ld 5, 16(10)",
    "    ld 6, 24(10)",
    "    ld 7, 32(10)",
    "    ld 8, 40(10)",
    "    ld 9, 48(10)",
    "    li 0, 0",
    // Siblings that are the host's already run by this register: it has its value then.
    "    mfspr 10, {SPR_HRMOR}",
    "    cmpdi 10, 0",
    "    beq 6f",
    "    isync",
    "    mtspr {SPR_HRMOR}, 0",
    "    isync",
    "6:  slbmte 0, 0",
    "    slbia",
    "    isync",
    "    hrfid",
    ".size enter_host, . - enter_host",
    // The call has come in little-endian mode: back with WRONG_STATE.
    "    .org opal_entry + 0x308",
    "opal_entry_little:",
    "    .long {LI_3_WRONG_STATE}, {BLR}",
    PIR_LIMIT = const PIR_LIMIT,
    STACK_TOP = const a::STACK_TOP,
    FAULT_STACK_TOP = const a::FAULT_STACK_TOP,
    IN_CALL = const a::IN_CALL,
    IN_NESTED_CALL = const a::IN_NESTED_CALL,
    LOCKS = const a::LOCKS,
    OPAL = const a::OPAL,
    RUN = const a::RUN,
    RUN_TOKEN = const RUN_TOKEN,
    POWER_DOWN = const ENDING_TOKENS[0],
    REBOOT = const ENDING_TOKENS[1],
    REBOOT2 = const ENDING_TOKENS[2],
    INTERNAL_ERROR = const INTERNAL_ERROR,
    FRAME = const FRAME,
    ARGS = const ARGS,
    SPR_HRMOR = const spr::HRMOR,
    SPR_HSRR0 = const spr::HSRR0,
    SPR_HSRR1 = const spr::HSRR1,
    SPR_PIR = const spr::PIR,
    LI_3_WRONG_STATE = const (0x3860_0000 | WRONG_STATE as u16 as u32).swap_bytes(),
    BLR = const 0x4e80_0020u32.swap_bytes(),
);

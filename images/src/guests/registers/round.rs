//! Loads all registers from memory, leaves the thread, and stores them all again.

/// Every register but the special-purpose ones of `sprs`.
#[repr(C, align(16))]
pub struct Registers {
    pub gpr: [u64; 32],
    /// CR, LR, CTR, XER.
    pub user: [u64; 4],
    pub fpscr: u64,
    unused: u64,
    pub vscr: [u64; 2],
    pub vsr: [[u64; 2]; 64],
}

impl Default for Registers {
    fn default() -> Self {
        Self {
            gpr: [0; 32],
            user: [0; 4],
            fpscr: 0,
            unused: 0,
            vscr: [0; 2],
            vsr: [[0; 2]; 64],
        }
    }
}

/// How a round leaves the thread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// `sc 1`.
    Hypercall,
    /// It spins, CTR counting down to 0, and the host takes it out meanwhile.
    Spin,
}

/// VSCR's only word that holds something, in the place where the register has it.
pub fn vscr(word: u64) -> [u64; 2] {
    // Stored by doublewords, the first one first, in either byte order.
    [0, word]
}

/// V of an SLB entry.
pub const SLB_VALID: u64 = 1 << 27;

#[cfg(target_arch = "powerpc64")]
mod machine {
    use super::{Leave, Registers, SLB_VALID};
    use core::arch::{asm, global_asm};
    use core::mem::offset_of;

    /// What the assembly works on, with r1 pointing to it.
    #[repr(C, align(16))]
    struct Area {
        before: Registers,
        after: Registers,
        stack: u64,
        spin: u64,
    }

    unsafe extern "C" {
        fn registers_round(area: *mut Area);
    }

    /// Loads `before`, leaves the thread as `leave` says, and stores what is there then in `after`.
    pub fn leave(before: &Registers, after: &mut Registers, leave: Leave) {
        let copy = |from: &Registers| Registers {
            gpr: from.gpr,
            user: from.user,
            vsr: from.vsr,
            ..*from
        };
        let mut area = Area {
            before: copy(before),
            after: Registers::default(),
            stack: 0,
            spin: u64::from(leave == Leave::Spin),
        };
        // SAFETY: keeps what the ABI wants kept; the target has no floating-point code that the
        // vector registers could matter to. Interrupts are off, for r1 is no stack meanwhile.
        unsafe { registers_round(&mut area) };
        *after = area.after;
    }

    const MSR_FP_VEC_VSX: u64 = 1 << (63 - 50) | 1 << (63 - 38) | 1 << (63 - 40);

    /// Makes floating point and vectors available.
    pub fn allow_fp() {
        let msr = images::guest_runtime::spr::msr() | MSR_FP_VEC_VSX;
        // SAFETY: nothing else of the MSR changes.
        unsafe { asm!("mtmsrd {}, 0", "isync", in(reg) msr) }
    }

    /// Writes SLB entry `index`.
    pub fn write_slb(index: u64, esid: u64, vsid: u64) {
        // SAFETY: the guest is in real mode; no entry is used.
        unsafe { asm!("slbmte {}, {}", "isync", in(reg) vsid, in(reg) esid | SLB_VALID | index) }
    }

    /// Reads SLB entry `index`: the part with the ESID, then that with the VSID.
    pub fn read_slb(index: u64) -> [u64; 2] {
        let (esid, vsid);
        // SAFETY: reads registers.
        unsafe {
            asm!("slbmfee {}, {index}", "slbmfev {}, {index}", out(reg) esid, out(reg) vsid, index = in(reg) index)
        }
        [esid, vsid]
    }

    // Instructions of FP, VMX and VSX are written as numbers: the target is one without them.
    // lxvd2x and stxvd2x: 31, register, RA, RB, 844 or 972, and the register's bit 5 last.
    global_asm!(
        ".macro general op, from",
        "    .irp n, 0,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
        "    \\op \\n, \\from + 8 * \\n(1)",
        "    .endr",
        ".endm",
        // r4 = address; the register's number goes through r5's multiples of 16.
        ".macro vector op",
        "    li 5, 0",
        "    .set vsr, 0",
        "    .rept 64",
        "    .long \\op | (vsr & 31) << 21 | 4 << 16 | 5 << 11 | vsr >> 5",
        "    addi 5, 5, 16",
        "    .set vsr, vsr + 1",
        "    .endr",
        ".endm",
        ".section .text.registers_round, \"ax\"",
        ".globl registers_round",
        ".type registers_round, @function",
        "registers_round:",
        "    mflr 0",
        "    std 0, 16(1)",
        "    mfcr 0",
        "    stw 0, 8(1)",
        "    stdu 1, -208(1)",
        "    std 2, 32(1)",
        "    .irp n, 13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
        "    std \\n, 40 + 8 * (\\n - 13)(1)",
        "    .endr",
        "    std 1, {STACK}(3)",
        "    mr 1, 3",
        // lfd 0, FPSCR(1); mtfsf (all of it) 0; lxvd2x 32, 0, 4; mtvscr 0
        "    .long 0xc8010000 + {FPSCR}",
        "    .long 0xfe00058e",
        "    addi 4, 1, {VSCR}",
        "    .long 0x7c002699 | 0 << 16",
        "    .long 0x10000644",
        "    addi 4, 1, {VSR}",
        "    vector 0x7c000698",
        "    ld 0, {USER} + 8(1)",
        "    mtlr 0",
        "    ld 0, {USER} + 16(1)",
        "    mtctr 0",
        "    ld 0, {USER} + 24(1)",
        "    mtxer 0",
        // CR is loaded last, on both ways: choosing the way needs it.
        "    ld 0, {SPIN}(1)",
        "    cmpdi 0, 0",
        "    ld 0, {USER}(1)",
        "    bne 2f",
        "    mtcrf 0xff, 0",
        "    general ld, 0",
        "    .long 0x44000022",
        "    b 4f",
        "2:  mtcrf 0xff, 0",
        "    general ld, 0",
        "3:  bdnz 3b",
        "4:  general std, {AFTER}",
        "    mfcr 0",
        "    std 0, {AFTER} + {USER}(1)",
        "    mflr 0",
        "    std 0, {AFTER} + {USER} + 8(1)",
        "    mfctr 0",
        "    std 0, {AFTER} + {USER} + 16(1)",
        "    mfxer 0",
        "    std 0, {AFTER} + {USER} + 24(1)",
        "    addi 4, 1, {AFTER} + {VSR}",
        "    vector 0x7c000798",
        // mffs 0; stfd 0, FPSCR(1); mfvscr 0; stxvd2x 32, 0, 4
        "    .long 0xfc00048e",
        "    .long 0xd8010000 + {AFTER} + {FPSCR}",
        "    .long 0x10000604",
        "    addi 4, 1, {AFTER} + {VSCR}",
        "    .long 0x7c002799",
        "    ld 1, {STACK}(1)",
        "    .irp n, 13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
        "    ld \\n, 40 + 8 * (\\n - 13)(1)",
        "    .endr",
        "    ld 2, 32(1)",
        "    addi 1, 1, 208",
        "    lwz 0, 8(1)",
        "    mtcrf 0x38, 0",
        "    ld 0, 16(1)",
        "    mtlr 0",
        "    blr",
        ".size registers_round, . - registers_round",
        ".purgem general",
        ".purgem vector",
        STACK = const offset_of!(Area, stack),
        SPIN = const offset_of!(Area, spin),
        AFTER = const offset_of!(Area, after),
        USER = const offset_of!(Registers, user),
        FPSCR = const offset_of!(Registers, fpscr),
        VSCR = const offset_of!(Registers, vscr),
        VSR = const offset_of!(Registers, vsr),
    );
    const _: () = assert!(offset_of!(Registers, gpr) == 0 && offset_of!(Area, before) == 0);
}

/// Where the images are only compiled, not run.
#[cfg(not(target_arch = "powerpc64"))]
mod machine {
    use super::{Leave, Registers};

    pub fn leave(_before: &Registers, _after: &mut Registers, _leave: Leave) {
        unreachable!("no POWER8")
    }
    pub fn allow_fp() {
        unreachable!("no POWER8")
    }
    pub fn write_slb(_index: u64, _esid: u64, _vsid: u64) {
        unreachable!("no POWER8")
    }
    pub fn read_slb(_index: u64) -> [u64; 2] {
        unreachable!("no POWER8")
    }
}

pub use machine::*;

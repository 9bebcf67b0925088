//! The thread area: what assembly keeps of one hardware thread, found through HSPRG0.
//!
//! From 0x100 on it has the shape of a vcpu page's register part, so that an interrupt saves its
//! registers in one way: relative to `page`, which is the vcpu page while a guest runs and the
//! area itself otherwise.

/// Registers as an interrupt saves them, at offset 0x100 of a vcpu page and of a thread area.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Frame {
    pub gpr: [u64; 32],
    /// SRR0 or HSRR0.
    pub pc: u64,
    /// SRR1 or HSRR1, cause bits included.
    pub msr: u64,
    pub cr: u64,
    pub lr: u64,
    pub ctr: u64,
    pub xer: u64,
    pub cfar: u64,
    pub reserved: u64,
}

/// Hypercalls on the guest's page table have numbers up to this one, but for one that has its function behind
/// the others'.
pub const LAST_TABLE_HYPERCALL: u64 = 0x18;
pub const TABLE_HYPERCALLS: usize = LAST_TABLE_HYPERCALL as usize + 2;

/// One hardware thread's area: 1 KiB, aligned.
#[derive(Debug)]
#[repr(C, align(1024))]
pub struct ThreadArea {
    /// Scratch of an interrupt that uses SRR or HSRR, but for the next two.
    pub save_r12: u64,
    /// Scratch of system reset (0x100).
    pub reset_r11: u64,
    pub reset_r12: u64,
    pub reset_cr: u64,
    /// Scratch of machine check (0x200).
    pub mc_r12: u64,
    /// Where registers are saved: a vcpu page or this area.
    pub page: u64,
    /// Stack pointer of a thread whose guest has left: below the frame of an OPAL call.
    pub guest_sp: u64,
    /// Stack pointer inside `nap`, 0 when the thread naps with nothing to come back to.
    pub nap_sp: u64,
    /// Where an empty stack starts: for a woken thread and for OPAL calls.
    pub stack_top: u64,
    /// The same for epitaphs, so that a broken stack can still be told of; and for a call in a call.
    pub fault_stack_top: u64,
    /// r2.
    pub toc: u64,
    /// `extern "C" fn(srr1: u64) -> !` run by a thread that wakes with an empty stack.
    pub woken: u64,
    /// `extern "C" fn(frame: &Frame, vector: u64) -> !` for interrupts taken in the firmware.
    pub fault: u64,
    /// `extern "C" fn(page) -> u64` for hypercalls 0xe0–0xe8: not 0 to go on, 0 to leave.
    pub hypercall: u64,
    /// `extern "C" fn(args: &mut [u64; 8], token: u64) -> i64`.
    pub opal: u64,
    /// `extern "C" fn(vector: u64, page) -> !` for a thread whose guest has left.
    pub left: u64,
    /// `extern "C" fn(args: &mut [u64; 8]) -> i64` for the call with token
    /// [`crate::opal::RUN_TOKEN`].
    pub run: u64,
    pub pir: u64,
    /// The platform's record of this thread.
    pub thread: u64,
    /// Key of the vcpu whose special-purpose registers this thread still holds; 0 for none.
    pub holds: u64,
    /// What the guest on this thread has beyond what every guest has (`platform::cpu::guest::More`).
    pub more: u64,
    /// [`crate::msr::GUEST`]: loading it is cheaper than making it.
    pub guest_msr: u64,
    /// Not 0 while this thread is in an OPAL call other than the run; others may read it.
    pub in_call: u64,
    /// Locks that this thread holds.
    pub locks: u64,
    /// Where its calls are logged; 0 for nowhere.
    pub call_log: u64,
    /// Where it records what it does; 0 while the trace is off.
    pub trace: u64,
    /// [`crate::nap::renap`]: where a thread that naps for good goes on if it wakes in a host's vectors.
    pub renap: u64,
    /// `extern "C" fn()` for a system reset that strikes the firmware itself, which goes on afterwards.
    /// 0: it is a fault.
    pub struck: u64,
    /// The time that DEC was set to show for the guest on this thread.
    pub dec_shows_tb: u64,
    /// Not 0 while this thread is in a call that its host makes although an earlier one isn't over.
    pub in_nested_call: u64,
    /// `extern "C" fn(vector, page) -> u64` for page faults of guests (0xe00, 0xe20): as `hypercall`.
    pub storage: u64,
    /// Functions for hypercalls on the guest's page table, as `hypercall`: by number, then H_BULK_REMOVE's.
    pub table_hypercalls: u64,
    pub frame: Frame,
}

macro_rules! offsets {
    ($($name:ident = $($field:ident).+;)+) => {
        /// Offsets for assembly operands.
        pub mod offset {
            use super::ThreadArea;
            use core::mem::offset_of;
            $(pub const $name: usize = offset_of!(ThreadArea, $($field).+);)+
        }
    };
}
offsets! {
    SAVE_R12 = save_r12;
    RESET_R11 = reset_r11;
    RESET_R12 = reset_r12;
    RESET_CR = reset_cr;
    MC_R12 = mc_r12;
    PAGE = page;
    GUEST_SP = guest_sp;
    NAP_SP = nap_sp;
    STACK_TOP = stack_top;
    FAULT_STACK_TOP = fault_stack_top;
    TOC = toc;
    WOKEN = woken;
    FAULT = fault;
    HYPERCALL = hypercall;
    OPAL = opal;
    LEFT = left;
    STORAGE = storage;
    TABLE_HYPERCALLS = table_hypercalls;
    RUN = run;
    GUEST_MSR = guest_msr;
    IN_CALL = in_call;
    IN_NESTED_CALL = in_nested_call;
    LOCKS = locks;
    HOLDS = holds;
    THREAD = thread;
    RENAP = renap;
    STRUCK = struck;
    GPR = frame.gpr;
    PC = frame.pc;
    MSR = frame.msr;
    CR = frame.cr;
    LR = frame.lr;
    CTR = frame.ctr;
    XER = frame.xer;
    CFAR = frame.cfar;
}
const _: () = assert!(offset::GPR == 0x100 && offset::PC == 0x200 && offset::CFAR == 0x230);
// Moved two at a time.
const _: () = assert!(offset::MSR == offset::PC + 8 && offset::LR == offset::CR + 8);
const _: () = assert!(
    offset::XER == offset::CTR + 8
        && offset::CTR.is_multiple_of(16)
        && offset::CR.is_multiple_of(16)
);
const _: () = assert!(size_of::<ThreadArea>() == 1024);

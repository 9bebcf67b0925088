//! The vcpu page: 4 KiB that the host gives at VCPU_CREATE and in which the vcpu lives.
//!
//! While the vcpu isn't running (`owner` is 0) the host reads and writes all of it but the firmware
//! line. A run copies nothing: registers are loaded from here and stored here. All fields are
//! big-endian, whatever the guest's byte order.
use crate::bit;
use zerocopy::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `magic` of every vcpu page: "CNVP".
pub const MAGIC: u32 = 0x434e_5650;
/// Size and alignment.
pub const PAGE_BYTES: usize = 4096;

/// `flags`: the guest uses FP, VMX and VSX; they are kept in `vsr`. Without it they are cleared
/// at entry and unavailable, so that a first use comes out with FacilityUnavailable.
pub const FLAG_FP: u64 = bit(0);
/// All flags of this version; VCPU_CREATE and VCORE_RUN ignore none: others are refused.
pub const FLAGS: u64 = FLAG_FP;

/// `pending`: an external interrupt (0x500) is to reach the guest as soon as MSR\[EE\] allows. A
/// level: the host clears it when the guest has taken the interrupt.
pub const PENDING_EXTERNAL: u64 = bit(0);

/// What the host writes (128 bytes: one cache line).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HostLine {
    pub magic: U32,
    pub version: U32,
    pub flags: U64,
    pub pending: U64,
    /// The host's own; the firmware never looks at it.
    pub cookie: U64,
    pub reserved: [U64; 12],
}

/// What the firmware writes (128 bytes: one cache line).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FirmwareLine {
    /// 0: the host's. Otherwise the PIR of its thread, with [`OWNED`] set.
    pub owner: U64,
    /// Interrupt vector of the last exit; 0 when it did not run (B13, B34).
    pub trap: U32,
    /// An [`crate::ExitReason`].
    pub reason: U32,
    /// SRR0 or HSRR0 of that interrupt.
    pub srr0: U64,
    /// SRR1 or HSRR1, with its cause bits.
    pub srr1: U64,
    pub hdar: U64,
    pub hdsisr: U32,
    pub heir: U32,
    /// HMER or, after a machine check, DSISR.
    pub fault: U64,
    /// Time base of the last entry and of the last exit.
    pub entered_tb: U64,
    pub left_tb: U64,
    /// Not 0: a prod came while the vcpu wasn't ceded; the next H_CEDE returns at once. The host
    /// sets it, while the vcpu isn't running, when it serves an H_PROD that the firmware left to it.
    pub prodded: U64,
    /// Counts and times since the vcpu was created (L7).
    pub entries: U64,
    pub in_guest_tb: U64,
    pub ceded_tb: U64,
    /// Hypercalls served in the firmware.
    pub served: U64,
    /// H_CEDE and H_CONFER.
    pub yields: U64,
    /// The causes, ORed, of the kicks that the vcpu's last exit or refusal has answered.
    pub kick_cause: U64,
}

/// Set in `owner` while the firmware has the page.
pub const OWNED: u64 = bit(63);

/// The special-purpose registers of a guest thread (Power ISA 2.07 Book III-S, appendix of SPRs).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Sprs {
    pub srr0: U64,
    pub srr1: U64,
    pub sprg: [U64; 4],
    pub dar: U64,
    pub dsisr: U64,
    /// The time base value at which the decrementer passes 0; DEC is derived from it.
    pub dec_expires_tb: U64,
    pub fscr: U64,
    pub dscr: U64,
    pub tar: U64,
    pub ppr: U64,
    pub pspb: U64,
    pub dawr: U64,
    pub dawrx: U64,
    pub ciabr: U64,
    pub iamr: U64,
    pub amr: U64,
    pub uamor: U64,
    pub pid: U64,
    pub acop: U64,
    pub tacr: U64,
    pub tcscr: U64,
    pub csigr: U64,
    pub wort: U64,
    pub vrsave: U64,
    pub ctrl: U64,
    pub ic: U64,
    pub ebbhr: U64,
    pub ebbrr: U64,
    pub bescr: U64,
    /// For transactional memory, which no guest has: left alone, like the next two.
    pub tfhar: U64,
    pub tfiar: U64,
    pub texasr: U64,
    pub mmcr0: U64,
    pub mmcr1: U64,
    pub mmcr2: U64,
    pub mmcra: U64,
    pub mmcrs: U64,
    pub siar: U64,
    pub sdar: U64,
    pub sier: U64,
    pub pmc: [U64; 6],
    pub spmc: [U64; 2],
    /// The virtual time base at the last exit; the firmware keeps it, for the whole vcore.
    pub vtb: U64,
}

/// One SLB entry as `slbmte` takes it: RB (ESID, V, and the entry's number 0–31) and RS.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SlbEntry {
    pub esid: U64,
    pub vsid: U64,
}

/// MMCR0\[FC\] alone: no counter counts. The cheapest value for a guest without a performance monitor.
pub const MMCR0_FROZEN: u64 = bit(31);

/// SLB entries of POWER8.
pub const SLB_ENTRIES: usize = 32;

/// The whole page.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VcpuPage {
    pub host: HostLine,
    pub firmware: FirmwareLine,
    pub gpr: [U64; 32],
    /// Where the guest goes on.
    pub pc: U64,
    /// Its MSR; the firmware forces HV off and ME on.
    pub msr: U64,
    pub cr: U64,
    pub lr: U64,
    pub ctr: U64,
    pub xer: U64,
    pub cfar: U64,
    /// How many of `slb` are loaded at entry; the others are invalid.
    pub slb_count: U64,
    pub sprs: Sprs,
    pub reserved0: [U64; 4],
    pub slb: [SlbEntry; SLB_ENTRIES],
    /// VSR 0–63; the upper doubleword of 0–31 is FPR 0–31, 32–63 are VR 0–31.
    pub vsr: [[U64; 2]; 64],
    pub fpscr: U64,
    pub reserved1: U64,
    pub vscr: [U64; 2],
    pub reserved2: [U64; 188],
}

macro_rules! at {
    ($($field:ident = $offset:literal),+ $(,)?) => {
        $(const _: () = assert!(core::mem::offset_of!(VcpuPage, $field) == $offset);)+
    };
}
at!(
    host = 0,
    firmware = 0x80,
    gpr = 0x100,
    pc = 0x200,
    slb_count = 0x238,
    sprs = 0x240
);
at!(slb = 0x400, vsr = 0x600, fpscr = 0xa00, vscr = 0xa10);
const _: () = assert!(size_of::<VcpuPage>() == PAGE_BYTES);
const _: () = assert!(size_of::<HostLine>() == 128 && size_of::<FirmwareLine>() == 128);

impl VcpuPage {
    /// A page as VCPU_CREATE wants it: magic and version set, every register 0 but MMCR0, which keeps the
    /// counters still.
    pub fn new() -> Self {
        let mut page: Self = zerocopy::FromZeros::new_zeroed();
        page.host.magic.set(MAGIC);
        page.host.version.set(crate::VERSION);
        page.sprs.mmcr0.set(MMCR0_FROZEN);
        page
    }
}

impl Default for VcpuPage {
    fn default() -> Self {
        Self::new()
    }
}

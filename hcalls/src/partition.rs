//! PARTITION_CREATE's configuration.
use crate::{bit, ibm};
use num_enum::{IntoPrimitive, TryFromPrimitive};
use zerocopy::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How a partition's real addresses reach memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u32)]
pub enum MemoryMode {
    /// Offset by RMOR, bounded by LPCR\[RMLS\] (Power ISA 2.07 Book III-S 5.7.3.2).
    Rmor = 0,
    /// Virtual real mode: through the partition's hashed page table (5.7.3.3).
    Vrma = 1,
}

/// When a vcore may run (B8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u32)]
pub enum Policy {
    /// When every vcpu is runnable or blocked.
    Complete = 0,
    /// When at least one vcpu is runnable.
    Eager = 1,
}

/// Which hardware thread a vcpu gets (B14, B15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u32)]
pub enum PtidMode {
    /// Its place in the queue.
    Packed = 0,
    /// Its id modulo the threads per vcore; `msgsndp` and TIR need this.
    Aligned = 1,
}

/// A partition as the host asks for it. Big-endian, 64 bytes, of which version 1 has the first
/// [`V1_BYTES`]; 8-byte aligned, in RAM.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PartitionConfig {
    /// [`crate::VERSION`].
    pub version: U32,
    /// LPIDR value, 1 to the limit that SMT_QUERY gives; 0 is the host's own.
    pub lpid: U32,
    /// A [`MemoryMode`].
    pub memory_mode: U32,
    /// vcpus per vcore: a width that SMT_QUERY lists.
    pub smt_width: U32,
    /// A [`PtidMode`].
    pub ptid_mode: U32,
    /// A [`Policy`].
    pub policy: U32,
    /// RMOR mode: where the partition's real 0 lies, aligned to `rm_len_bytes`.
    /// VRMA mode: SDR1, the hashed page table's address and size.
    pub base: U64,
    /// RMOR mode: a size that SMT_QUERY's RealModeSizes lists, out of LPCR\[RMLS\]'s 64 MiB,
    /// 128 MiB, 256 MiB, 1 GiB, 16 GiB and 256 GiB.
    /// VRMA mode: the VRMASD field, right-justified (5 bits: L || LP).
    pub rm_len_bytes: U64,
    /// LPCR bits the guest is to run with, out of [`LPCR_CHOICE`].
    pub lpcr: U64,
    /// Added to the time base that the guest reads; a multiple of 2^24. Times in the partition's
    /// vcpu pages are of that time base, those in calls of the host's.
    pub tb_offset: U64,
    /// Since version 2: out of [`FLAGS`].
    pub flags: U64,
}

const _: () = assert!(size_of::<PartitionConfig>() == 64);
const _: () = assert!(core::mem::offset_of!(PartitionConfig, flags) == V1_BYTES);

/// Bytes of a configuration of version 1.
pub const V1_BYTES: usize = 56;

/// VRMA mode: page faults that find no entry in the page table become the guest's own interrupts, and
/// the host isn't told of them.
pub const FLAG_REFLECT: u64 = bit(0);
/// All flags of this version; others are refused.
pub const FLAGS: u64 = FLAG_REFLECT;

/// LPCR\[ILE\]: interrupts are taken little-endian.
pub const LPCR_ILE: u64 = ibm(38);
/// LPCR\[AIL\] = 3: interrupts are taken with relocation on, at 0xc000_0000_0000_4000.
pub const LPCR_AIL_3: u64 = ibm(39) | ibm(40);
/// LPCR\[DPFD\]: default prefetch depth.
pub const LPCR_DPFD: u64 = ibm(9) | ibm(10) | ibm(11);
/// LPCR\[TC\]: translation control.
pub const LPCR_TC: u64 = ibm(54);
/// LPCR\[ONL\]: the PURR and SPURR count.
pub const LPCR_ONL: u64 = ibm(45);
/// The LPCR bits that a partition may choose; all others are the firmware's.
pub const LPCR_CHOICE: u64 = LPCR_ILE | LPCR_AIL_3 | LPCR_DPFD | LPCR_TC | LPCR_ONL;

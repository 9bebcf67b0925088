//! SMT_QUERY: r3 = index, r4 = answer.
use crate::bit;
use num_enum::{IntoPrimitive, TryFromPrimitive};

/// What SMT_QUERY is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u64)]
pub enum Query {
    /// Lowest version in the upper half, highest in the lower.
    Versions = 0,
    /// Feature bits: `FEATURE_…`.
    Features = 1,
    /// vcpus per vcore: the threads of a core (B5).
    Threads = 2,
    /// Bit n set: a partition may have 2^n vcpus per vcore (B5).
    Widths = 3,
    /// Size and alignment of a vcpu page.
    PageBytes = 4,
    /// Most partitions at a time.
    MaxPartitions = 5,
    /// Most vcores at a time, of all partitions.
    MaxVcores = 6,
    /// Vcpu ids of one partition are below this.
    MaxVcpuId = 7,
    /// Highest LPID.
    MaxLpid = 8,
    /// Ticks of the time base that a run can last.
    MaxRunTb = 9,
    /// Bit n set: a partition in RMOR mode may have 2^n bytes of memory.
    RealModeSizes = 10,
}

pub const FEATURE_RMOR: u64 = bit(0);
pub const FEATURE_VRMA: u64 = bit(1);
pub const FEATURE_LITTLE_ENDIAN: u64 = bit(2);
pub const FEATURE_PTID_ALIGNED: u64 = bit(3);
pub const FEATURE_EAGER: u64 = bit(4);
pub const FEATURE_CEDE: u64 = bit(5);
pub const FEATURE_STATS: u64 = bit(6);
/// SMT_TRACE, and memory for the trace.
pub const FEATURE_TRACE: u64 = bit(7);
/// An L1D flush and a store barrier are owed and done on each guest entry (L9).
pub const FEATURE_L1D_FLUSH: u64 = bit(8);
/// The link stack is flushed on each guest exit (L9).
pub const FEATURE_LINK_STACK_FLUSH: u64 = bit(9);
/// [`crate::partition::FLAG_REFLECT`].
pub const FEATURE_REFLECT: u64 = bit(10);
/// PARTITION_MEMORY: the firmware serves the hypercalls on a guest's page table.
pub const FEATURE_TABLE: u64 = bit(11);

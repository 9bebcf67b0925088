//! Calls about a partition's memory.
use super::{Arguments, Results, arguments, results};

/// PARTITION_MEMORY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionMemory {
    pub partition: u64,
    /// Real address of the map's first level; 0 for no memory that the firmware knows of.
    pub root: u64,
    /// The guest's real addresses that the map is for, from 0 on.
    pub len_bytes: u64,
    pub page_shift: u64,
    /// Real address of the shadow.
    pub shadow: u64,
    /// Out of [`crate::memory::MEMORY_FLAGS`].
    pub flags: u64,
}

impl PartitionMemory {
    pub const fn to_registers(self) -> Arguments {
        arguments([
            self.partition,
            self.root,
            self.len_bytes,
            self.page_shift,
            self.shadow,
            self.flags,
        ])
    }

    pub const fn from_registers(given: &Arguments) -> Self {
        let [partition, root, len_bytes, page_shift, shadow, flags, ..] = *given;
        Self {
            partition,
            root,
            len_bytes,
            page_shift,
            shadow,
            flags,
        }
    }
}

/// PARTITION_UNMAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionUnmap {
    pub partition: u64,
    /// The guest's real addresses whose entries go.
    pub start: u64,
    pub len_bytes: u64,
    /// Entry of the page table from which on it is looked at.
    pub first: u64,
}

impl PartitionUnmap {
    pub const fn to_registers(self) -> Arguments {
        arguments([self.partition, self.start, self.len_bytes, self.first])
    }

    pub const fn from_registers(given: &Arguments) -> Self {
        let [partition, start, len_bytes, first, ..] = *given;
        Self {
            partition,
            start,
            len_bytes,
            first,
        }
    }
}

/// What PARTITION_UNMAP answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionUnmapped {
    /// Where the next call goes on; 0: all of the table has been looked at.
    pub next: u64,
}

impl PartitionUnmapped {
    pub const fn to_results(self) -> Results {
        results([self.next])
    }

    pub const fn from_results(given: &Results) -> Self {
        Self { next: given[0] }
    }
}

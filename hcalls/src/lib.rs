//! The calls by which a host runs SMT guests on catnap.
//!
//! A host branches to the OPAL entry with the token in r0 and arguments in r3–r10, in hypervisor
//! real mode, big-endian, and finds the status in r3 and further results in r4–r9 (OPAL's own
//! convention, OPAL API "Calling OPAL"). Everything here is data: no code of the firmware's, no
//! `unsafe`, so that hosts and guests can use the crate as it is.
#![no_std]
#![forbid(unsafe_code)]

pub mod call_log;
pub mod exit;
pub mod machine_check;
pub mod memory;
pub mod page;
pub mod papr;
pub mod partition;
pub mod query;
pub mod registers;
pub mod run;
pub mod stats;
pub mod status;
pub mod token;
pub mod trace;
pub mod vcore_table;

pub use exit::ExitReason;
pub use page::VcpuPage;
pub use partition::PartitionConfig;
pub use status::Status;
pub use token::Token;

/// The interface version of this crate; SMT_QUERY tells which versions a firmware speaks.
pub const VERSION: u32 = 2;
/// The lowest version whose structures this one still takes: 2 has added to the end of
/// [`PartitionConfig`].
pub const LOWEST_VERSION: u32 = 1;
/// A core has at most this many hardware threads, a vcore at most this many vcpus.
pub const MAX_THREADS: usize = 8;

/// Bit `n` of a doubleword: 0 is the least significant.
const fn bit(n: u32) -> u64 {
    1 << n
}

/// IBM bit `n` of a 64-bit register: 0 is the most significant.
const fn ibm(n: u32) -> u64 {
    1 << (63 - n)
}

#[cfg(test)]
mod numbers_tests;

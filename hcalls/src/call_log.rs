//! What calls a host has made: counts and times by call, and each thread's latest calls. A host
//! finds this as one block of memory, named `opal_calls` in the tree's `ibm,opal/firmware/exports`.
//!
//! The block is a [`Header`]; the calls' tokens, 4 bytes each, padded to 8; then for each thread a
//! [`ThreadLog`], a [`Count`] for each call and [`Traced`] as many times as the header says. A
//! thread writes its own part at any time: what is read can be half of a change.
use zerocopy::big_endian::{I16, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// "CATCALLS".
pub const MAGIC: u64 = u64::from_be_bytes(*b"CATCALLS");
/// Of this layout.
pub const VERSION: u32 = 1;

/// How the block begins.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    pub magic: U64,
    pub version: U32,
    pub threads: U32,
    /// How many calls are counted.
    pub calls: U32,
    /// How many calls of each thread's are kept.
    pub traced: U32,
}

/// How a thread's part begins.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ThreadLog {
    pub pir: U64,
    /// Calls ever traced: the latest is at this, less one, modulo the header's number.
    pub calls: U64,
}

/// How often a call was made and returned, and what it took.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Count {
    pub calls: U64,
    /// Ticks of the time base in all.
    pub total_tb: U64,
    /// Ticks of the longest.
    pub most_tb: U64,
}

/// A call of a thread's.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Traced {
    pub began_tb: U64,
    /// All ones: as many ticks or more.
    pub took_tb: U32,
    pub token: U16,
    /// What it answered in r3.
    pub status: I16,
}

const _: () = assert!(size_of::<Header>() == 24 && size_of::<ThreadLog>() == 16);
const _: () = assert!(size_of::<Count>() == 24 && size_of::<Traced>() == 16);

//! SMT_TRACE, and the trace: what each hardware thread did last, in rings of fixed-size records.
//!
//! A host finds the trace as one block of memory, named `trace` in the tree's
//! `ibm,opal/firmware/exports`, or by SMT_TRACE. It is a [`Header`], then for each thread a ring: a
//! [`RingHeader`] and as many [`Record`]s as the header says. All is big-endian. A thread writes its
//! own ring alone, over the oldest record when the ring is full; [`Trace`] reads what is there.
use num_enum::{IntoPrimitive, TryFromPrimitive};
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// "CATTRACE".
pub const MAGIC: u64 = u64::from_be_bytes(*b"CATTRACE");
/// "CAT RING".
pub const RING_MAGIC: u64 = u64::from_be_bytes(*b"CAT RING");
/// Of this layout.
pub const VERSION: u32 = 1;
/// Ticks of the time base in a second. Power ISA 2.07 leaves it to the machine; POWER8 has 512 MHz.
pub const TB_HZ: u64 = 512_000_000;

/// SMT_TRACE r3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u64)]
pub enum TraceAction {
    /// Only tell.
    Status = 0,
    /// Record from here on; what was recorded before counts no more.
    Start = 1,
    /// Record no more; what was recorded stays.
    Stop = 2,
}

/// How the block begins (128 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    pub magic: U64,
    pub version: U32,
    /// Rings: one for each hardware thread.
    pub rings: U32,
    /// From the block's start to the first ring.
    pub header_bytes: U32,
    /// From one ring to the next.
    pub ring_bytes: U32,
    /// Records that a ring holds; a power of two.
    pub records: U32,
    pub record_bytes: U32,
    pub tb_hz: U64,
    /// 1 while threads record, otherwise 0.
    pub on: U64,
    /// Time base at the last Start and at the last Stop.
    pub since_tb: U64,
    pub until_tb: U64,
    pub reserved: [U64; 8],
}

/// How a ring begins (128 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RingHeader {
    pub magic: U64,
    /// The thread's.
    pub pir: U64,
    /// Records ever written: the next one's place is this modulo the ring's size.
    pub head: U64,
    /// `head` at the last Start.
    pub since: U64,
    pub reserved: [U64; 12],
}

/// One event (16 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Record {
    /// When, by the time base.
    pub tb: U64,
    /// An [`Event`].
    pub event: u8,
    /// The vcpu's slot in its vcore, or [`NO_SLOT`].
    pub slot: u8,
    /// The vcore's number (its handle's lower 16 bits), or [`NO_VCORE`].
    pub vcore: U16,
    /// As the event says.
    pub arg: U32,
}

pub const NO_SLOT: u8 = u8::MAX;
pub const NO_VCORE: u16 = u16::MAX;

/// What a thread has done, and what [`Record::arg`] says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u8)]
pub enum Event {
    /// A call of the host's has come: its token.
    CallIn = 1,
    /// It returns: its status, signed.
    CallOut = 2,
    /// The core is the firmware's, for a run: LPID in the upper half, threads called in the lower.
    WorldIn = 3,
    /// The core is the host's again.
    WorldOut = 4,
    /// Out of a nap: its cause, SRR1 42:45 (Power ISA 2.07 Book III-S 6.5.1).
    Wake = 5,
    /// The guest is next: the run's generation.
    Enter = 6,
    /// The guest was interrupted: the vector.
    Exit = 7,
    /// Back into the guest, without having left the vcore.
    Resume = 8,
    /// The vcpu's registers are in its page: an [`crate::ExitReason`].
    Left = 9,
    /// The thread naps: 0 until it is called, 1 in H_CEDE.
    Nap = 10,
    /// H_CEDE.
    Cede = 11,
    /// H_PROD: the vcpu's id.
    Prod = 12,
    /// H_CONFER.
    Confer = 13,
    /// Calls a thread, by an IPI or thread 0 by its doorbell: that thread's PIR.
    Call = 14,
    /// Has taken a call that came while it was awake.
    Taken = 15,
    /// Brings siblings out by the hypervisor decrementer: mask of threads in the guest.
    Pull = 16,
    /// VCORE_KICK: mask of slots in bits 0–7, the cause's lower 24 bits above.
    Kick = 17,
    /// A vcpu of a running vcore gets a thread: its number in the core.
    Join = 18,
    /// Threads never came back: their mask.
    Fence = 19,
    /// The thread is the host's now.
    ToHost = 20,
}

const _: () = assert!(size_of::<Header>() == 128 && size_of::<RingHeader>() == 128);
const _: () = assert!(size_of::<Record>() == 16);
macro_rules! at {
    ($type:ident: $($field:ident = $offset:literal),+) => {
        $(const _: () = assert!(core::mem::offset_of!($type, $field) == $offset);)+
    };
}
at!(Header: rings = 12, header_bytes = 16, ring_bytes = 20, records = 24, record_bytes = 28);
at!(Header: tb_hz = 32, on = 40, since_tb = 48, until_tb = 56);
at!(RingHeader: pir = 8, head = 16, since = 24);
at!(Record: tb = 0, event = 8, slot = 9, vcore = 10, arg = 12);

/// A trace, to be read.
#[derive(Clone, Copy, Debug)]
pub struct Trace<'a> {
    pub header: Header,
    rings: &'a [u8],
}

/// Why bytes are no trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadTrace {
    /// They don't begin as one.
    Magic,
    /// One of another version than this crate's.
    Version(u32),
    /// The header's sizes don't fit each other.
    Sizes,
    /// Fewer bytes than the header says.
    Short,
    /// A ring doesn't begin as one.
    Ring(u32),
}

impl core::fmt::Display for BadTrace {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Magic => f.write_str("this is no trace"),
            Self::Version(version) => {
                write!(f, "a trace of version {version}; {VERSION} is understood")
            }
            Self::Sizes => f.write_str("the trace's sizes don't fit each other"),
            Self::Short => f.write_str("the trace is cut short"),
            Self::Ring(number) => write!(f, "ring {number} of the trace doesn't begin as one"),
        }
    }
}

impl core::error::Error for BadTrace {}

impl<'a> Trace<'a> {
    /// # Errors
    /// The bytes are no trace of this version.
    pub fn read(bytes: &'a [u8]) -> Result<Self, BadTrace> {
        let (header, _) = Header::read_from_prefix(bytes).map_err(|_| BadTrace::Short)?;
        if header.magic.get() != MAGIC {
            return Err(BadTrace::Magic);
        }
        if header.version.get() != VERSION {
            return Err(BadTrace::Version(header.version.get()));
        }
        let records = header.records.get() as usize;
        let content = records.checked_mul(size_of::<Record>());
        let content = content.and_then(|bytes| bytes.checked_add(size_of::<RingHeader>()));
        if !records.is_power_of_two()
            || header.record_bytes.get() as usize != size_of::<Record>()
            || content != Some(header.ring_bytes.get() as usize)
        {
            return Err(BadTrace::Sizes);
        }
        let rings = bytes.get(header.header_bytes.get() as usize..);
        let rings = rings.ok_or(BadTrace::Short)?;
        let trace = Self { header, rings };
        for number in 0..header.rings.get() {
            let ring = trace.ring(number).ok_or(BadTrace::Short)?;
            if ring.header.magic.get() != RING_MAGIC {
                return Err(BadTrace::Ring(number));
            }
        }
        Ok(trace)
    }

    /// Each thread's ring.
    pub fn rings(&self) -> impl Iterator<Item = Ring<'a>> {
        let trace = *self;
        (0..self.header.rings.get()).filter_map(move |number| trace.ring(number))
    }

    /// Threads record while this is read.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.header.on.get() != 0
    }

    fn ring(&self, number: u32) -> Option<Ring<'a>> {
        let ring_bytes = self.header.ring_bytes.get() as usize;
        let start = (number as usize).checked_mul(ring_bytes)?;
        let bytes = self.rings.get(start..start.checked_add(ring_bytes)?)?;
        let (header, records) = RingHeader::read_from_prefix(bytes).ok()?;
        Some(Ring {
            header,
            records: <[Record]>::ref_from_bytes(records).ok()?,
            is_on: self.is_on(),
        })
    }
}

/// One thread's ring.
#[derive(Clone, Copy, Debug)]
pub struct Ring<'a> {
    pub header: RingHeader,
    records: &'a [Record],
    is_on: bool,
}

impl<'a> Ring<'a> {
    /// PIR of the thread.
    #[must_use]
    pub fn pir(&self) -> u32 {
        self.header.pir.get() as u32
    }

    /// What was recorded since the last Start and is still there, oldest first. While the trace is
    /// on, the oldest of a full ring is left out: the thread may be writing over it.
    pub fn records(&self) -> impl Iterator<Item = Record> + use<'a> {
        let records = self.records;
        self.places().map(move |place| records[place])
    }

    /// The places in the ring that these records have.
    pub fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let (head, last) = (self.header.head.get(), self.records.len() - 1);
        (head - self.kept()..head).map(move |number| number as usize & last)
    }

    /// How many records since the last Start were written over.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.written() - self.kept()
    }

    /// Records since the last Start.
    fn written(&self) -> u64 {
        let head = self.header.head.get();
        head.saturating_sub(self.header.since.get())
    }

    fn kept(&self) -> u64 {
        let room = self.records.len() as u64 - u64::from(self.is_on);
        self.written().min(room)
    }
}

#[cfg(test)]
#[path = "trace_tests.rs"]
mod tests;

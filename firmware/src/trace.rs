//! The trace: each thread notes what it does in a ring of its own, in the layout of
//! [`hcalls::trace`]. Nothing is locked and nothing formatted; the oldest record is written over.
//!
//! While the trace is off, a thread's area names no ring, and its entries from assembly are the
//! ordinary ones: those that record stand beside them and take their place when the trace is switched on.
//! A run's hot path has no check of its own: whether it is traced is told with what it looks at
//! anyway ([`crate::smt::cores::PresentRun::untouched`], [`crate::smt::cores::PresentRun::at_leaving`]).
mod ring;

pub mod switch;

pub use ring::Ring;

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use hcalls::trace::{Event, NO_SLOT, NO_VCORE};

/// What ended a nap: SRR1 42:45.
pub fn cause(srr1: u64) -> u32 {
    (srr1 >> 18) as u32 & 0xf
}

/// Whom an event is about: nobody, a vcore, or a vcpu of it.
/// As a record has it: the slot in front of the vcore's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whom(u64);

impl Whom {
    pub const NOBODY: Self = Self((NO_SLOT as u64) << 16 | NO_VCORE as u64);

    /// A vcore, by its handle.
    pub fn vcore(handle: u64) -> Self {
        Self(u64::from(NO_SLOT) << 16 | u64::from(handle as u16))
    }

    /// A vcpu of a vcore.
    pub fn vcpu(handle: u64, slot: usize) -> Self {
        Self(u64::from(slot as u8) << 16 | u64::from(handle as u16))
    }
}

/// What happens, to whom, and the event's argument.
pub type Told = (Event, Whom, u32);

/// Where this thread records, while the trace is on.
#[inline(always)]
fn own_ring() -> Option<&'static Ring> {
    // SAFETY: r13 holds this thread's area, whose `trace` is 0 or the address of the thread's ring,
    // which stays for good.
    unsafe { ((*asm::op::area()).trace as *const Ring).as_ref() }
}

/// Whether this thread records: one load and one branch.
#[inline(always)]
pub fn is_on() -> bool {
    let on = own_ring().is_some();
    if on {
        cold();
    }
    on
}

/// Notes an event of this thread's: one load and one branch while the trace is off. Recording is no
/// call, which would cost whoever does it saved registers even then.
#[inline(always)]
pub fn note(event: Event, of: impl FnOnce() -> (Whom, u32)) {
    note_all(|| {
        let (whom, arg) = of();
        [(event, whom, arg)]
    });
}

/// The same of several events at once.
#[inline(always)]
pub fn note_all<const COUNT: usize>(of: impl FnOnce() -> [Told; COUNT]) {
    if let Some(ring) = own_ring() {
        cold();
        ring.write(ring.time_tb(), of());
    }
}

/// What calls this is put out of the way.
#[cold]
#[inline]
fn cold() {}

/// By core, as PIRs number them: how far its time base is ahead of the host's, in its present run.
static OFFSETS_TB: [AtomicU64; CORES] = [const { AtomicU64::new(0) }; CORES];
const CORES: usize = asm::opal::PIR_LIMIT >> THREAD_BITS;
/// Bits of a PIR that number a core's threads.
const THREAD_BITS: u32 = hcalls::MAX_THREADS.trailing_zeros();

/// The core with that PIR counts its time base so far ahead of the host's from now on.
pub fn set_offset(pir: u32, ahead_tb: u64) {
    offset_tb(pir).store(ahead_tb, Relaxed);
}

/// By how much the time base of the core of thread `pir` is ahead of the host's.
fn offset_tb(pir: u32) -> &'static AtomicU64 {
    &OFFSETS_TB[(pir >> THREAD_BITS) as usize % CORES]
}

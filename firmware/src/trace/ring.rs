//! A ring of records, and how one is written.
use super::Whom;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, Release};
use hcalls::trace::{Event, RING_MAGIC, Record, RingHeader};

/// The header of a thread's ring; the records follow it in memory. Its thread alone writes `head`
/// and the records.
#[derive(Debug)]
#[repr(C)]
pub struct Ring {
    magic: AtomicU64,
    pir: AtomicU64,
    head: AtomicU64,
    since: AtomicU64,
    /// Not the reader's business: how many records there are, less one.
    mask: AtomicU64,
    reserved: [AtomicU64; 11],
}

/// A record: its two words.
type Slot = [AtomicU64; 2];

const _: () = assert!(size_of::<Ring>() == size_of::<RingHeader>());
const _: () = assert!(size_of::<Slot>() == size_of::<Record>());

impl Ring {
    /// Makes an empty ring of `records` records, a power of two, for thread `pir`.
    ///
    /// # Safety
    /// At `at`, aligned to 8 bytes, is memory for the header and the records that nothing else
    /// uses, ever.
    pub unsafe fn create(at: *mut u8, records: usize, pir: u32) -> &'static Self {
        let ring = at.cast::<Self>();
        // SAFETY: the caller's promise; zeros are a value of each field.
        let ring = unsafe {
            ring.write_bytes(0, 1);
            &*ring
        };
        ring.pir.store(u64::from(pir).to_be(), Relaxed);
        ring.mask.store(records as u64 - 1, Relaxed);
        ring.magic.store(RING_MAGIC.to_be(), Release);
        ring
    }

    /// What is there already doesn't count any more.
    pub fn begin(&self) {
        self.since.store(self.head.load(Relaxed), Relaxed);
    }

    /// Adds a record, over the oldest if need be. For the ring's own thread.
    #[inline(always)]
    pub fn write(&self, tb: u64, event: Event, whom: Whom, arg: u32) {
        let head = u64::from_be(self.head.load(Relaxed));
        let place = (head & self.mask.load(Relaxed)) as usize;
        // SAFETY: `create`'s caller has promised memory for `mask` + 1 records behind the header.
        let slot = unsafe {
            let records = core::ptr::from_ref(self).add(1).cast::<Slot>();
            &*records.add(place)
        };
        slot[0].store(tb.to_be(), Relaxed);
        slot[1].store(word(event, whom, arg).to_be(), Relaxed);
        // Release: who reads the head finds the record.
        self.head.store(head.wrapping_add(1).to_be(), Release);
    }
}

/// A record's second word.
fn word(event: Event, whom: Whom, arg: u32) -> u64 {
    (event as u64) << 56 | u64::from(whom.slot) << 48 | u64::from(whom.vcore) << 32 | u64::from(arg)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use hcalls::trace::{Header, MAGIC, Trace, VERSION};
    use std::boxed::Box;
    use std::vec::Vec;
    use zerocopy::{FromZeros, IntoBytes};

    const RECORDS: usize = 16;
    const RING_BYTES: usize = size_of::<Ring>() + RECORDS * size_of::<Slot>();

    /// A ring, and the memory in which it is.
    fn ring() -> (&'static Ring, *const u8) {
        let memory = Box::leak(Box::new([0xee_u64; RING_BYTES / 8])).as_mut_ptr();
        // SAFETY: fresh memory that is never freed.
        let ring = unsafe { Ring::create(memory.cast(), RECORDS, 11) };
        (ring, memory.cast())
    }

    /// What a host reads of it: time, event, slot, vcore, argument.
    fn read(memory: *const u8) -> Vec<(u64, u8, u8, u16, u32)> {
        let mut header = Header::new_zeroed();
        header.magic.set(MAGIC);
        header.version.set(VERSION);
        header.rings.set(1);
        header.header_bytes.set(size_of::<Header>() as u32);
        header.ring_bytes.set(RING_BYTES as u32);
        header.records.set(RECORDS as u32);
        header.record_bytes.set(size_of::<Record>() as u32);
        // SAFETY: the memory of a ring that nobody writes meanwhile.
        let ring = unsafe { core::slice::from_raw_parts(memory, RING_BYTES) };
        let bytes = [header.as_bytes(), ring].concat();
        let trace = Trace::read(&bytes).unwrap();
        let ring = trace.rings().next().unwrap();
        assert_eq!(ring.pir(), 11);
        let tuple = |record: Record| {
            let (vcore, arg) = (record.vcore.get(), record.arg.get());
            (record.tb.get(), record.event, record.slot, vcore, arg)
        };
        ring.records().map(tuple).collect()
    }

    #[test]
    fn a_host_reads_what_was_written() {
        let (ring, memory) = ring();
        assert_eq!(read(memory), []);
        ring.write(5, Event::Wake, Whom::NOBODY, 8);
        let vcpu = Whom::vcpu(0x2_0001_0203, 7);
        ring.write(1 << 60, Event::Enter, vcpu, u32::MAX);
        let written = [(5, 5, 0xff, 0xffff, 8), (1 << 60, 6, 7, 0x203, u32::MAX)];
        assert_eq!(read(memory), written);
    }

    #[test]
    fn the_newest_records_stay() {
        let (ring, memory) = ring();
        for number in 0..1000 {
            ring.write(number, Event::Call, Whom::vcore(3), number as u32);
            let kept = read(memory);
            let first = (number + 1).saturating_sub(RECORDS as u64);
            let times: Vec<u64> = kept.iter().map(|record| record.0).collect();
            assert_eq!(times, (first..=number).collect::<Vec<u64>>());
        }
    }

    #[test]
    fn a_start_forgets_what_was_before() {
        let (ring, memory) = ring();
        (0..100).for_each(|tb| ring.write(tb, Event::Nap, Whom::NOBODY, 0));
        ring.begin();
        assert_eq!(read(memory), []);
        ring.write(100, Event::Nap, Whom::NOBODY, 0);
        assert_eq!(read(memory).len(), 1);
    }
}

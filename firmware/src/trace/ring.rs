//! A ring of records, and how one is written.
use super::{Told, Whom};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, Release};
use hcalls::trace::{RING_MAGIC, Record, RingHeader};

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
    /// Nor this: the address of the number by which the thread's time base is ahead of the host's.
    offset_tb_at: AtomicU64,
    reserved: [AtomicU64; 10],
}

/// A record: its two words.
type Slot = [AtomicU64; 2];

const _: () = assert!(size_of::<Ring>() == size_of::<RingHeader>());
const _: () = assert!(size_of::<Slot>() == size_of::<Record>());

impl Ring {
    /// Makes an empty ring of `records` records, a power of two, for thread `pir`, whose time base is ahead of the
    /// host's by `offset_tb`.
    ///
    /// # Safety
    /// At `at`, aligned to 8 bytes, is memory for the header and the records that nothing else
    /// uses, ever.
    pub unsafe fn create(
        at: *mut u8,
        records: usize,
        pir: u32,
        offset_tb: &'static AtomicU64,
    ) -> &'static Self {
        let ring = at.cast::<Self>();
        // SAFETY: the caller's promise; zeros are a value of each field.
        let ring = unsafe {
            ring.write_bytes(0, 1);
            &*ring
        };
        ring.pir.store(u64::from(pir).to_be(), Relaxed);
        ring.mask.store(records as u64 - 1, Relaxed);
        let offset_tb_at = core::ptr::from_ref(offset_tb).expose_provenance();
        ring.offset_tb_at.store(offset_tb_at as u64, Relaxed);
        ring.magic.store(RING_MAGIC.to_be(), Release);
        ring
    }

    /// What is there already doesn't count any more.
    pub fn begin(&self) {
        self.since.store(self.head.load(Relaxed), Relaxed);
    }

    /// The host's time base, on the ring's own thread.
    #[inline(always)]
    pub fn time_tb(&self) -> u64 {
        let at = self.offset_tb_at.load(Relaxed) as usize;
        // SAFETY: `create` has put the address there, of a number that stays for good.
        let offset_tb = unsafe { &*core::ptr::with_exposed_provenance::<AtomicU64>(at) };
        asm::op::time_tb().wrapping_sub(offset_tb.load(Relaxed))
    }

    /// Adds records of one moment, over the oldest if need be. For the ring's own thread.
    #[inline(always)]
    pub fn write<const COUNT: usize>(&self, tb: u64, events: [Told; COUNT]) {
        let head = u64::from_be(self.head.load(Relaxed));
        let mask = self.mask.load(Relaxed);
        for (number, told) in (0..).zip(events) {
            let place = (head.wrapping_add(number) & mask) as usize;
            // SAFETY: `create`'s caller has promised memory for `mask` + 1 records behind the header.
            let slot = unsafe {
                let records = core::ptr::from_ref(self).add(1).cast::<Slot>();
                &*records.add(place)
            };
            slot[0].store(tb.to_be(), Relaxed);
            slot[1].store(word(told).to_be(), Relaxed);
        }
        // Release: who reads the head finds the records.
        let head = head.wrapping_add(COUNT as u64);
        self.head.store(head.to_be(), Release);
    }
}

/// A record's second word.
#[inline(always)]
fn word((event, whom, arg): Told) -> u64 {
    let Whom(whom) = whom;
    (event as u64) << 56 | whom << 32 | u64::from(arg)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use hcalls::trace::{Event, Header, MAGIC, Trace, VERSION};
    use std::boxed::Box;
    use std::vec::Vec;
    use zerocopy::{FromZeros, IntoBytes};

    const RECORDS: usize = 16;
    static OFFSET_TB: AtomicU64 = AtomicU64::new(0);
    const RING_BYTES: usize = size_of::<Ring>() + RECORDS * size_of::<Slot>();

    /// A ring, and the memory in which it is.
    fn ring() -> (&'static Ring, *const u8) {
        let memory = Box::leak(Box::new([0xee_u64; RING_BYTES / 8])).as_mut_ptr();
        // SAFETY: fresh memory that is never freed.
        let ring = unsafe { Ring::create(memory.cast(), RECORDS, 11, &OFFSET_TB) };
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
        ring.write(5, [(Event::Wake, Whom::NOBODY, 8)]);
        let vcpu = Whom::vcpu(0x2_0001_0203, 7);
        ring.write(1 << 60, [(Event::Enter, vcpu, u32::MAX)]);
        let written = [(5, 5, 0xff, 0xffff, 8), (1 << 60, 6, 7, 0x203, u32::MAX)];
        assert_eq!(read(memory), written);
    }

    #[test]
    fn records_of_one_moment_stand_one_after_the_other() {
        let (ring, memory) = ring();
        let [left, nap] = [
            (Event::Left, Whom::vcpu(2, 1), 14),
            (Event::Nap, Whom::NOBODY, 0),
        ];
        // They go over the end of the ring, too.
        (0..RECORDS as u64).for_each(|tb| ring.write(tb, [nap]));
        ring.write(99, [left]);
        ring.write(100, [left, nap]);
        let kept = read(memory);
        let two = [
            (100, Event::Left as u8, 1, 2, 14),
            (100, Event::Nap as u8, 0xff, 0xffff, 0),
        ];
        assert_eq!(kept[kept.len() - 2..], two);
    }

    #[test]
    fn the_newest_records_stay() {
        let (ring, memory) = ring();
        for number in 0..1000 {
            ring.write(number, [(Event::Call, Whom::vcore(3), number as u32)]);
            let kept = read(memory);
            let first = (number + 1).saturating_sub(RECORDS as u64);
            let times: Vec<u64> = kept.iter().map(|record| record.0).collect();
            assert_eq!(times, (first..=number).collect::<Vec<u64>>());
        }
    }

    #[test]
    fn a_start_forgets_what_was_before() {
        let (ring, memory) = ring();
        let nap = (Event::Nap, Whom::NOBODY, 0);
        (0..50).for_each(|tb| ring.write(tb, [nap, nap]));
        ring.begin();
        assert_eq!(read(memory), []);
        ring.write(100, [nap]);
        assert_eq!(read(memory).len(), 1);
    }
}

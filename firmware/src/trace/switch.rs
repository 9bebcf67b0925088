//! The trace's memory, and SMT_TRACE, which switches it on and off.
use super::Ring;
use crate::args::{Answer, Args};
use alloc::alloc::{Layout, alloc};
use asm::op;
use hcalls::Status;
use hcalls::registers::{SmtTrace, TraceBlock};
use hcalls::trace::{Header, MAGIC, Record, RingHeader, TB_HZ, TraceAction, VERSION};
use platform::cpu::lock::Lock;
use platform::cpu::thread::{self, Entries};
use platform::memory::real;
use platform::memory::region::Region;

/// Most that all rings may take of the firmware's memory.
const MAX_BYTES: usize = 4 << 20;
/// Most and least records of a ring.
const MOST_RECORDS: usize = 4096;
const LEAST_RECORDS: usize = 64;

/// The block of memory that hosts read.
struct Block {
    header: *mut Header,
    region: Region,
    /// By thread, in the machine's order: PIR and ring.
    rings: &'static [(u32, &'static Ring)],
    /// Threads' entries from assembly while the trace is off, and while it is on.
    entries: [&'static Entries; 2],
}

// SAFETY: the header is written by whoever holds the lock; rings are for threads to share.
unsafe impl Send for Block {}

static BLOCK: Lock<Option<Block>> = Lock::new(None);

/// Makes the block, with a ring for each of these threads; none if there is no memory for it. What
/// the rings' memory held before stays there until it is written over.
pub fn init(pirs: &[u32], entries: [&'static Entries; 2]) -> Option<Region> {
    let room = (MAX_BYTES / size_of::<Record>()).checked_div(pirs.len())?;
    let records = (1 << room.checked_ilog2()?).clamp(LEAST_RECORDS, MOST_RECORDS);
    let ring_bytes = size_of::<RingHeader>() + records * size_of::<Record>();
    let len_bytes = size_of::<Header>() + pirs.len() * ring_bytes;
    let layout = Layout::from_size_align(len_bytes, 128).ok()?;
    // SAFETY: the layout's size isn't 0.
    let start = unsafe { alloc(layout) };
    if start.is_null() {
        return None;
    }
    let mut rings = alloc::vec::Vec::with_capacity(pirs.len());
    for (number, &pir) in pirs.iter().enumerate() {
        // SAFETY: each ring has its part of the memory just taken.
        let ring = unsafe {
            let at = start.add(size_of::<Header>() + number * ring_bytes);
            Ring::create(at, records, pir, super::offset_tb(pir))
        };
        rings.push((pir, ring));
    }
    let header: *mut Header = start.cast();
    // SAFETY: the part before the rings.
    unsafe { header.write_volatile(first_header(pirs.len(), ring_bytes, records)) };
    let region = Region::new(real::address(start), len_bytes as u64)?;
    *BLOCK.lock() = Some(Block {
        header,
        region,
        rings: rings.leak(),
        entries,
    });
    Some(region)
}

fn first_header(rings: usize, ring_bytes: usize, records: usize) -> Header {
    let mut header: Header = zerocopy::FromZeros::new_zeroed();
    header.magic.set(MAGIC);
    header.version.set(VERSION);
    header.rings.set(rings as u32);
    header.header_bytes.set(size_of::<Header>() as u32);
    header.ring_bytes.set(ring_bytes as u32);
    header.records.set(records as u32);
    header.record_bytes.set(size_of::<Record>() as u32);
    header.tb_hz.set(TB_HZ);
    header
}

/// There is memory for the trace.
pub fn exists() -> bool {
    BLOCK.lock().is_some()
}

/// SMT_TRACE: action → on or off, the block's real address, its length.
pub fn smt_trace(args: &Args) -> Answer {
    let SmtTrace { action } = SmtTrace::from_registers(args)?;
    let block = BLOCK.lock();
    let block = block.as_ref().ok_or(Status::Unsupported)?;
    match action {
        TraceAction::Status => {}
        TraceAction::Start => block.start(),
        TraceAction::Stop => block.stop(),
    }
    let told = TraceBlock {
        on: block.is_on(),
        address: block.region.start(),
        len_bytes: block.region.len_bytes(),
    };
    Ok(told.to_registers())
}

/// Switches the trace on, if there is memory for it.
pub fn start() {
    if let Some(block) = &*BLOCK.lock() {
        block.start();
        log::info!("catnap: the trace is on: {}", block.region);
    }
}

impl Block {
    fn is_on(&self) -> bool {
        self.header().on.get() != 0
    }

    fn header(&self) -> Header {
        // SAFETY: the block's own header; who holds the lock alone writes it.
        unsafe { self.header.read_volatile() }
    }

    fn set(&self, header: Header) {
        // SAFETY: as above; hosts that read it meanwhile may see half of a change.
        unsafe { self.header.write_volatile(header) }
    }

    fn start(&self) {
        let mut header = self.header();
        if header.on.get() != 0 {
            return;
        }
        self.rings.iter().for_each(|(_, ring)| ring.begin());
        header.on.set(1);
        header.since_tb.set(op::time_tb());
        header.until_tb.set(0);
        self.set(header);
        let [off, on] = self.entries;
        for &(pir, ring) in self.rings {
            thread::trace_to(pir, core::ptr::from_ref(ring) as u64);
            thread::change_entries(pir, off, on);
        }
    }

    fn stop(&self) {
        let mut header = self.header();
        if header.on.get() == 0 {
            return;
        }
        let [off, on] = self.entries;
        for &(pir, _) in self.rings {
            thread::change_entries(pir, on, off);
            thread::trace_to(pir, 0);
        }
        header.on.set(0);
        header.until_tb.set(op::time_tb());
        self.set(header);
    }
}

//! Counting and tracing calls, in the layout of [`hcalls::call_log`]. Each thread writes its own
//! part, so nothing here is locked or atomic.
use super::table;
use alloc::vec::Vec;
use asm::op;
use hcalls::call_log::{Count, Header, MAGIC, ThreadLog, Traced, VERSION};
use platform::memory::real;
use platform::memory::region::Region;

/// Calls of a thread that are kept.
const TRACED: usize = 128;

const WORD: usize = size_of::<u64>();
const HEADER_WORDS: usize = size_of::<Header>() / WORD;
const TOKEN_WORDS: usize = table::COUNT.div_ceil(2);
const THREAD_WORDS: usize = size_of::<ThreadLog>() / WORD;
const COUNT_WORDS: usize = size_of::<Count>() / WORD;
const TRACED_WORDS: usize = size_of::<Traced>() / WORD;
const COUNTS: usize = THREAD_WORDS;
const TRACE: usize = COUNTS + table::COUNT * COUNT_WORDS;
const PART_WORDS: usize = TRACE + TRACED * TRACED_WORDS;

/// Makes the block for these threads and tells each of its part. The machine is big-endian, and so
/// is the layout: words are stored as they are.
pub fn init(pirs: impl ExactSizeIterator<Item = u32>) -> Option<Region> {
    let threads = pirs.len();
    let words = HEADER_WORDS + TOKEN_WORDS + threads * PART_WORDS;
    let block: &'static mut [u64] = Vec::leak(alloc::vec![0; words]);
    let region = Region::new(real::address(block.as_ptr()), (words * WORD) as u64);
    block[0] = MAGIC;
    block[1] = u64::from(VERSION) << 32 | threads as u64;
    block[2] = (table::COUNT as u64) << 32 | TRACED as u64;
    let (head, parts) = block.split_at_mut(HEADER_WORDS + TOKEN_WORDS);
    for (place, served) in table::all().iter().enumerate() {
        let shift = if place % 2 == 0 { 32 } else { 0 };
        head[HEADER_WORDS + place / 2] |= served.token << shift;
    }
    for (pir, part) in pirs.zip(parts.chunks_exact_mut(PART_WORDS)) {
        part[0] = u64::from(pir);
        platform::cpu::thread::log_calls_to(pir, part.as_mut_ptr());
    }
    region
}

/// Counts a call of this thread's. `took_tb` fits into 32 bits.
#[inline(always)]
pub fn count(served: &table::Served, status: i64, began_tb: u64, took_tb: u64) {
    // SAFETY: the area is this thread's; its log, if it has one, is a part that `init` has made,
    // which this thread alone writes. A call's place is below the number of calls, and what is
    // traced below `TRACED`, so that all lies within the part.
    unsafe {
        let part = (*op::area()).call_log as *mut u64;
        if part.is_null() {
            return;
        }
        let count = part.add(COUNTS).byte_add(served.counts_at_bytes);
        *count += 1;
        *count.add(1) += took_tb;
        *count.add(2) = took_tb.max(*count.add(2));
        let traced = *part.add(1);
        *part.add(1) = traced + 1;
        let entry = part.add(TRACE + traced as usize % TRACED * TRACED_WORDS);
        *entry = began_tb;
        let status = status as u64 & 0xffff;
        *entry.add(1) = took_tb << 32 | served.token << 16 | status;
    }
}

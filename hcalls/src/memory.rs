//! PARTITION_MEMORY's map and shadow, and what PARTITION_UNMAP works on.
use crate::bit;

/// The map's second level comes in chunks of so many bytes, each at a multiple of that.
pub const CHUNK_BYTES: u64 = 64 << 10;
/// Words of a chunk: one for each page of the host's.
pub const CHUNK_WORDS: u64 = CHUNK_BYTES / 8;

/// A word of a chunk is a page's real address and these bits. Without this one there is no memory.
pub const PAGE_READ: u64 = bit(0);
/// Guests may write it.
pub const PAGE_WRITE: u64 = bit(1);
/// It may have been written since the host took this bit away. The firmware sets it when an entry with C
/// goes.
pub const PAGE_CHANGED: u64 = bit(2);

/// The host's pages have 4 KiB or 64 KiB.
pub const PAGE_SHIFTS: [u32; 2] = [12, 16];
/// The map is for at most so many bytes.
pub const MAX_MAP_BYTES: u64 = 1 << 44;

/// Bytes of the shadow for each entry of the page table: the guest's second doubleword, and two words that
/// are the host's.
pub const SHADOW_ENTRY_BYTES: u64 = 16;

/// The shadow's words are little-endian; the map's are big-endian always.
pub const MEMORY_LITTLE_ENDIAN: u64 = bit(0);
/// All flags of PARTITION_MEMORY; others are refused.
pub const MEMORY_FLAGS: u64 = MEMORY_LITTLE_ENDIAN;

/// Entries that one PARTITION_UNMAP looks at, at most.
pub const UNMAP_ENTRIES: u64 = 1 << 16;

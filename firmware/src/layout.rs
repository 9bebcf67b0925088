//! How the firmware's region of memory is laid out, from `asm::BASE` on: the image, the heap behind it, and
//! NVRAM at the end.
use asm::BASE;

/// All of it; from the heap come all threads' areas and stacks.
pub const REGION_BYTES: u64 = 32 << 20;
/// NVRAM on a machine whose flash has none, and the most that flash may have.
pub const NVRAM_BYTES: u64 = 64 * 1024;
pub const MAX_NVRAM_BYTES: u64 = 512 * 1024;
/// Where NVRAM begins, and the heap ends.
pub const NVRAM_START: u64 = BASE + REGION_BYTES - MAX_NVRAM_BYTES;

//! The symbol map: text that the build tool puts behind the image, for a host that reads back
//! traces.
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use platform::memory::real;
use platform::memory::region::Region;

/// Where the map lies in the image's file; the build tool fills this in. Not 0 before, so that
/// it is in the file at all.
#[repr(C)]
struct Place {
    offset: AtomicU32,
    len_bytes: AtomicU32,
}

const UNKNOWN: u32 = u32::MAX;
/// The whole file has no more (`-bios` takes 16 MiB).
const MAX_BYTES: u32 = 1 << 20;

#[unsafe(no_mangle)]
#[used]
static SYMBOL_MAP_PLACE: Place = Place {
    offset: AtomicU32::new(UNKNOWN),
    len_bytes: AtomicU32::new(UNKNOWN),
};

/// Copies the map from the image's file at real 0, which will be the host's, to memory of ours.
pub fn keep() -> Option<Region> {
    let offset = SYMBOL_MAP_PLACE.offset.load(Relaxed);
    let len_bytes = SYMBOL_MAP_PLACE.len_bytes.load(Relaxed);
    if offset > MAX_BYTES || len_bytes > MAX_BYTES {
        return None;
    }
    // SAFETY: the file lies there until the host runs, and the build tool says that it has so many
    // bytes.
    let map =
        unsafe { core::slice::from_raw_parts(real::ptr(u64::from(offset)), len_bytes as usize) };
    let map: &'static [u8] = Vec::leak(map.to_vec());
    Region::new(real::address(map.as_ptr()), u64::from(len_bytes))
}

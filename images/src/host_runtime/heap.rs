//! Memory for tables and lists. Of what is given back only the newest piece is used again: a host
//! that runs one job and switches off has no need of more.
use core::alloc::{GlobalAlloc, Layout};

use super::sync::Lock;

const HEAP_BYTES: usize = 4 << 20;

#[repr(align(128))]
struct Arena {
    bytes: core::cell::UnsafeCell<[u8; HEAP_BYTES]>,
}

// SAFETY: the bytes are given out under the lock below, each of them once.
unsafe impl Sync for Arena {}

static ARENA: Arena = Arena {
    bytes: core::cell::UnsafeCell::new([0; HEAP_BYTES]),
};
static USED_BYTES: Lock<usize> = Lock::new(0);

/// The host's global allocator. Guests allocate nothing, and have none of this in their images.
struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

// SAFETY: `alloc` gives each byte of the arena at most once, aligned as asked, or a null pointer.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let arena = ARENA.bytes.get().cast::<u8>();
        let mut used_bytes = USED_BYTES.lock();
        let place = arena.wrapping_add(*used_bytes);
        let skip = place.align_offset(layout.align());
        let Some(end) = used_bytes
            .checked_add(skip)
            .and_then(|start| start.checked_add(layout.size()))
        else {
            return core::ptr::null_mut();
        };
        if end > HEAP_BYTES {
            return core::ptr::null_mut();
        }
        *used_bytes = end;
        place.wrapping_add(skip)
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        let mut used_bytes = USED_BYTES.lock();
        let start = place.addr() - ARENA.bytes.get().addr();
        if start + layout.size() == *used_bytes {
            *used_bytes = start;
        }
    }
}

//! The firmware's heap: what is left of its region behind the image.
//!
//! Only booting and the making of trees allocate; no call that a running host makes does.
use crate::layout::NVRAM_START;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use platform::cpu::lock::Lock;
use platform::memory::real;
use platform::memory::zero::zero;
use talc::DefaultBinning;
use talc::base::Talc;
use talc::source::Manual;

unsafe extern "C" {
    static image_end: u8;
}

struct Heap(Lock<Talc<Manual, DefaultBinning>>);

#[global_allocator]
static HEAP: Heap = Heap(Lock::new(Talc::new(Manual)));

// SAFETY: the lock makes each call alone; talc keeps GlobalAlloc's promises.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller passes a layout that isn't empty.
        let block = unsafe { self.0.lock().allocate(layout) };
        block.map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise; the block is the caller's alone, and of that length.
        unsafe {
            let block = self.alloc(layout);
            if !block.is_null() {
                zero(real::address(block), layout.size() as u64);
            }
            block
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller got `block` from `alloc` with this layout.
        unsafe { self.0.lock().deallocate(block, layout) }
    }
}

/// Gives the heap its memory, from the end of the image to NVRAM.
///
/// # Safety
/// Called once, by the boot thread; the region is RAM that nothing else uses.
pub unsafe fn init() {
    let start = real::address(&raw const image_end);
    let len_bytes = (NVRAM_START - start) as usize;
    // SAFETY: the caller's promise; image_end lies in the region by the size of the image.
    let claimed = unsafe { HEAP.0.lock().claim(real::ptr(start), len_bytes) };
    assert!(claimed.is_some(), "no room for a heap behind the image");
}

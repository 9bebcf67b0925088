//! Stands for the OPAL entry.
use super::{Next, go};
use crate::area::ThreadArea;
use core::sync::atomic::{AtomicPtr, Ordering::SeqCst};

pub const PIR_LIMIT: usize = 2048;
pub const RUN_TOKEN: u64 = 1106;
pub const CALL_FRAME_BYTES: u64 = 320;

static AREAS: [AtomicPtr<ThreadArea>; PIR_LIMIT] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; PIR_LIMIT];

/// Says where thread `pir`'s area is.
///
/// # Safety
/// As on the machine.
pub unsafe fn register_area(pir: usize, area: *mut ThreadArea) {
    AREAS[pir].store(area, SeqCst);
}

/// Thread `pir`'s area; null when none is registered.
#[must_use]
pub fn area_of(pir: usize) -> *mut ThreadArea {
    AREAS[pir].load(SeqCst)
}

/// Ends the run's call.
///
/// # Safety
/// As on the machine.
pub unsafe fn return_from_run(status: i64) -> ! {
    go(Next::Return(status))
}

/// Gives the thread to a host.
///
/// # Safety
/// As on the machine.
pub unsafe fn enter_host(pc: u64, _args: *const [u64; 7]) -> ! {
    go(Next::Host(pc))
}

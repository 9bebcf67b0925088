//! Stands for the way into a guest.

/// See the machine's.
///
/// # Safety
/// As there.
pub unsafe fn guest_enter(page: *mut u8) -> ! {
    super::go(super::Next::Guest(page.expose_provenance()))
}

//! Interrupts that come from outside the guest's own instructions: 0x500, 0x900 and 0xa00.
use core::sync::atomic::{AtomicUsize, Ordering};

/// What is called for one of them, with its vector; the guest goes on afterwards. It says whether
/// it had a use for the interrupt.
pub type Handler = fn(u64) -> bool;

/// A [`Handler`]'s address, or 0.
static HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Sets the handler for all vcpus of the guest.
pub fn set_handler(handler: Handler) {
    HANDLER.store(handler as usize, Ordering::Release);
}

/// Puts this vcpu's decrementer as far off as it goes (2^31 ticks).
pub fn stop_decrementer() {
    set_decrementer(0x7fff_ffff);
}

/// Sets this vcpu's decrementer.
pub fn set_decrementer(ticks: u64) {
    // SAFETY: nothing but the interrupt depends on the decrementer.
    unsafe { super::spr::write::<{ super::spr::DEC }>(ticks) }
}

/// From the vectors. The answer is 1 if the guest goes on, 0 if the host has to be told.
#[cfg(target_arch = "powerpc64")]
#[unsafe(no_mangle)]
extern "C" fn guest_interrupted(vector: u64) -> u64 {
    let handler = HANDLER.load(Ordering::Acquire);
    if handler != 0 {
        // SAFETY: only `set_handler` writes it.
        let handler = unsafe { core::mem::transmute::<usize, Handler>(handler) };
        if handler(vector) {
            return 1;
        }
    }
    // A decrementer comes to everyone who lets interrupts in; it's a clock that nobody reads.
    if vector == 0x900 {
        stop_decrementer();
    }
    u64::from(vector == 0x900)
}

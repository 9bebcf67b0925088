//! What a guest stands on: entry, vectors, hypercalls. The same source serves both byte orders.
//!
//! The host starts every vcpu at the image's entry in real mode with r3 = its index from 0, r4 =
//! the number of vcpus, r5 and r6 = two arguments (the reference host: address and length of the
//! share of the input that the guest is to hash).
mod entry;
pub mod hcall;
pub mod interrupt;
pub mod spr;
pub mod term;

/// Most vcpus of a guest of this runtime; each has a stack.
pub const MAX_VCPUS: u64 = 8;

/// What a vcpu was started with.
#[derive(Clone, Copy, Debug)]
pub struct Vcpu {
    /// From 0; the vcpu's id too.
    pub index: u64,
    pub count: u64,
    pub args: [u64; 2],
}

/// Joins a guest's `fn(Vcpu) -> !` to the runtime: the entry and the panic handler. On a build host
/// there is nothing to enter; the function is still compiled and checked.
#[macro_export]
macro_rules! guest {
    ($main:path) => {
        #[cfg(target_arch = "powerpc64")]
        #[unsafe(no_mangle)]
        extern "C" fn guest_main(index: u64, count: u64, first: u64, second: u64) -> ! {
            $main($crate::guest_runtime::Vcpu {
                index,
                count,
                args: [first, second],
            })
        }

        #[cfg(target_arch = "powerpc64")]
        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::guest_runtime::panicked(info)
        }

        #[cfg(not(target_arch = "powerpc64"))]
        fn main() {
            let main: fn($crate::guest_runtime::Vcpu) -> ! = $main;
            panic!("{main:p} runs in a partition of catnap's only");
        }
    };
}

/// For a panic handler: tells the host the line, and asks for nothing more.
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    let line = info.location().map_or(0, |location| location.line());
    loop {
        hcall::call(crate::guest_calls::H_PANIC, &[line.into()]);
    }
}

/// The memory at `address`, as bytes.
///
/// # Safety
/// The host has put something there for the guest, and nobody writes to it.
pub unsafe fn memory(address: u64, len_bytes: u64) -> &'static [u8] {
    let address = core::ptr::with_exposed_provenance(address as usize);
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(address, len_bytes as usize) }
}

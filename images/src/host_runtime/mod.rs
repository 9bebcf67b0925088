//! What a host stands on: entry, OPAL calls, console, memory, and the other cores.
//!
//! A host runs in hypervisor real mode, big-endian, with interrupts off: effective addresses are
//! real addresses. It has one hardware thread of each core; the others are the firmware's.
pub mod calls;
pub mod console;
pub mod cores;
pub mod cpu;
pub mod decrementers;
pub mod entry;
pub mod fatal;
pub mod guest;
#[cfg(target_arch = "powerpc64")]
mod heap;
pub mod hpt;
pub mod icp;
pub mod marks;
pub mod mmu;
pub mod opal;
pub mod slb;
pub mod sync;
pub mod xscom;

use core::ops::Range;

use dtoolkit::fdt::Fdt;

use crate::machine::Machine;
use crate::ram::Ram;

pub use entry::{expect_resets, nap, resets};

/// What the firmware hands over in registers.
#[derive(Clone, Copy, Debug)]
pub struct HostArgs {
    /// Real address of the flattened device tree (r3).
    pub tree: u64,
    /// OPAL's base (r8), which it wants in r2, and its entry (r9).
    pub opal_base: u64,
    pub opal_entry: u64,
    /// The time base at the host's first instruction.
    pub entered_tb: u64,
}

/// Joins a host's `fn(HostArgs) -> !` to the runtime: the entry and the panic handler. On a build
/// host there is nothing to enter; the function is still compiled and checked. The second argument
/// is what sets the runtime up: [`start`], or [`start_anywhere`].
#[macro_export]
macro_rules! host {
    ($main:path) => {
        $crate::host!($main, start);
    };
    ($main:path, $start:ident) => {
        #[cfg(target_arch = "powerpc64")]
        #[unsafe(no_mangle)]
        extern "C" fn host_main(tree: u64, opal_base: u64, opal_entry: u64, entered_tb: u64) -> ! {
            let args = $crate::host_runtime::HostArgs {
                tree,
                opal_base,
                opal_entry,
                entered_tb,
            };
            $crate::host_runtime::$start(&args);
            $main(args)
        }

        #[cfg(target_arch = "powerpc64")]
        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::host_runtime::fatal::panicked(info)
        }

        #[cfg(not(target_arch = "powerpc64"))]
        fn main() {
            let main: fn($crate::host_runtime::HostArgs) -> ! = $main;
            panic!("{main:p} runs above catnap on powernv8 only");
        }
    };
}

/// Sets up OPAL calls, all that a host of any OPAL firmware needs. The first thing that it does.
pub fn start_anywhere(args: &HostArgs) {
    opal::set_entry(args.opal_base, args.opal_entry);
    entry::install_vectors();
}

/// Sets up what the rest of the runtime needs. The first thing that a host does.
pub fn start(args: &HostArgs) {
    start_anywhere(args);
    icp::init(device_tree(args));
    icp::accept_all();
}

/// The device tree at `args.tree`.
pub fn device_tree(args: &HostArgs) -> Fdt<'static> {
    let address = core::ptr::with_exposed_provenance::<u8>(args.tree as usize);
    // SAFETY: the firmware's hand-over: a tree is at that address, 40 bytes of header at least.
    let header = unsafe { core::slice::from_raw_parts(address, 40) };
    let len_bytes = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
    // SAFETY: as above, the header's second word is the tree's length. Nobody writes to it.
    let tree = unsafe { core::slice::from_raw_parts(address, len_bytes) };
    // Trees of OPAL have names that are longer than the specification, and with it a check, allows.
    Fdt::new_unchecked(tree)
}

/// The memory at real addresses `range`, as bytes.
///
/// # Safety
/// It is RAM that the caller alone uses while the slice lives: no other reference, no running guest.
pub unsafe fn real_memory(range: Range<u64>) -> &'static mut [u8] {
    let address = core::ptr::with_exposed_provenance_mut(range.start as usize);
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts_mut(address, (range.end - range.start) as usize) }
}

/// RAM below this is the interrupt vectors' and QEMU's (the device tree that it made).
const LOW_BYTES: u64 = 32 << 20;
/// The window in which `-kernel` puts the host.
const HOST_WINDOW: Range<u64> = 0x2000_0000..0x2800_0000;
/// The firmware's home, whether or not the tree lists it among what is reserved.
const FIRMWARE_WINDOW: Range<u64> = 0x3000_0000..0x3200_0000;

/// The memory that neither the host's image, nor the firmware, nor what it handed over lies in.
pub fn free_ram(machine: &Machine<'_>, tree: Range<u64>) -> Ram {
    let mut reserved = machine.reserved.clone();
    reserved.extend([0..LOW_BYTES, HOST_WINDOW, FIRMWARE_WINDOW, tree]);
    reserved.extend(machine.initrd.clone());
    Ram::new(&machine.ram, &reserved)
}

//! The thread's interrupt presentation controller (XICS), by which catnap is able to call a host's
//! thread out of a guest.
use dtoolkit::fdt::Fdt;
use spin::Once;

use super::cpu;
use crate::machine;

/// Where the pages are told of.
static TREE: Once<Fdt<'static>> = Once::new();
/// XIRR: a read of 4 bytes accepts the interrupt, a write of 4 bytes ends it, a write of a byte
/// sets the priority that an interrupt has to beat.
const XIRR: u64 = 4;
/// Priority of the thread's own inter-processor interrupt; 0xff is none.
const MFRR: u64 = 12;

/// Makes the rest of this module usable.
pub fn init(tree: Fdt<'static>) {
    TREE.call_once(|| tree);
}

/// Real address of the calling thread's page.
fn page() -> u64 {
    let tree = TREE.get().expect("`init` comes first");
    machine::presenter(*tree, cpu::pir()).unwrap_or_else(|bad| panic!("device tree: {}", bad.0))
}

/// Lets interrupts of every priority through to this thread: after reset none are.
pub fn accept_all() {
    // SAFETY: this thread's own register; interrupts stay pending since MSR[EE] is off.
    unsafe { cpu::write_device_u8(page() + XIRR, 0xff) }
}

/// Takes the interrupt that waits for this thread, if there is one, and ends it; its source.
///
/// The host has no device of its own that interrupts, so there's nothing to be served.
pub fn drop_pending() -> Option<u32> {
    let page = page();
    // SAFETY: this thread's own registers.
    unsafe {
        let xirr = cpu::read_device_u32(page + XIRR);
        let source = xirr & 0xff_ffff;
        if source == 2 {
            cpu::write_device_u8(page + MFRR, 0xff);
        }
        cpu::write_device_u32(page + XIRR, xirr | 0xff00_0000);
        (source != 0).then_some(source)
    }
}

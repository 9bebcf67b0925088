//! The thread's interrupt presentation controller (XICS), by which catnap is able to call a host's
//! thread out of a guest.
use core::sync::atomic::{AtomicU16, Ordering};

use dtoolkit::fdt::Fdt;
use spin::Once;

use super::cpu;
use crate::machine;

/// Where the pages are told of.
static TREE: Once<Fdt<'static>> = Once::new();
/// XIRR: a read of 4 bytes accepts the interrupt, a write of 4 bytes ends it, a write of a byte
/// sets the priority that an interrupt has to beat.
const XIRR: u64 = 4;
/// Priority of the thread's own inter-processor interrupt, a byte; 0xff is none.
const MFRR: u64 = 12;

/// Makes the rest of this module usable.
pub fn init(tree: Fdt<'static>) {
    TREE.call_once(|| tree);
}

/// The source of an inter-processor interrupt.
pub const IPI: u32 = 2;
/// Sends the thread `pir` an interrupt of its own, as a host does when it wants another of its
/// threads: with a priority that the firmware doesn't use.
pub fn send_ipi(pir: u32) {
    send_ipi_of(pir, 4);
}

/// Sends the thread `pir` an interrupt of its own that looks like one of the firmware's.
pub fn send_firmwares_ipi(pir: u32) {
    send_ipi_of(pir, 0);
}

fn send_ipi_of(pir: u32, priority: u8) {
    // SAFETY: a presenter's register; the thread is the host's, or the firmware drops the interrupt.
    unsafe { cpu::write_device_u8(page_of(pir) + MFRR, priority) }
}

/// The thread `pir` hasn't taken the interrupt that it was sent.
pub fn ipi_waits(pir: u32) -> bool {
    // SAFETY: a presenter's register, of which a read has no effect.
    unsafe { cpu::read_device_u8(page_of(pir) + MFRR) != 0xff }
}

/// CPPR and MFRR as the thread that began last found them.
static FOUND: AtomicU16 = AtomicU16::new(0);

/// What priority an interrupt had to beat when the thread that began last was given to the host, and that of
/// its own inter-processor interrupt: CPPR and MFRR.
pub fn found_priorities() -> [u8; 2] {
    FOUND.load(Ordering::Relaxed).to_be_bytes()
}

/// Real address of the calling thread's page.
fn page() -> u64 {
    page_of(cpu::pir())
}

fn page_of(pir: u32) -> u64 {
    let tree = TREE.get().expect("`init` comes first");
    machine::presenter(*tree, pir).unwrap_or_else(|bad| panic!("device tree: {}", bad.0))
}

/// Lets interrupts of every priority through to this thread, whatever it has [found](found_priorities).
pub fn accept_all() {
    // SAFETY: this thread's own registers; a read of CPPR's byte at +4 accepts nothing.
    let found = unsafe { [XIRR, MFRR].map(|register| cpu::read_device_u8(page() + register)) };
    FOUND.store(u16::from_be_bytes(found), Ordering::Relaxed);
    // SAFETY: this thread's own register; interrupts stay pending since MSR[EE] is off.
    unsafe { cpu::write_device_u8(page() + XIRR, 0xff) }
}

/// The source of the interrupt that waits for this thread; 0 for none.
pub fn pending() -> u32 {
    // SAFETY: this thread's own register; a read of +0 accepts nothing.
    unsafe { cpu::read_device_u32(page()) & 0xff_ffff }
}

/// Takes an inter-processor interrupt that waits for this thread. A host with interrupts on takes
/// it by itself; there may be nothing behind it (VCORE_RUN).
pub fn drop_ipi() {
    if pending() == IPI {
        drop_pending();
    }
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
        if source == IPI {
            cpu::write_device_u8(page + MFRR, 0xff);
        }
        cpu::write_device_u32(page + XIRR, xirr | 0xff00_0000);
        (source != 0).then_some(source)
    }
}

/// Lets no interrupt through to the thread `pir`: it is as if it heard nothing, until
/// [`unmask`]. For tests of threads that don't answer.
pub fn mask(pir: u32) {
    // SAFETY: a presenter's register; what is sent meanwhile waits.
    unsafe { cpu::write_device_u8(page_of(pir) + XIRR, 0) }
}

/// Lets every interrupt through to the thread `pir`.
pub fn unmask(pir: u32) {
    // SAFETY: as above; who is then interrupted can stand it, or the test has failed.
    unsafe { cpu::write_device_u8(page_of(pir) + XIRR, 0xff) }
}

/// Loses the inter-processor interrupt that the thread `pir` hasn't taken yet.
pub fn lose_ipi(pir: u32) {
    // SAFETY: as above.
    unsafe { cpu::write_device_u8(page_of(pir) + MFRR, 0xff) }
}

//! The thread's interrupt presentation controller (XICS), by which catnap is able to call a host's
//! thread out of a guest.
use super::cpu;

/// Real address of thread 0's page; a page for each PIR follows.
const ICP_BASE: u64 = 0x3_ffff_8000_0000;
/// XIRR: a read of 4 bytes accepts the interrupt, a write of 4 bytes ends it, a write of a byte
/// sets the priority that an interrupt has to beat.
const XIRR: u64 = 4;
/// Priority of the thread's own inter-processor interrupt; 0xff is none.
const MFRR: u64 = 12;

fn page() -> u64 {
    ICP_BASE | u64::from(cpu::pir()) << 12
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
    // SAFETY: this thread's own registers.
    unsafe {
        let xirr = cpu::read_device_u32(page() + XIRR);
        let source = xirr & 0xff_ffff;
        if source == 2 {
            cpu::write_device_u8(page() + MFRR, 0xff);
        }
        cpu::write_device_u32(page() + XIRR, xirr | 0xff00_0000);
        (source != 0).then_some(source)
    }
}

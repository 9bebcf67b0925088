//! A chip's own registers, and a device of it that interrupts whenever it is told to.
use spin::Once;

use super::{cpu, opal};
use crate::machine::Machine;

/// The first chip's XSCOM window.
static BASE: Once<u64> = Once::new();

/// OPAL_SET_XIVE: interrupt, server number times four, priority.
const SET_XIVE: u64 = 19;
const MASKED: u64 = 0xff;
/// The on-chip controller's interrupt, and its register with a bit that raises it (POWER8: OCB's
/// OCCMISC, to be set and cleared).
pub const OCC_INTERRUPT: u32 = 0x11;
const OCCMISC_CLEAR: u64 = 0x6_a021;
const OCCMISC_SET: u64 = 0x6_a022;
const OCCMISC_INTERRUPT: u64 = 1 << 63;

/// Makes the rest of this module usable.
pub fn init(machine: &Machine<'_>) {
    if let Some(base) = machine.xscom {
        BASE.call_once(|| base);
    }
}

fn write(register: u64, value: u64) {
    let base = BASE.get().expect("`init` comes first, and finds a chip");
    let address = base + ((register & !0xf) << 4 | (register & 0xf) << 3);
    // SAFETY: a register of the chip that interrupts the host, as is wanted.
    unsafe { cpu::write_device_u64(address, value) }
}

/// The controller's interrupt goes to thread `server` from now on, or to none.
pub fn route_occ(server: Option<u32>) -> Result<(), i64> {
    let (server, priority) = server.map_or((cpu::pir(), MASKED), |server| (server, 5));
    let args = [OCC_INTERRUPT.into(), u64::from(server) << 2, priority];
    // SAFETY: no addresses.
    match unsafe { opal::call(SET_XIVE, &args) }.status {
        0 => Ok(()),
        status => Err(status),
    }
}

/// The controller interrupts.
pub fn raise_occ() {
    write(OCCMISC_SET, OCCMISC_INTERRUPT);
}

/// It doesn't want anything any more.
pub fn lower_occ() {
    write(OCCMISC_CLEAR, !OCCMISC_INTERRUPT);
}

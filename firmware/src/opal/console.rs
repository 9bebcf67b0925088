//! OPAL's console calls: terminal 0 is the machine's UART.
use crate::smt::calls::Args;
use crate::smt::check;
use hcalls::Status;
use platform::{console, real};

/// What OPAL_CONSOLE_WRITE_BUFFER_SPACE answers: a line at a time can be offered.
const BUFFER_BYTES: u64 = 1024;

/// A big-endian length in the host's memory.
fn len_at(address: u64) -> Option<*mut u64> {
    Some(real::ptr(check::host_ram(address, 8, 8)?).cast())
}

/// OPAL_CONSOLE_WRITE: terminal, address of a length, buffer; the length becomes what was taken.
pub fn write(args: &mut Args) -> Status {
    let Some(len) = len_at(args[1]).filter(|_| args[0] == 0) else {
        return Status::Parameter;
    };
    // SAFETY: checked to be the host's RAM, aligned.
    let wanted_bytes = unsafe { len.read_volatile() };
    let Some(real) = check::host_ram(args[2], wanted_bytes.max(1), 1) else {
        return Status::Parameter;
    };
    // SAFETY: the host's RAM, that long; console bytes may be anything.
    let bytes = unsafe { core::slice::from_raw_parts(real::ptr(real), wanted_bytes as usize) };
    let taken = console::write(bytes);
    // SAFETY: as above.
    unsafe { len.write_volatile(taken as u64) };
    if taken == 0 && wanted_bytes != 0 {
        Status::BusyEvent
    } else {
        Status::Success
    }
}

/// OPAL_CONSOLE_READ: terminal, address of a length, buffer; the length becomes what was read.
pub fn read(args: &mut Args) -> Status {
    let Some(len) = len_at(args[1]).filter(|_| args[0] == 0) else {
        return Status::Parameter;
    };
    // SAFETY: checked to be the host's RAM, aligned.
    let room_bytes = unsafe { len.read_volatile() };
    let Some(real) = check::host_ram(args[2], room_bytes.max(1), 1) else {
        return Status::Parameter;
    };
    // SAFETY: the host's RAM, that long, lent for the call.
    let buffer = unsafe { core::slice::from_raw_parts_mut(real::ptr(real), room_bytes as usize) };
    let read = console::read(buffer);
    // SAFETY: as above.
    unsafe { len.write_volatile(read as u64) };
    Status::Success
}

/// OPAL_CONSOLE_WRITE_BUFFER_SPACE: terminal, address of a length.
pub fn write_buffer_space(args: &mut Args) -> Status {
    let Some(len) = len_at(args[1]).filter(|_| args[0] == 0) else {
        return Status::Parameter;
    };
    // SAFETY: checked to be the host's RAM, aligned.
    unsafe { len.write_volatile(BUFFER_BYTES) };
    Status::Success
}

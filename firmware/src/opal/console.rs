//! OPAL's console calls: terminal 0 is the machine's UART.
use super::event;
use super::host_memory::{fetch, slice, store};
use crate::smt::calls::Args;
use hcalls::Status;
use platform::console;
use skiboot_compat::console::{EVENT_CONSOLE_INPUT, TERMINAL};

/// What OPAL_CONSOLE_WRITE_BUFFER_SPACE answers: a line at a time can be offered.
const BUFFER_BYTES: u64 = 1024;

/// The buffer of a call with terminal, address of a length, and buffer.
fn buffer(args: &Args) -> Option<&mut [u8]> {
    if args[0] != TERMINAL {
        return None;
    }
    let len_bytes = u64::from_be_bytes(fetch(args[1])?);
    slice(args[2], len_bytes)
}

/// Stores how many bytes were taken or read.
fn tell(args: &Args, len_bytes: usize) -> Status {
    match store(args[1], (len_bytes as u64).to_be_bytes()) {
        Some(()) => Status::Success,
        None => Status::Parameter,
    }
}

/// OPAL_CONSOLE_WRITE: terminal, address of a length, buffer; the length becomes what was taken.
pub fn write(args: &mut Args) -> Status {
    let Some(bytes) = buffer(args) else {
        return Status::Parameter;
    };
    let taken = console::write(bytes);
    match tell(args, taken) {
        Status::Success if taken == 0 && !bytes.is_empty() => Status::BusyEvent,
        status => status,
    }
}

/// OPAL_CONSOLE_READ: terminal, address of a length, buffer; the length becomes what was read.
pub fn read(args: &mut Args) -> Status {
    let Some(buffer) = buffer(args) else {
        return Status::Parameter;
    };
    let (read, more) = console::read(buffer);
    event::update(EVENT_CONSOLE_INPUT, more);
    tell(args, read)
}

/// OPAL_CONSOLE_WRITE_BUFFER_SPACE: terminal, address of a length.
pub fn write_buffer_space(args: &mut Args) -> Status {
    match args[0] == TERMINAL && store(args[1], BUFFER_BYTES.to_be_bytes()).is_some() {
        true => Status::Success,
        false => Status::Parameter,
    }
}

/// OPAL_CONSOLE_FLUSH: terminal. What was taken is with the UART already.
pub fn flush(args: &mut Args) -> Status {
    match args[0] {
        TERMINAL => Status::Success,
        _ => Status::Parameter,
    }
}

//! OPAL's console calls: terminal 0 is the machine's UART.
use super::event_bits;
use super::host_memory::{fetch, slice, store, stored};
use asm::op;
use hcalls::Status;
use platform::lpc::console;
use skiboot_compat::console::{EVENT_CONSOLE_INPUT, TERMINAL};

/// What OPAL_CONSOLE_WRITE_BUFFER_SPACE answers: a line at a time can be offered.
const BUFFER_BYTES: u64 = 1024;

/// The buffer of a call with terminal, address of a length, and buffer.
fn lent<'a>(terminal: u64, len_at: u64, buffer: u64) -> Option<&'a mut [u8]> {
    if terminal != TERMINAL {
        return None;
    }
    let len_bytes = u64::from_be_bytes(fetch(len_at)?);
    slice(buffer, len_bytes)
}

/// Stores how many bytes were taken or read.
fn tell(len_at: u64, len_bytes: usize) -> Status {
    stored(store(len_at, (len_bytes as u64).to_be_bytes()))
}

/// OPAL_CONSOLE_WRITE: terminal, address of a length, buffer; the length becomes what was taken.
pub fn write(terminal: u64, len_at: u64, buffer: u64) -> Status {
    let Some(bytes) = lent(terminal, len_at, buffer) else {
        return Status::Parameter;
    };
    let taken = console::write(bytes, op::time_tb());
    match tell(len_at, taken) {
        Status::Success if taken == 0 && !bytes.is_empty() => Status::BusyEvent,
        status => status,
    }
}

/// OPAL_CONSOLE_READ: terminal, address of a length, buffer; the length becomes what was read.
pub fn read(terminal: u64, len_at: u64, buffer: u64) -> Status {
    let Some(buffer) = lent(terminal, len_at, buffer) else {
        return Status::Parameter;
    };
    let (read, more) = console::read(buffer);
    event_bits::update(EVENT_CONSOLE_INPUT, more);
    tell(len_at, read)
}

/// OPAL_CONSOLE_WRITE_BUFFER_SPACE: terminal, address of a length.
pub fn write_buffer_space(terminal: u64, len_at: u64) -> Status {
    match terminal == TERMINAL && store(len_at, BUFFER_BYTES.to_be_bytes()).is_some() {
        true => Status::Success,
        false => Status::Parameter,
    }
}

/// OPAL_CONSOLE_FLUSH: terminal. What was taken is with the UART already.
pub fn flush(terminal: u64) -> Status {
    match terminal {
        TERMINAL => Status::Success,
        _ => Status::Parameter,
    }
}

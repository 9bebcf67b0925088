//! OPAL's console calls: terminal 0 is the machine's UART.
use super::answer::{Answer, DONE};
use super::event_bits;
use super::host_memory::{fetch, slice, store};
use asm::op;
use platform::lpc::console;
use skiboot_compat::console::{EVENT_CONSOLE_INPUT, TERMINAL};
use skiboot_compat::status::Status;

/// What OPAL_CONSOLE_WRITE_BUFFER_SPACE answers: a line at a time can be offered.
const BUFFER_BYTES: u64 = 1024;

fn check(terminal: u64) -> Result<(), Status> {
    match terminal {
        TERMINAL => Ok(()),
        _ => Err(Status::Parameter),
    }
}

/// The buffer of a call with terminal, address of a length, and buffer.
fn lent<'a>(terminal: u64, len_at: u64, buffer: u64) -> Result<&'a mut [u8], Status> {
    check(terminal)?;
    slice(buffer, u64::from_be_bytes(fetch(len_at)?))
}

/// Stores how many bytes were taken or read.
fn store_len(len_at: u64, len_bytes: usize) -> Result<(), Status> {
    store(len_at, (len_bytes as u64).to_be_bytes())
}

/// OPAL_CONSOLE_WRITE: terminal, address of a length, buffer; the length becomes what was taken.
pub fn write(terminal: u64, len_at: u64, buffer: u64) -> Answer {
    let bytes = lent(terminal, len_at, buffer)?;
    let taken = console::write(bytes, op::time_tb());
    store_len(len_at, taken)?;
    match taken == 0 && !bytes.is_empty() {
        true => Err(Status::BusyEvent),
        false => DONE,
    }
}

/// OPAL_CONSOLE_READ: terminal, address of a length, buffer; the length becomes what was read.
pub fn read(terminal: u64, len_at: u64, buffer: u64) -> Answer {
    let buffer = lent(terminal, len_at, buffer)?;
    let (read, more) = console::read(buffer);
    event_bits::update(EVENT_CONSOLE_INPUT, more);
    store_len(len_at, read)?;
    DONE
}

/// OPAL_CONSOLE_WRITE_BUFFER_SPACE: terminal, address of a length.
pub fn write_buffer_space(terminal: u64, len_at: u64) -> Answer {
    check(terminal)?;
    store(len_at, BUFFER_BYTES.to_be_bytes())?;
    DONE
}

/// OPAL_CONSOLE_FLUSH: terminal. What was taken is with the UART already.
pub fn flush(terminal: u64) -> Answer {
    check(terminal)?;
    DONE
}

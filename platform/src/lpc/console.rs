//! The console: text in and out through the UART.
//!
//! What is typed is taken out of the UART as soon as somebody looks, into a buffer of ours: a UART
//! that interrupts goes on doing so until its bytes are taken, whether or not the host wants them.

use crate::lpc::terminal::send_text;
use crate::lpc::uart::{Uart, UartError};
use crate::lpc::{Lpc, bus};
use crate::tree::LpcBus;
use spin::Once;

/// What [`emergency_write`] needs, without the lock.
static EMERGENCY: Once<(Lpc, u16)> = Once::new();

/// Finds the bus and sets its UART up. Without a UART the log goes to memory alone.
///
/// # Errors
/// The UART that the tree names does not work; the bus is there all the same.
///
/// # Safety
/// `bus` is what the machine's tree says: its XSCOM base is a chip's XSCOM window.
pub unsafe fn init(found: &LpcBus) -> Result<(), UartError> {
    // SAFETY: the caller's promise.
    let lpc = unsafe { Lpc::of(found) };
    let mut bus = bus::lock();
    bus.lpc = Some(lpc);
    if let Some(port) = &found.uart {
        bus.terminal.uart = Some(Uart::init(lpc, port.first_port, port.baud)?);
        EMERGENCY.call_once(|| (lpc.without_lock(), port.first_port));
    }
    Ok(())
}

/// Sends what the UART takes without waiting; how many bytes that was. Without a UART, all; with one
/// that has taken nothing for a second, too: they are dropped, for a host would try for ever.
pub fn write(bytes: &[u8], now_tb: u64) -> usize {
    let (taken, dropped) = bus::lock().terminal.send(bytes, now_tb);
    if dropped {
        log::warn!("the console takes nothing: what the host writes is dropped until it does");
    }
    taken
}

/// Waits until the UART has sent all that it has taken, but not for long.
pub fn drain() {
    if let Some(uart) = &mut bus::lock().terminal.uart {
        uart.drain();
    }
}

/// Takes what has been typed: how many bytes that was, and whether there are more.
pub fn read(buffer: &mut [u8]) -> (usize, bool) {
    bus::lock().terminal.read(buffer)
}

/// Looks whether something has been typed.
pub fn has_input() -> bool {
    let mut bus = bus::lock();
    bus.terminal.listen();
    bus.terminal.has_input()
}

/// From now on the UART interrupts when something is typed.
pub fn enable_interrupts() {
    bus::lock().terminal.want_interrupts();
}

/// Writes from a thread that may hold the lock or is about to die. Bytes of other threads can come in
/// between.
pub fn emergency_write(bytes: &[u8]) {
    if let Some(&(lpc, port)) = EMERGENCY.get()
        && let Ok(mut uart) = Uart::attach(lpc, port)
    {
        send_text(&mut uart, bytes);
    }
}

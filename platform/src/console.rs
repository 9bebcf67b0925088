//! The console: the UART, and the lock that orders all use of the LPC bus.

use crate::lock::{Lock, LockGuard};
use crate::log_ring::RING;
use crate::lpc::Lpc;
use crate::tree::LpcBus;
use crate::uart::{Uart, UartError};
use crate::xscom::Xscom;
use spin::Once;

/// What is on the machine's LPC bus.
pub struct Bus {
    pub lpc: Option<Lpc>,
    uart: Option<Uart>,
    /// The UART took nothing for a long time; nobody waits for it again until it does.
    stuck: bool,
}

static BUS: Lock<Bus> = Lock::new(Bus {
    lpc: None,
    uart: None,
    stuck: false,
});
/// What [`emergency_write`] needs, without the lock.
static EMERGENCY: Once<(Lpc, u16)> = Once::new();

/// Finds the bus and sets its UART up. Without a UART the log goes to memory alone.
///
/// # Errors
/// The UART that the tree names does not work; the bus is there all the same.
///
/// # Safety
/// `bus` is what the machine's tree says: its XSCOM base is a chip's XSCOM window.
pub unsafe fn init(bus: &LpcBus) -> Result<(), UartError> {
    // SAFETY: the caller's promise.
    let xscom = unsafe { Xscom::new(bus.xscom_base) };
    let lpc = Lpc::new(xscom, bus.pcba);
    let mut shared = BUS.lock();
    shared.lpc = Some(lpc);
    if let Some(port) = &bus.uart {
        shared.uart = Some(Uart::init(lpc, port.first_port, port.baud)?);
        EMERGENCY.call_once(|| (lpc, port.first_port));
    }
    Ok(())
}

/// The bus, for as long as the guard lives. The console is silent meanwhile.
pub fn lock_bus() -> LockGuard<'static, Bus> {
    BUS.lock()
}

/// Sends what the UART takes without waiting; how many bytes that was. Without a UART, all.
pub fn write(bytes: &[u8]) -> usize {
    match &mut BUS.lock().uart {
        Some(uart) => uart.send(bytes),
        None => bytes.len(),
    }
}

/// Takes what has been typed; how many bytes that was.
pub fn read(buffer: &mut [u8]) -> usize {
    match &mut BUS.lock().uart {
        Some(uart) => uart.receive(buffer),
        None => 0,
    }
}

/// Writes to console and log from a thread that may hold the lock or is about to die. Bytes of
/// other threads can come in between.
pub fn emergency_write(bytes: &[u8]) {
    RING.append(bytes);
    if let Some(&(lpc, port)) = EMERGENCY.get()
        && let Ok(mut uart) = Uart::attach(lpc, port)
    {
        send_text(&mut uart, bytes);
    }
}

/// Sends all, with a carriage return before a final line feed; false if the UART is stuck.
fn send_text(uart: &mut Uart, bytes: &[u8]) -> bool {
    match bytes.strip_suffix(b"\n") {
        Some(text) => uart.send_all(text) && uart.send_all(b"\r\n"),
        None => uart.send_all(bytes),
    }
}

impl Bus {
    /// Writes text of the log to the ring and, if it can be had, to the UART.
    pub(crate) fn log(&mut self, bytes: &[u8]) {
        RING.append(bytes);
        if let Some(uart) = &mut self.uart {
            self.stuck = if self.stuck {
                uart.send(bytes) == 0
            } else {
                !send_text(uart, bytes)
            };
        }
    }
}

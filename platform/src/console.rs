//! The console: the UART, and the lock that orders all use of the LPC bus.
//!
//! What is typed is taken out of the UART as soon as somebody looks, into a buffer of ours: a UART
//! that interrupts goes on doing so until its bytes are taken, whether or not the host wants them.

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
    /// The UART's interrupts reach somebody.
    interrupts: bool,
    typed: Typed,
}

/// Bytes typed and not read yet.
const TYPED_LEN: usize = 256;

/// A ring of bytes.
struct Typed {
    bytes: [u8; TYPED_LEN],
    /// Place of the oldest byte.
    first: usize,
    len: usize,
}

static BUS: Lock<Bus> = Lock::new(Bus {
    lpc: None,
    uart: None,
    stuck: false,
    interrupts: false,
    typed: Typed {
        bytes: [0; TYPED_LEN],
        first: 0,
        len: 0,
    },
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

/// The bus, even if whoever has it doesn't give it back within a second of the clock `now_tb`.
///
/// # Safety
/// The machine is about to end, and nobody will go on with the bus.
pub unsafe fn lock_bus_or_break(now_tb: fn() -> u64) -> LockGuard<'static, Bus> {
    // A second: far more than anybody needs for an access.
    let limit_tb = now_tb() + 512_000_000;
    // SAFETY: the caller's promise.
    unsafe { BUS.lock_or_break(|| now_tb() > limit_tb) }
}

/// Sends what the UART takes without waiting; how many bytes that was. Without a UART, all.
pub fn write(bytes: &[u8]) -> usize {
    match &mut BUS.lock().uart {
        Some(uart) => uart.send(bytes),
        None => bytes.len(),
    }
}

/// Takes what has been typed: how many bytes that was, and whether there are more.
pub fn read(buffer: &mut [u8]) -> (usize, bool) {
    let mut bus = BUS.lock();
    bus.listen();
    let taken = bus.typed.take(buffer);
    // There is room again in a buffer that was full.
    bus.listen();
    (taken, bus.typed.len != 0)
}

/// Looks whether something has been typed.
pub fn has_input() -> bool {
    let mut bus = BUS.lock();
    bus.listen();
    bus.typed.len != 0
}

/// From now on the UART interrupts when something is typed.
pub fn enable_interrupts() {
    let mut bus = BUS.lock();
    bus.interrupts = true;
    if let Some(uart) = &mut bus.uart {
        uart.interrupt(true);
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

impl Typed {
    fn room(&self) -> usize {
        TYPED_LEN - self.len
    }

    fn push(&mut self, byte: u8) {
        self.bytes[(self.first + self.len) % TYPED_LEN] = byte;
        self.len += 1;
    }

    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let len = buffer.len().min(self.len);
        for byte in &mut buffer[..len] {
            *byte = self.bytes[self.first];
            self.first = (self.first + 1) % TYPED_LEN;
        }
        self.len -= len;
        len
    }
}

impl Bus {
    /// Takes what the UART has received. While there is no room for more it doesn't interrupt.
    fn listen(&mut self) {
        let Some(uart) = &mut self.uart else {
            return;
        };
        let was_full = self.typed.room() == 0;
        let mut piece = [0; 16];
        loop {
            let room = self.typed.room().min(piece.len());
            let received = uart.receive(&mut piece[..room]);
            piece[..received]
                .iter()
                .for_each(|&byte| self.typed.push(byte));
            if received == 0 || received < room {
                break;
            }
        }
        let is_full = self.typed.room() == 0;
        if self.interrupts && was_full != is_full {
            uart.interrupt(!is_full);
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_comes_out_in_order() {
        let mut typed = Typed {
            bytes: [0; TYPED_LEN],
            first: TYPED_LEN - 3,
            len: 0,
        };
        (0..10).for_each(|byte| typed.push(byte));
        assert_eq!(typed.room(), TYPED_LEN - 10);
        let mut buffer = [0xff; 4];
        assert_eq!((typed.take(&mut buffer), buffer), (4, [0, 1, 2, 3]));
        let mut buffer = [0xff; 8];
        assert_eq!(typed.take(&mut buffer), 6);
        assert_eq!(buffer, [4, 5, 6, 7, 8, 9, 0xff, 0xff]);
        assert_eq!(typed.take(&mut buffer), 0);
    }
}

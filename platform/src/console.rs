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
    interrupts: Interrupts,
    typed: Typed,
    blocked: Blocked,
}

/// Whether the UART interrupts when something is typed: if that reaches somebody, and there is room for it.
#[derive(Default)]
struct Interrupts {
    wanted: bool,
    on: bool,
}

impl Interrupts {
    const fn new() -> Self {
        Self {
            wanted: false,
            on: false,
        }
    }

    /// What to tell the UART, now that there is room or none; nothing if it knows.
    fn change(&mut self, has_room: bool) -> Option<bool> {
        let on = self.wanted && has_room;
        (on != core::mem::replace(&mut self.on, on)).then_some(on)
    }
}

/// How long a host's output may wait for a UART that takes nothing: 1 s. From then on it is dropped.
const BLOCKED_TB: u64 = hcalls::trace::TB_HZ;

/// Since when the UART takes nothing of what hosts write.
#[derive(Default)]
struct Blocked {
    since_tb: Option<u64>,
    /// The log says so.
    told: bool,
}

impl Blocked {
    const fn new() -> Self {
        Self {
            since_tb: None,
            told: false,
        }
    }

    /// Of `len` bytes the UART has taken `sent`. How many the host is told, and whether to log that
    /// output is dropped from here on.
    fn taken(&mut self, sent: usize, len: usize, now_tb: u64) -> (usize, bool) {
        if sent > 0 || len == 0 {
            *self = Self::new();
            return (sent, false);
        }
        let since_tb = *self.since_tb.get_or_insert(now_tb);
        if now_tb.wrapping_sub(since_tb) < BLOCKED_TB {
            return (0, false);
        }
        (len, !core::mem::replace(&mut self.told, true))
    }
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
    interrupts: Interrupts::new(),
    typed: Typed {
        bytes: [0; TYPED_LEN],
        first: 0,
        len: 0,
    },
    blocked: Blocked::new(),
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
    let limit_tb = now_tb() + hcalls::trace::TB_HZ;
    // SAFETY: the caller's promise.
    unsafe { BUS.lock_or_break(|| now_tb() > limit_tb) }
}

/// Sends what the UART takes without waiting; how many bytes that was. Without a UART, all; with one
/// that has taken nothing for a second, too: they are dropped, for a host would try for ever.
pub fn write(bytes: &[u8], now_tb: u64) -> usize {
    let mut guard = BUS.lock();
    let bus = &mut *guard;
    let Some(uart) = &mut bus.uart else {
        return bytes.len();
    };
    let sent = uart.send(bytes);
    let (taken, dropped) = bus.blocked.taken(sent, bytes.len(), now_tb);
    drop(guard);
    if dropped {
        log::warn!("the console takes nothing: what the host writes is dropped until it does");
    }
    taken
}

/// Waits until the UART has sent all that it has taken, but not for long.
pub fn drain() {
    if let Some(uart) = &mut BUS.lock().uart {
        uart.drain();
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
    bus.interrupts.wanted = true;
    bus.listen();
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
        if let Some(on) = self.interrupts.change(self.typed.room() > 0) {
            uart.interrupt(on);
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
    fn a_full_buffer_ends_interrupts_and_room_brings_them_back() {
        let mut interrupts = Interrupts::new();
        assert_eq!([false, true].map(|room| interrupts.change(room)), [None; 2]);
        interrupts.wanted = true;
        assert_eq!(interrupts.change(true), Some(true));
        assert_eq!(interrupts.change(true), None);
        assert_eq!(interrupts.change(false), Some(false));
        // Looked at several times before somebody makes room.
        assert_eq!(
            [false, false].map(|room| interrupts.change(room)),
            [None; 2]
        );
        assert_eq!(interrupts.change(true), Some(true));
    }

    #[test]
    fn output_that_nobody_takes_is_dropped_after_a_second() {
        let mut blocked = Blocked::new();
        let start_tb = u64::MAX - 10;
        let at = |tb: u64| start_tb.wrapping_add(tb);
        assert_eq!(blocked.taken(0, 5, at(0)), (0, false));
        assert_eq!(blocked.taken(0, 5, at(BLOCKED_TB - 1)), (0, false));
        // It is logged once.
        assert_eq!(blocked.taken(0, 5, at(BLOCKED_TB)), (5, true));
        assert_eq!(blocked.taken(0, 7, at(BLOCKED_TB + 1)), (7, false));
        // It takes something again: from then on it has another second.
        assert_eq!(blocked.taken(1, 5, at(2 * BLOCKED_TB)), (1, false));
        assert_eq!(blocked.taken(0, 5, at(4 * BLOCKED_TB)), (0, false));
        assert_eq!(blocked.taken(0, 5, at(5 * BLOCKED_TB)), (5, true));
        assert_eq!(blocked.taken(0, 0, at(6 * BLOCKED_TB)), (0, false));
    }

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

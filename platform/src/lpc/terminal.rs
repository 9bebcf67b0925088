//! The console's state: the UART, what was typed and not read yet, and since when nothing goes out.

use crate::lpc::uart::Uart;

/// The console, part of what the bus's lock guards.
pub struct Terminal {
    pub(super) uart: Option<Uart>,
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

impl Terminal {
    pub(super) const fn new() -> Self {
        Self {
            uart: None,
            stuck: false,
            interrupts: Interrupts::new(),
            typed: Typed {
                bytes: [0; TYPED_LEN],
                first: 0,
                len: 0,
            },
            blocked: Blocked::new(),
        }
    }

    /// Sends what the UART takes without waiting. How many bytes the host is told, and whether to log
    /// that output is dropped from here on. A test stops the machine here.
    #[inline(never)]
    pub(super) fn send(&mut self, bytes: &[u8], now_tb: u64) -> (usize, bool) {
        let Some(uart) = &mut self.uart else {
            return (bytes.len(), false);
        };
        let sent = uart.send(bytes);
        self.blocked.taken(sent, bytes.len(), now_tb)
    }

    /// Takes what has been typed: how many bytes that was, and whether there are more.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> (usize, bool) {
        self.listen();
        let taken = self.typed.take(buffer);
        // There is room again in a buffer that was full.
        self.listen();
        (taken, self.has_input())
    }

    pub(super) fn has_input(&self) -> bool {
        self.typed.len != 0
    }

    pub(super) fn want_interrupts(&mut self) {
        self.interrupts.wanted = true;
        self.listen();
    }

    /// Takes what the UART has received. While there is no room for more it doesn't interrupt.
    pub(super) fn listen(&mut self) {
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

    /// Writes text of the log to the UART, if it can be had.
    pub(crate) fn log(&mut self, bytes: &[u8]) {
        if let Some(uart) = &mut self.uart {
            self.stuck = if self.stuck {
                uart.send(bytes) == 0
            } else {
                !send_text(uart, bytes)
            };
        }
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

/// Sends all, with a carriage return before a final line feed; false if the UART is stuck.
pub(super) fn send_text(uart: &mut Uart, bytes: &[u8]) -> bool {
    match bytes.strip_suffix(b"\n") {
        Some(text) => uart.send_all(text) && uart.send_all(b"\r\n"),
        None => uart.send_all(bytes),
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

//! The log: `[secs.micros] LEVEL pirXX: message`, one line per record, on the console and in the
//! ring. XX is the thread's PIR in hexadecimal, as the tree writes it.

pub mod ring;

use crate::log::ring::RING;
use crate::lpc::{bus, console};
use core::fmt::{self, Write};
use log::{LevelFilter, Log, Metadata, Record};

/// Ticks of the time base in a microsecond: POWER8 counts at 512 MHz.
const TICKS_PER_MICROSECOND: u64 = 512;
/// Text is passed on in pieces of this many bytes.
const PIECE_LEN: usize = 128;

struct Logger;

/// Makes the `log` crate write here. May be called before [`console::init`].
pub fn init(level: LevelFilter) {
    RING.publish();
    // It can only fail for being there already.
    let _ = log::set_logger(&Logger);
    log::set_max_level(level);
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut bus = bus::lock();
        let mut line = Line::new(|piece: &[u8]| {
            RING.append(piece);
            bus.terminal.log(piece);
        });
        line.write(record.level().as_str(), *record.args());
    }

    fn flush(&self) {}
}

/// Writes a line without any lock: for panics and machine checks.
pub fn emergency(message: fmt::Arguments) {
    let pass_on = |piece: &[u8]| {
        RING.append(piece);
        console::emergency_write(piece);
    };
    Line::new(pass_on).write("FATAL", message);
}

/// Time base and PIR of this thread.
fn now_and_pir() -> (u64, u64) {
    #[cfg(target_arch = "powerpc64")]
    return (asm::op::time_tb(), asm::spr::read::<{ asm::spr::PIR }>());
    #[cfg(not(target_arch = "powerpc64"))]
    (0, 0)
}

/// A line under construction, which `pass_on` gets in pieces.
struct Line<F: FnMut(&[u8])> {
    pass_on: F,
    piece: [u8; PIECE_LEN],
    len: usize,
}

impl<F: FnMut(&[u8])> Line<F> {
    fn new(pass_on: F) -> Self {
        Self {
            pass_on,
            piece: [0; PIECE_LEN],
            len: 0,
        }
    }

    fn write(&mut self, level: &str, message: fmt::Arguments) {
        let (now_tb, pir) = now_and_pir();
        let micros = now_tb / TICKS_PER_MICROSECOND;
        let (secs, micros) = (micros / 1_000_000, micros % 1_000_000);
        // Writing to a line never fails; a message whose own formatting fails is cut short.
        let _ = write!(self, "[{secs}.{micros:06}] {level} pir{pir:02x}: {message}");
        self.push(b'\n');
        (self.pass_on)(&self.piece[..self.len]);
    }

    fn push(&mut self, byte: u8) {
        if self.len == PIECE_LEN {
            (self.pass_on)(&self.piece);
            self.len = 0;
        }
        self.piece[self.len] = byte;
        self.len += 1;
    }
}

impl<F: FnMut(&[u8])> Write for Line<F> {
    /// Control characters become blanks, so that a record stays one line.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            self.push(if byte < b' ' { b' ' } else { byte });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    fn line(message: fmt::Arguments) -> String {
        let mut text = String::new();
        Line::new(|piece| text.push_str(core::str::from_utf8(piece).unwrap()))
            .write("INFO", message);
        text
    }

    #[test]
    fn a_record_is_one_line() {
        assert_eq!(
            line(format_args!("two\nlines of {}", 3)),
            "[0.000000] INFO pir00: two lines of 3\n"
        );
    }

    #[test]
    fn a_long_record_comes_whole() {
        for len in 0..3 * PIECE_LEN {
            let long = "x".repeat(len);
            assert_eq!(
                line(format_args!("{long}")),
                std::format!("[0.000000] INFO pir00: {long}\n")
            );
        }
    }
}

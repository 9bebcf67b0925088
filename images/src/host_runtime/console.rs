//! The console. A [`print!`] is one write, so that the cores' lines don't mix.
//!
//! [`print!`]: crate::print
use core::fmt::{self, Write};

use super::opal;
use super::sync::Lock;

static CONSOLE: Lock<Buffer> = Lock::new(Buffer {
    bytes: [0; 256],
    filled: 0,
});

/// Gathers what a print consists of, since a call of OPAL costs more than some bytes do.
struct Buffer {
    bytes: [u8; 256],
    filled: usize,
}

impl Buffer {
    fn flush(&mut self) {
        opal::console_write(&self.bytes[..self.filled]);
        self.filled = 0;
    }
}

impl Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if byte == b'\n' {
                self.push(b'\r');
            }
            self.push(byte);
        }
        Ok(())
    }
}

impl Buffer {
    fn push(&mut self, byte: u8) {
        if self.filled == self.bytes.len() {
            self.flush();
        }
        self.bytes[self.filled] = byte;
        self.filled += 1;
    }
}

/// For the macros.
pub fn print(text: fmt::Arguments<'_>) {
    let mut console = CONSOLE.lock();
    // A formatter that fails leaves its text incomplete; there's no better place to say so.
    let _ = console.write_fmt(text);
    console.flush();
}

/// Writes a last message even if this very thread was at work on the console.
pub fn print_last(text: fmt::Arguments<'_>) {
    let mut buffer = Buffer {
        bytes: [0; 256],
        filled: 0,
    };
    let _ = buffer.write_fmt(text);
    buffer.flush();
}

/// Prints to the machine's console.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => { $crate::host_runtime::console::print(format_args!($($arg)*)) };
}

/// Prints a line to the machine's console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($arg:tt)*) => { $crate::print!("{}\n", format_args!($($arg)*)) };
}

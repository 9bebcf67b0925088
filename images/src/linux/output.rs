//! Lines, each said as a whole: others talk at the same time.
use core::fmt::Write;

use super::system;

pub struct Output {
    line: [u8; 256],
    len: usize,
}

impl Output {
    pub const fn new() -> Self {
        Self {
            line: [0; 256],
            len: 0,
        }
    }
}

impl Write for Output {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for &byte in text.as_bytes() {
            let place = self.line.get_mut(self.len).ok_or(core::fmt::Error)?;
            *place = byte;
            self.len += 1;
            if byte == b'\n' {
                system::print(&self.line[..self.len]);
                self.len = 0;
            }
        }
        Ok(())
    }
}

/// A program that panics says where, and fails.
#[cfg(target_arch = "powerpc64")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = writeln!(Output::new(), "{info}");
    system::exit(2)
}

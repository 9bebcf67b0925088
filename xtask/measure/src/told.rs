//! Memory that the test host tells on its console: `told OFFSET BYTES`, both in hexadecimal, and in the end
//! `told: LENGTH bytes`.
use std::io::{self, Write};

use anyhow::{Context, Result, ensure};

const LINE: &str = "told ";
const END: &str = "told: ";
/// The most that is believed.
const MOST_BYTES: usize = 64 << 20;

/// The console, without the lines that tell: what these tell. The others go to standard output.
#[derive(Default)]
pub struct Told {
    line: Vec<u8>,
    pieces: Vec<(usize, Vec<u8>)>,
    len_bytes: Option<usize>,
}

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            self.line.push(byte);
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                if !self.take(String::from_utf8_lossy(&line).trim_end()) {
                    io::stdout().write_all(&line)?;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

impl Told {
    /// What these lines tell.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut told = Self::default();
        for line in lines {
            told.take(line);
        }
        told
    }

    /// A line of the console; whether it tells.
    fn take(&mut self, line: &str) -> bool {
        if let Some(end) = line.strip_prefix(END) {
            self.len_bytes = length(end);
            return self.len_bytes.is_some();
        }
        let piece = line.strip_prefix(LINE).and_then(piece);
        let tells = piece.is_some();
        self.pieces.extend(piece);
        tells
    }

    /// All of the memory, with zeros where nothing was told.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let len_bytes = self.len_bytes.context("the test host told nothing")?;
        ensure!(len_bytes <= MOST_BYTES, "it told of {len_bytes} bytes");
        let mut all = vec![0; len_bytes];
        for (at, bytes) in &self.pieces {
            let place = all.get_mut(*at..at + bytes.len());
            let place = place.context("a piece lies past the end")?;
            place.copy_from_slice(bytes);
        }
        Ok(all)
    }
}

fn length(text: &str) -> Option<usize> {
    let digits = text.strip_suffix(" bytes")?.strip_prefix("0x")?;
    usize::from_str_radix(digits, 16).ok()
}

/// An offset and bytes.
fn piece(text: &str) -> Option<(usize, Vec<u8>)> {
    let (at, digits) = text.split_once(' ')?;
    let at = usize::from_str_radix(at, 16).ok();
    let at = at.filter(|at| *at < MOST_BYTES)?;
    Some((at, xtask::hex::decode(digits)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_put_together() {
        let lines = [
            "told 000004 0aff",
            "ok something",
            "told 000000 01",
            "told: 0x7 bytes",
        ];
        let told = Told::of(lines);
        assert_eq!(told.bytes().unwrap(), [1, 0, 0, 0, 0x0a, 0xff, 0]);
    }

    #[test]
    fn other_lines_tell_nothing() {
        let mut told = Told::default();
        for other in [
            "told 12 xyz",
            "told 12 abc",
            "told: many bytes",
            "trace",
            "told",
        ] {
            assert!(!told.take(other), "{other}");
        }
        assert!(told.bytes().is_err());
    }

    #[test]
    fn pieces_past_the_end_are_refused() {
        assert!(
            Told::of(["told 000001 01", "told: 0x1 bytes"])
                .bytes()
                .is_err()
        );
        assert!(Told::of(["told: 0xffffffff bytes"]).bytes().is_err());
    }
}

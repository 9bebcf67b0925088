//! The log in memory, in the layout that Linux reads as OPAL's memory console: a header that says
//! where the text is and how far it has got.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

/// "f0iegras", what a reader looks for.
pub const MAGIC: u64 = 0x6630_6965_6772_6173;
/// In `out_pos`: the text has wrapped, so the oldest byte is the one at the position.
pub const WRAPPED: u32 = 0x8000_0000;
/// Bytes of text kept. A power of two.
pub const TEXT_LEN: usize = 64 * 1024;

/// The header. All fields are big-endian.
#[repr(C)]
pub struct Memcons {
    magic: AtomicU64,
    /// Real addresses of the text, and of an input buffer (none).
    obuf_phys: AtomicU64,
    ibuf_phys: AtomicU64,
    obuf_size: AtomicU32,
    ibuf_size: AtomicU32,
    /// Where the next byte goes, and [`WRAPPED`].
    out_pos: AtomicU32,
    in_prod: AtomicU32,
    in_cons: AtomicU32,
}

/// Header and text. Whoever appends holds the console's lock, or is a thread's last words; two at
/// once can mix their bytes up, nothing worse.
pub struct LogRing {
    memcons: Memcons,
    text: [AtomicU8; TEXT_LEN],
}

/// The ring that the firmware logs to.
pub static RING: LogRing = LogRing::new();

impl LogRing {
    #[must_use]
    pub const fn new() -> Self {
        Self {
            memcons: Memcons {
                magic: AtomicU64::new(0),
                obuf_phys: AtomicU64::new(0),
                ibuf_phys: AtomicU64::new(0),
                obuf_size: AtomicU32::new(0),
                ibuf_size: AtomicU32::new(0),
                out_pos: AtomicU32::new(0),
                in_prod: AtomicU32::new(0),
                in_cons: AtomicU32::new(0),
            },
            text: [const { AtomicU8::new(0) }; TEXT_LEN],
        }
    }

    /// Fills in the header; the magic number last, since it makes the rest valid.
    pub fn publish(&'static self) {
        let text = crate::memory::real::address(&raw const self.text);
        self.memcons
            .obuf_phys
            .store(text.to_be(), Ordering::Relaxed);
        self.memcons
            .obuf_size
            .store((TEXT_LEN as u32).to_be(), Ordering::Relaxed);
        self.memcons.magic.store(MAGIC.to_be(), Ordering::Release);
    }

    /// Real address of the header, for the host's tree.
    #[must_use]
    pub fn memcons_address(&'static self) -> u64 {
        crate::memory::real::address(&raw const self.memcons)
    }

    /// Adds text, over the oldest if need be.
    pub fn append(&self, bytes: &[u8]) {
        let out_pos = u32::from_be(self.memcons.out_pos.load(Ordering::Relaxed));
        let mut wrapped = out_pos & WRAPPED;
        let mut position = (out_pos & !WRAPPED) as usize % TEXT_LEN;
        for &byte in bytes {
            self.text[position].store(byte, Ordering::Relaxed);
            position += 1;
            if position == TEXT_LEN {
                position = 0;
                wrapped = WRAPPED;
            }
        }
        fence(Ordering::Release);
        let out_pos = position as u32 | wrapped;
        self.memcons
            .out_pos
            .store(out_pos.to_be(), Ordering::Relaxed);
    }
}

impl Default for LogRing {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::mem::{offset_of, size_of};
    use std::boxed::Box;
    use std::vec::Vec;

    /// The text as a reader of the memory console puts it together.
    fn text(ring: &LogRing) -> Vec<u8> {
        let out_pos = u32::from_be(ring.memcons.out_pos.load(Ordering::Relaxed));
        let position = (out_pos & !WRAPPED) as usize;
        let bytes: Vec<u8> = ring
            .text
            .iter()
            .map(|byte| byte.load(Ordering::Relaxed))
            .collect();
        let oldest = if out_pos & WRAPPED != 0 {
            &bytes[position..]
        } else {
            &[]
        };
        [oldest, &bytes[..position]].concat()
    }

    #[test]
    fn the_header_has_linux_layout() {
        assert_eq!(&MAGIC.to_be_bytes(), b"f0iegras");
        assert_eq!(offset_of!(Memcons, obuf_phys), 8);
        assert_eq!(offset_of!(Memcons, ibuf_phys), 16);
        assert_eq!(offset_of!(Memcons, obuf_size), 24);
        assert_eq!(offset_of!(Memcons, ibuf_size), 28);
        assert_eq!(offset_of!(Memcons, out_pos), 32);
        assert_eq!(offset_of!(Memcons, in_prod), 36);
        assert_eq!(offset_of!(Memcons, in_cons), 40);
        assert_eq!(size_of::<Memcons>(), 48);
    }

    #[test]
    fn publishing_names_the_text() {
        let ring: &'static LogRing = Box::leak(Box::new(LogRing::new()));
        ring.publish();
        let header = &ring.memcons;
        assert_eq!(u64::from_be(header.magic.load(Ordering::Relaxed)), MAGIC);
        assert_eq!(
            u64::from_be(header.obuf_phys.load(Ordering::Relaxed)),
            ring.text.as_ptr().addr() as u64
        );
        assert_eq!(
            u32::from_be(header.obuf_size.load(Ordering::Relaxed)) as usize,
            TEXT_LEN
        );
    }

    #[test]
    fn the_newest_text_is_kept() {
        let ring = Box::new(LogRing::new());
        let mut all = Vec::new();
        for line in 0..10_000_u32 {
            let line = std::format!("line {line}\n");
            ring.append(line.as_bytes());
            all.extend_from_slice(line.as_bytes());
            if all.len() < TEXT_LEN {
                assert_eq!(text(&ring), all);
            }
        }
        assert_eq!(text(&ring), all[all.len() - TEXT_LEN..]);
    }

    #[test]
    fn a_text_longer_than_the_ring_leaves_its_end() {
        let ring = Box::new(LogRing::new());
        let long: Vec<u8> = (0..TEXT_LEN * 2 + 5).map(|i| i as u8).collect();
        ring.append(&long);
        assert_eq!(text(&ring), long[long.len() - TEXT_LEN..]);
    }
}

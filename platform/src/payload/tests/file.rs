//! Writes ELF files to be read.
use alloc::vec;
use alloc::vec::Vec;

const HEADER_LEN: usize = 64;

/// A segment to be written: flags, offset, virtual address, physical address, lengths.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub flags: u32,
    pub offset: u64,
    pub vaddr: u64,
    pub paddr: u64,
    pub file_len: u64,
    pub mem_len: u64,
}

/// Appends integers in the file's byte order.
struct Writer {
    bytes: Vec<u8>,
    little: bool,
}

impl Writer {
    fn put(&mut self, value: u64, len: usize) {
        let big = value.to_be_bytes();
        let mut bytes = big[8 - len..].to_vec();
        if self.little {
            bytes.reverse();
        }
        self.bytes.extend(bytes);
    }
}

/// An ELF file for PowerPC64, 256 KiB long.
pub fn elf(little: bool, entry: u64, loads: &[Load]) -> Vec<u8> {
    let encoding = if little { 1 } else { 2 };
    let mut file = Writer {
        bytes: vec![
            0x7f, b'E', b'L', b'F', 2, encoding, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ],
        little,
    };
    for (value, len) in [(2, 2), (21, 2), (1, 4), (entry, 8), (HEADER_LEN as u64, 8)] {
        file.put(value, len);
    }
    // Section headers' place, flags, sizes of header and program header, their number, the rest.
    for (value, len) in [
        (0, 8),
        (2, 4),
        (64, 2),
        (56, 2),
        (loads.len() as u64, 2),
        (0, 6),
    ] {
        file.put(value, len);
    }
    for load in loads {
        for (value, len) in [(1, 4), (u64::from(load.flags), 4)] {
            file.put(value, len);
        }
        let words = [
            load.offset,
            load.vaddr,
            load.paddr,
            load.file_len,
            load.mem_len,
            0x1_0000,
        ];
        words.into_iter().for_each(|word| file.put(word, 8));
    }
    file.bytes.resize(0x4_0000, 0x60);
    file.bytes
}

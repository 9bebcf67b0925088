//! Loads a guest's ELF file into its memory.
use core::fmt;
use core::ops::Range;

use elf::ElfBytes;
use elf::abi::{EM_PPC64, ET_EXEC, PT_LOAD};
use elf::endian::AnyEndian;
use elf::file::Class;
use elf::segment::ProgramHeader;

/// A guest that has been loaded.
#[derive(Debug, PartialEq, Eq)]
pub struct GuestImage {
    /// Guest real address of the first instruction.
    pub entry: u64,
    pub little_endian: bool,
    /// Guest real address past everything that was loaded.
    pub end: u64,
}

/// Why a file can't be run as a guest.
#[derive(Debug, PartialEq, Eq)]
pub enum BadImage {
    NotElf,
    /// Not a 64-bit executable for Power that is linked at fixed addresses.
    OtherKind,
    /// A segment does not lie in the file, or not in the guest's memory.
    Segment(usize),
    /// The entry isn't in a segment, or not at a multiple of 4.
    Entry(u64),
}

impl fmt::Display for BadImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("not an ELF file"),
            Self::OtherKind => f.write_str("not a static 64-bit Power executable"),
            Self::Segment(index) => write!(f, "segment {index} lies outside of file or memory"),
            Self::Entry(entry) => write!(f, "entry {entry:#x} is not in a segment"),
        }
    }
}

/// Puts the segments of `file` into `memory`, a guest's real memory from 0.
pub fn load(file: &[u8], memory: &mut [u8]) -> Result<GuestImage, BadImage> {
    let elf = ElfBytes::<AnyEndian>::minimal_parse(file).map_err(|_| BadImage::NotElf)?;
    let header = &elf.ehdr;
    if header.class != Class::ELF64 || header.e_machine != EM_PPC64 || header.e_type != ET_EXEC {
        return Err(BadImage::OtherKind);
    }
    let segments = elf.segments().ok_or(BadImage::OtherKind)?;
    let (mut end, mut entry_found) = (0, false);
    for (index, segment) in segments
        .iter()
        .enumerate()
        .filter(|(_, s)| s.p_type == PT_LOAD)
    {
        let range = load_segment(file, memory, &segment).ok_or(BadImage::Segment(index))?;
        end = end.max(range.end as u64);
        entry_found |= range.contains(&(header.e_entry as usize));
    }
    if !entry_found || header.e_entry % 4 != 0 {
        return Err(BadImage::Entry(header.e_entry));
    }
    let little_endian = header.endianness == AnyEndian::Little;
    Ok(GuestImage {
        entry: header.e_entry,
        little_endian,
        end,
    })
}

/// Copies what is in the file, clears the rest; where the segment now is.
fn load_segment(file: &[u8], memory: &mut [u8], segment: &ProgramHeader) -> Option<Range<usize>> {
    let number = |value: u64| usize::try_from(value).ok();
    let (offset, start) = (number(segment.p_offset)?, number(segment.p_vaddr)?);
    let (in_file, in_memory) = (number(segment.p_filesz)?, number(segment.p_memsz)?);
    let data = file.get(offset..offset.checked_add(in_file)?)?;
    let range = start..start.checked_add(in_memory)?;
    let place = memory.get_mut(range.clone())?;
    let (filled, cleared) = place.split_at_mut_checked(in_file)?;
    filled.copy_from_slice(data);
    cleared.fill(0);
    Some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A big-endian ELF file with one segment that begins at offset 0x78.
    fn file(entry: u64, start: u64, data: &[u8], in_memory: u64) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x02\x01\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend([0, 2, 0, 21, 0, 0, 0, 1]);
        file.extend([entry, 64, 0].map(u64::to_be_bytes).concat());
        file.extend([0, 0, 0, 2, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0]);
        file.extend([0, 0, 0, 1, 0, 0, 0, 7]);
        let numbers = [0x78, start, start, data.len() as u64, in_memory, 4];
        file.extend(numbers.map(u64::to_be_bytes).concat());
        file.extend(data);
        file
    }

    #[test]
    fn loads_and_clears() {
        let mut memory = [0xff; 64];
        let image = load(&file(8, 4, b"12345678", 16), &mut memory).unwrap();
        assert_eq!(
            image,
            GuestImage {
                entry: 8,
                little_endian: false,
                end: 20
            }
        );
        assert_eq!(
            &memory[..24],
            b"\xff\xff\xff\xff12345678\0\0\0\0\0\0\0\0\xff\xff\xff\xff"
        );
    }

    #[test]
    fn says_what_is_wrong() {
        let mut memory = [0; 64];
        assert_eq!(load(b"", &mut memory), Err(BadImage::NotElf));
        assert_eq!(load(b"#!/bin/sh\n", &mut memory), Err(BadImage::NotElf));
        let mut other = file(8, 4, b"12345678", 16);
        other[19] = 62;
        assert_eq!(load(&other, &mut memory), Err(BadImage::OtherKind));
        assert_eq!(
            load(&file(20, 4, b"12345678", 16), &mut memory),
            Err(BadImage::Entry(20))
        );
        assert_eq!(
            load(&file(6, 4, b"12345678", 16), &mut memory),
            Err(BadImage::Entry(6))
        );
        assert_eq!(
            load(&file(8, 60, b"12345678", 8), &mut memory),
            Err(BadImage::Segment(0))
        );
        assert_eq!(
            load(&file(8, u64::MAX, b"1", 8), &mut memory),
            Err(BadImage::Segment(0))
        );
        assert_eq!(
            load(&file(8, 4, b"12345678", 7), &mut memory),
            Err(BadImage::Segment(0))
        );
    }

    proptest! {
        #[test]
        fn any_file_is_read_without_a_panic(
            flips in proptest::collection::vec((0usize..128, any::<u8>()), 0..6),
        ) {
            let mut file = file(8, 4, b"12345678", 16);
            for (at, byte) in flips {
                file[at] = byte;
            }
            let mut memory = [0; 64];
            if let Ok(image) = load(&file, &mut memory) {
                prop_assert!(image.end <= 64 && image.entry < 64);
            }
        }
    }
}

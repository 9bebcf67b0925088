//! The payload: the file that QEMU's `-kernel` puts into memory, flat or ELF, of either
//! endianness. It is entered big-endian whatever it is: a little-endian kernel begins with code
//! that switches, as OPAL's hosts do.

mod elf64;
mod foreign;

use crate::memory::region::Region;
use crate::memory::{MemoryError, MemoryMap};
use alloc::vec::Vec;
use elf64::{Elf64, Segment};
use thiserror::Error;

/// Real address of the file.
pub const BASE: u64 = 0x2000_0000;
/// Longest file, in bytes: the initial RAM disk begins behind.
pub const MAX_LEN: u64 = 0x0800_0000;
/// Where the initial RAM disk goes, and how long it may be.
pub const INITRD_BASE: u64 = BASE + MAX_LEN;
pub const MAX_INITRD_LEN: u64 = 0x1000_0000;
/// Most segments to load.
pub const MAX_SEGMENTS: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PayloadError {
    #[error("no payload at {0:#x}: give one with -kernel")]
    None(u64),
    #[error("payload: the file is {0}")]
    Foreign(&'static str),
    #[error("payload: ELF file is cut short")]
    Truncated,
    #[error("payload: ELF class {0} is not 64-bit")]
    Class(u8),
    #[error("payload: ELF data encoding {0} is no endianness")]
    Encoding(u8),
    #[error("payload: ELF machine {0} is not PowerPC64 (21)")]
    Machine(u16),
    #[error("payload: ELF type {0} can't be run")]
    Type(u16),
    #[error("payload: ELF program headers of {0} bytes")]
    HeaderSize(u16),
    #[error("payload: ELF has {0} segments to load, not 1 to {MAX_SEGMENTS}")]
    SegmentCount(usize),
    #[error("payload: ELF segment {0} lies outside of the file or address space")]
    Segment(usize),
    #[error("payload: ELF segments meet at {0} and {1}")]
    Overlap(Region, Region),
    #[error("payload: ELF entry {0:#x} is not code of the file")]
    Entry(u64),
    #[error("{0}")]
    Memory(#[from] MemoryError),
}

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Flat,
    /// `in_place`: runs where the file lies; else its segments are copied out.
    Elf {
        little_endian: bool,
        in_place: bool,
    },
}

/// A payload that can be run, and what is left to do before that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Real address of the first instruction.
    pub entry: u64,
    pub format: Format,
    /// Memory that the payload has when it is entered, in order of address.
    pub images: Vec<Region>,
    copies: Vec<Copy>,
    zeros: Vec<Region>,
}

/// Bytes to be copied between real addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Copy {
    from: u64,
    to: u64,
    len_bytes: u64,
}

/// The memory in which a file at `base` can lie: up to the next thing reserved.
///
/// # Errors
/// There is no RAM, or it is somebody else's.
pub fn window(map: &MemoryMap, base: u64) -> Result<Region, PayloadError> {
    map.free_from(base, MAX_LEN).ok_or(PayloadError::None(base))
}

/// Finds out how to run the file that begins `file`, which lies at real address `base`. Nothing is
/// changed yet. `map` has all reserved that the payload must not touch.
///
/// # Errors
/// There is no file or it can't be run: see the reasons.
pub fn examine(file: &[u8], base: u64, map: &MemoryMap) -> Result<Payload, PayloadError> {
    match file.first_chunk() {
        None | Some([0, 0, 0, 0]) => Err(PayloadError::None(base)),
        Some(b"\x7fELF") => examine_elf(&Elf64::parse(file)?, base, map),
        Some(_) => examine_flat(file, base),
    }
}

fn examine_flat(file: &[u8], base: u64) -> Result<Payload, PayloadError> {
    match foreign::why_foreign(file) {
        Some(what) => Err(PayloadError::Foreign(what)),
        None => Ok(Payload {
            entry: base,
            format: Format::Flat,
            images: Region::new(base, file.len() as u64).into_iter().collect(),
            copies: Vec::new(),
            zeros: Vec::new(),
        }),
    }
}

fn examine_elf(elf: &Elf64, base: u64, map: &MemoryMap) -> Result<Payload, PayloadError> {
    let offset = in_place_offset(&elf.segments);
    let mut payload = Payload {
        entry: 0,
        format: Format::Elf {
            little_endian: elf.little_endian,
            in_place: offset.is_some(),
        },
        images: Vec::with_capacity(elf.segments.len()),
        copies: Vec::new(),
        zeros: Vec::new(),
    };
    let mut entry = None;
    for (index, segment) in elf.segments.iter().enumerate() {
        let to = match offset {
            Some(offset) => base.wrapping_add(segment.vaddr.wrapping_sub(offset)),
            None => segment.paddr,
        };
        let image = Region::new(to, segment.mem_len).ok_or(PayloadError::Segment(index))?;
        map.check(image, "payload")?;
        payload.images.push(image);
        payload
            .zeros
            .extend(Region::between(to + segment.file_len, image.end()));
        if offset.is_none() && segment.file_len > 0 {
            payload.copies.push(Copy {
                from: base + segment.offset,
                to,
                len_bytes: segment.file_len,
            });
        }
        if segment.has_code_at(elf.entry) {
            entry = Some(to + (elf.entry - segment.vaddr));
        }
    }
    payload.entry = entry
        .filter(|entry: &u64| entry.is_multiple_of(4))
        .ok_or(PayloadError::Entry(elf.entry))?;
    payload.images.sort_unstable();
    check_apart(&payload)?;
    Ok(payload)
}

/// What to take from a virtual address for the offset in the file, if that is the same for all
/// segments: then the file can be run where it lies.
fn in_place_offset(segments: &[Segment]) -> Option<u64> {
    let mut offsets = segments
        .iter()
        .filter(|segment| segment.file_len > 0)
        .map(|segment| segment.vaddr.wrapping_sub(segment.offset));
    let first = offsets.next()?;
    offsets.all(|offset| offset == first).then_some(first)
}

/// No two segments share memory, and no copy overwrites what is still to be copied.
fn check_apart(payload: &Payload) -> Result<(), PayloadError> {
    if let Some(pair) = payload
        .images
        .windows(2)
        .find(|pair| pair[0].overlaps(&pair[1]))
    {
        return Err(PayloadError::Overlap(pair[0], pair[1]));
    }
    let sources = payload
        .copies
        .iter()
        .map(|copy| (copy.from, copy.from + copy.len_bytes));
    let source = sources
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        .and_then(|(start, end)| Region::between(start, end));
    let hit = source.and_then(|source| {
        let image = payload
            .images
            .iter()
            .find(|image| image.overlaps(&source))?;
        Some((*image, source))
    });
    match hit {
        Some((image, source)) => Err(PayloadError::Overlap(image, source)),
        None => Ok(()),
    }
}

impl Payload {
    /// Does what is left: copies segments, clears what the file doesn't fill.
    ///
    /// # Safety
    /// The file still lies where [`examine`] saw it, and the memory map given there still holds.
    pub unsafe fn place(&self) {
        for copy in &self.copies {
            let from = crate::memory::real::ptr(copy.from);
            let to = crate::memory::real::ptr(copy.to);
            // SAFETY: `examine` has checked that source and target are RAM, nobody else's, and
            // apart.
            unsafe { core::ptr::copy_nonoverlapping(from, to, copy.len_bytes as usize) };
            forget_code(copy.to, copy.len_bytes);
        }
        for zero in &self.zeros {
            // SAFETY: `examine` has checked that this is RAM and nobody else's.
            unsafe { crate::memory::zero::zero(zero.start(), zero.len_bytes()) };
        }
    }
}

/// Makes instruction fetches see what has just been written.
pub fn forget_code(start: u64, len_bytes: u64) {
    #[cfg(target_arch = "powerpc64")]
    for block in (start & !127..start + len_bytes).step_by(128) {
        // SAFETY: cache maintenance changes no memory.
        unsafe {
            core::arch::asm!("dcbst 0, {0}", "sync", "icbi 0, {0}", "sync", "isync",
                in(reg) crate::memory::real::ptr(block), options(nostack, preserves_flags));
        }
    }
    #[cfg(not(target_arch = "powerpc64"))]
    let _ = (start, len_bytes);
}

#[cfg(test)]
mod tests;

//! The flat image: what QEMU's `-bios`, or a flash partition, takes.
use anyhow::{Context, Result, bail, ensure};
use object::elf::{EM_PPC64, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol};

/// The image may not be larger.
pub const LIMIT_BYTES: usize = 768 * 1024;

/// The firmware's variable with the symbol map's place: offset and length, four bytes each.
const MAP_PLACE: &str = "SYMBOL_MAP_PLACE";
/// And with the hash of the keys that it trusts.
const TRUSTED_KEYS: &str = "TRUSTED_KEYS";

/// Put the symbol map behind an image of this ELF file, and its place into the firmware's variable.
pub fn append_map(image: &mut Vec<u8>, elf: &[u8], map: &[u8]) -> Result<()> {
    let end = image.len() + map.len();
    if end > LIMIT_BYTES {
        bail!("image and symbol map are {end} bytes long, more than {LIMIT_BYTES}");
    }
    let place = variable(image, elf, MAP_PLACE, 8)?;
    let offset = u32::try_from(end - map.len())?;
    place[..4].copy_from_slice(&offset.to_be_bytes());
    place[4..].copy_from_slice(&u32::try_from(map.len())?.to_be_bytes());
    image.extend_from_slice(map);
    Ok(())
}

/// Has an image of this ELF file trust keys with that hash.
pub fn trust(image: &mut [u8], elf: &[u8], key_hash: &[u8; 64]) -> Result<()> {
    variable(image, elf, TRUSTED_KEYS, key_hash.len())?.copy_from_slice(key_hash);
    Ok(())
}

/// Where an image has one of the firmware's variables.
fn variable<'a>(
    image: &'a mut [u8],
    elf: &[u8],
    name: &str,
    len_bytes: usize,
) -> Result<&'a mut [u8]> {
    let base = segments(elf)?
        .iter()
        .map(|segment| segment.virtual_address)
        .min();
    let file = object::File::parse(elf).context("not an object file")?;
    file.symbols()
        .find(|symbol| symbol.name() == Ok(name))
        .and_then(|symbol| symbol.address().checked_sub(base?))
        .and_then(|offset| image.get_mut(offset as usize..)?.get_mut(..len_bytes))
        .with_context(|| format!("the firmware's image has no {name}"))
}

/// One loadable segment's bytes and the physical address where they belong.
struct Segment<'a> {
    address: u64,
    virtual_address: u64,
    bytes: &'a [u8],
}

/// Lay the loadable segments of a big-endian PowerPC ELF file by physical address, from the
/// lowest one on. Gaps are zero; memory past a segment's bytes in the file (.bss) is left out at
/// the end of the image.
pub fn image(elf: &[u8]) -> Result<Vec<u8>> {
    let mut segments = segments(elf)?;
    segments.sort_by_key(|segment| segment.address);
    let base = segments
        .first()
        .context("no loadable segment with bytes in the file")?
        .address;
    let mut out = Vec::new();
    for segment in segments {
        let offset = usize::try_from(segment.address - base)?;
        ensure!(
            offset >= out.len(),
            "segments overlap at {:#x}",
            segment.address
        );
        let end = offset.saturating_add(segment.bytes.len());
        if end > LIMIT_BYTES {
            bail!("the image is {end} bytes long, more than the {LIMIT_BYTES} it may have");
        }
        out.resize(offset, 0);
        out.extend_from_slice(segment.bytes);
    }
    Ok(out)
}

fn segments(elf: &[u8]) -> Result<Vec<Segment<'_>>> {
    let header = FileHeader64::<Endianness>::parse(elf).context("not a 64-bit ELF file")?;
    let endian = header.endian().context("the ELF file's byte order")?;
    ensure!(endian == Endianness::Big, "the firmware must be big-endian");
    ensure!(
        header.e_machine(endian) == EM_PPC64,
        "the firmware must be for PowerPC"
    );
    let mut found = Vec::new();
    for segment in header
        .program_headers(endian, elf)
        .context("program headers")?
    {
        if segment.p_type(endian) != PT_LOAD || segment.p_filesz(endian) == 0 {
            continue;
        }
        let address = segment.p_paddr(endian);
        let Ok(bytes) = segment.data(endian, elf) else {
            bail!("the segment at {address:#x} reaches past the end of the file");
        };
        found.push(Segment {
            address,
            virtual_address: segment.p_vaddr(endian),
            bytes,
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with these (physical address, bytes in the file, bytes in memory) segments.
    fn elf(segments: &[(u64, &[u8], u64)]) -> Vec<u8> {
        let mut out = b"\x7fELF\x02\x02\x01".to_vec();
        out.resize(16, 0);
        out.extend(2u16.to_be_bytes());
        out.extend(21u16.to_be_bytes());
        out.extend(1u32.to_be_bytes());
        out.extend(0x10u64.to_be_bytes());
        out.extend(64u64.to_be_bytes());
        out.extend(0u64.to_be_bytes());
        out.extend(2u32.to_be_bytes());
        for half in [64, 56, segments.len() as u16, 64, 0, 0] {
            out.extend(half.to_be_bytes());
        }
        let mut offset = 64 + 56 * segments.len() as u64;
        for (address, bytes, memory) in segments {
            out.extend(PT_LOAD.0.to_be_bytes());
            out.extend(5u32.to_be_bytes());
            let len = bytes.len() as u64;
            for word in [offset, address | 1 << 63, *address, len, *memory, 8] {
                out.extend(word.to_be_bytes());
            }
            offset += len;
        }
        segments.iter().for_each(|(_, bytes, _)| out.extend(*bytes));
        out
    }

    #[test]
    fn segments_lie_by_physical_address() {
        let made = image(&elf(&[
            (0x3000_0010, b"data", 64),
            (0x3000_0000, b"code", 4),
        ]))
        .unwrap();
        assert_eq!(made, b"code\0\0\0\0\0\0\0\0\0\0\0\0data");
    }

    #[test]
    fn memory_without_bytes_is_left_out() {
        let made = image(&elf(&[(0, b"code", 4), (0x10_0000, b"", 0x100_0000)])).unwrap();
        assert_eq!(made, b"code");
    }

    #[test]
    fn too_large_is_refused() {
        let full = vec![1; LIMIT_BYTES];
        assert_eq!(image(&elf(&[(0, &full, 0)])).unwrap().len(), LIMIT_BYTES);
        let error = image(&elf(&[(0, &full, 0), (LIMIT_BYTES as u64, b"x", 1)])).unwrap_err();
        let length = format!("{} bytes", LIMIT_BYTES + 1);
        assert!(error.to_string().contains(&length), "{error}");
        image(&elf(&[(0, b"x", 1), (1 << 62, b"x", 1)])).unwrap_err();
    }

    #[test]
    fn overlap_is_refused() {
        let error = image(&elf(&[(0, b"code", 4), (2, b"data", 4)])).unwrap_err();
        assert!(error.to_string().contains("overlap"), "{error}");
    }

    #[test]
    fn a_map_wants_a_place_and_room() {
        let whole = elf(&[(0, b"code", 4)]);
        let mut made = image(&whole).unwrap();
        let error = append_map(&mut made, &whole, b"map").unwrap_err();
        assert!(error.to_string().contains(MAP_PLACE), "{error}");
        let error = append_map(&mut made, &whole, &vec![b'm'; LIMIT_BYTES]).unwrap_err();
        let length = format!("{} bytes", LIMIT_BYTES + 4);
        assert!(error.to_string().contains(&length), "{error}");
        assert_eq!(made, b"code");
    }

    #[test]
    fn other_files_are_refused() {
        assert!(image(b"#!/bin/sh").unwrap_err().to_string().contains("ELF"));
        assert!(
            image(&elf(&[]))
                .unwrap_err()
                .to_string()
                .contains("no loadable segment")
        );
        let mut intel = elf(&[(0, b"code", 4)]);
        intel[19] = 62;
        assert!(image(&intel).unwrap_err().to_string().contains("PowerPC"));
        let whole = elf(&[(0, b"code", 4)]);
        let cut = &whole[..whole.len() - 1];
        assert!(image(cut).unwrap_err().to_string().contains("past the end"));
    }
}

extern crate std;
use super::*;
use crate::flash::{container, ecc};
use sha2::{Digest, Sha512};
use std::vec;
use std::vec::Vec;

/// "catnap ", a thousand times, by `xz -1 --check=crc32`.
const PACKED: [u8; 104] = [
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36, 0x02, 0x00, 0x21, 0x01,
    0x10, 0x00, 0x00, 0x00, 0xa8, 0x70, 0x8e, 0x86, 0xe0, 0x1b, 0x57, 0x00, 0x2c, 0x5d, 0x00, 0x31,
    0x98, 0x4a, 0xef, 0xa0, 0xae, 0x55, 0xb9, 0x90, 0xde, 0x53, 0x87, 0xb1, 0x1e, 0x53, 0x1e, 0x16,
    0x9d, 0xd5, 0xe7, 0x52, 0x1f, 0x10, 0x06, 0xfa, 0xf9, 0x50, 0x4c, 0xc3, 0x6c, 0xee, 0x3d, 0xb4,
    0x56, 0xc7, 0xad, 0x55, 0xe9, 0xac, 0x16, 0x20, 0xeb, 0x9f, 0x00, 0x00, 0xa0, 0xf5, 0x1e, 0x09,
    0x00, 0x01, 0x44, 0xd8, 0x36, 0x00, 0x00, 0x00, 0x42, 0x0f, 0x59, 0x3b, 0x3e, 0x30, 0x0d, 0x8b,
    0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x59, 0x5a,
];

fn text() -> Vec<u8> {
    b"catnap ".repeat(1000)
}

fn unpacked(packed: &[u8], room_bytes: usize) -> Result<Vec<u8>, UnpackError> {
    let mut to = vec![0; room_bytes];
    let len = unpack(packed, &mut to, &mut vec![0; 1 << 20])?;
    to.truncate(len);
    Ok(to)
}

#[test]
fn what_xz_has_packed_is_unpacked() {
    assert_eq!(unpacked(&PACKED, 8000), Ok(text()));
    // What is behind it doesn't matter.
    let longer = [&PACKED[..], &[0xff; 100]].concat();
    assert_eq!(unpacked(&longer, 7000), Ok(text()));
}

#[test]
fn a_packed_file_that_does_not_fit_is_refused() {
    for room_bytes in [0, 1, 6999] {
        assert_eq!(
            unpacked(&PACKED, room_bytes),
            Err(UnpackError::TooLong(room_bytes))
        );
    }
    let mut to = vec![0; 8000];
    let little = unpack(&PACKED, &mut to, &mut vec![0; 4096]);
    assert!(matches!(little, Err(UnpackError::Xz(_))));
}

#[test]
fn each_changed_bit_of_a_packed_file_is_noticed_or_does_not_matter() {
    for bit in 0..8 * PACKED.len() {
        let mut packed = PACKED;
        packed[bit / 8] ^= 1 << (bit % 8);
        let found = unpacked(&packed, 8000).unwrap_or_else(|_| text());
        assert_eq!(found, text(), "bit {bit}");
    }
    for len in 0..PACKED.len() {
        let short = unpacked(&PACKED[..len], 8000);
        assert_eq!(short, Err(UnpackError::Truncated), "{len} bytes");
    }
}

/// A flash with a partition from 4096 on, 8192 bytes long, that begins with `content`.
fn flash(content: &[u8], has_ecc: bool, used_bytes: u64) -> (Partition, Vec<u8>) {
    let partition = Partition {
        name: Name::new(b"BOOTKERNEL"),
        offset_bytes: 4096,
        len_bytes: 8192,
        used_bytes,
        has_ecc,
        is_read_only: false,
    };
    let mut data = Vec::from(content);
    data.resize(8192, 0);
    if has_ecc {
        let (words, _) = data.as_chunks();
        let words = words.iter().map(|&word| u64::from_be_bytes(word));
        data = words.flat_map(ecc::encode).collect();
        data.truncate(8192);
    }
    (partition, [vec![0xff; 4096], data].concat())
}

/// What the partition holds, and how many bits were wrong.
fn image(flash: &(Partition, Vec<u8>)) -> Result<(Image, Vec<u8>, usize), ImageError> {
    let read = |at: u64, to: &mut [u8]| {
        to.copy_from_slice(&flash.1[at as usize..][..to.len()]);
        Ok(())
    };
    let image = Image::find(&flash.0, read)?;
    let mut bytes = vec![0; image.len_bytes as usize];
    let mut heard = 0;
    let corrected = image.read(&mut bytes, read, |done_bytes| heard = done_bytes)?;
    assert_eq!(heard, image.len_bytes);
    Ok((image, bytes, corrected))
}

fn contained(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; container::HEADER_BYTES];
    bytes[..6].copy_from_slice(&[0x17, 0x08, 0x20, 0x11, 0, 1]);
    for at in [426, 920] {
        bytes[at..at + 4].copy_from_slice(&[0, 1, 1, 1]);
    }
    bytes[945..953].copy_from_slice(&(payload.len() as u64).to_be_bytes());
    bytes[953..1017].copy_from_slice(&Sha512::digest(payload));
    bytes.extend(payload);
    bytes
}

#[test]
fn an_image_is_found_with_and_without_container() {
    for has_ecc in [false, true] {
        let (found, bytes, _) = image(&flash(&contained(&PACKED), has_ecc, 0)).unwrap();
        assert!(found.has_container() && found.is_packed);
        assert_eq!(bytes, PACKED);
        let (found, bytes, _) = image(&flash(b"\x7fELF, say", has_ecc, 9)).unwrap();
        assert!(!found.has_container() && !found.is_packed);
        assert_eq!(bytes, b"\x7fELF, say");
    }
    // The table doesn't say how much is in use.
    let (_, bytes, _) = image(&flash(b"\x7fELF, say", false, 0)).unwrap();
    assert_eq!(bytes.len(), 8192);
}

/// Tools count the whole partition as in use, and leave erased what they don't write.
#[test]
fn an_image_in_coded_flash_ends_where_nothing_is_written_any_more() {
    for used_bytes in [8192, 0] {
        let mut flash = flash(&PACKED, true, used_bytes);
        let end = 4096 + PACKED.len() / 8 * 9;
        flash.1[end..].fill(0xff);
        let (found, bytes, _) = image(&flash).unwrap();
        assert!(found.is_packed);
        assert_eq!(bytes, PACKED);
        // Words between that were never written are no end.
        flash.1[4096 + 9..4096 + 18].fill(0xff);
        let gap = DataError::Blank(Name::new(b"BOOTKERNEL"), 8);
        assert_eq!(image(&flash).unwrap_err(), gap.into());
        flash.1[4096..].fill(0xff);
        let name = Name::new(b"BOOTKERNEL");
        assert_eq!(image(&flash).unwrap_err(), ImageError::Empty(name));
    }
}

#[test]
fn an_image_that_is_not_its_containers_is_refused() {
    let name = Name::new(b"BOOTKERNEL");
    let mut flash = flash(&contained(b"a payload"), false, 0);
    flash.1[4096 + container::HEADER_BYTES] ^= 1;
    let wrong = image(&flash).unwrap_err();
    assert_eq!(wrong, ContainerError::Hash(name).into());
    // One bit is what the code is for.
    let mut flash = super::tests::flash(&contained(b"a payload"), true, 0);
    flash.1[4096 + container::HEADER_BYTES / 8 * 9] ^= 1;
    let (_, bytes, corrected) = image(&flash).unwrap();
    assert_eq!((&bytes[..], corrected), (&b"a payload"[..], 1));
    flash.1[4096 + container::HEADER_BYTES / 8 * 9 + 1] ^= 1;
    let wrong = image(&flash).unwrap_err();
    assert_eq!(
        wrong,
        DataError::Lost(name, container::HEADER_BYTES as u64).into()
    );
}

#[test]
fn a_partition_too_short_for_an_image_is_empty() {
    let name = Name::new(b"BOOTKERNEL");
    let wrong = image(&flash(b"12345", false, 5)).unwrap_err();
    assert_eq!(wrong, ImageError::Empty(name));
}

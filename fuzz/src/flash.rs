//! Flash images: one that boots, changed at some places. It is booted still, or refused, and NVRAM in it is
//! read or refused.
use platform::flash::device::FlashError;
use platform::flash::ecc;
use platform::flash::image::{Image, unpack};
use platform::flash::store::Store;
use platform::flash::table::{ENTRY_BYTES, HEADER_BYTES, Header, Partition};
use platform::lpc::nvram;
use sha2::{Digest, Sha512};
use std::sync::OnceLock;

const BLOCK_BYTES: usize = 4096;
const FLASH_BYTES: usize = 16 * BLOCK_BYTES;
const KERNEL_AT: usize = 2 * BLOCK_BYTES;
const CODED_AT: usize = 6 * BLOCK_BYTES;
const NVRAM_AT: usize = 10 * BLOCK_BYTES;
const NVRAM_RAW_BYTES: usize = 3 * BLOCK_BYTES;
/// The container's header, and the software's header in it.
const CONTAINER_BYTES: usize = 4096;
const SOFTWARE_AT: usize = 920;
const PAYLOAD: &[u8] = include_bytes!("../seeds/flash/payload.xz");
/// More than any image here is unpacked to.
const ROOM_BYTES: usize = 64 << 10;
const DICTIONARY_BYTES: usize = 1 << 20;

/// Each change is four bytes: a place, and what is flipped there.
pub fn flash(data: &[u8]) {
    let Some((&how, changes)) = data.split_first() else {
        return;
    };
    let mut flash = good().to_vec();
    for change in changes.as_chunks::<4>().0 {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % FLASH_BYTES;
        flash[at] ^= change[2];
    }
    if how & 1 != 0 {
        // So that a change in the table goes further than its sum.
        seal(&mut flash[..HEADER_BYTES]);
        for entry in flash[HEADER_BYTES..][..3 * ENTRY_BYTES].chunks_exact_mut(ENTRY_BYTES) {
            seal(entry);
        }
    }
    if how & 2 != 0 {
        // The same for the payload, as its container says that it is.
        let hash = Sha512::digest(&flash[KERNEL_AT + CONTAINER_BYTES..][..PAYLOAD.len()]);
        flash[KERNEL_AT + SOFTWARE_AT + 33..][..hash.len()].copy_from_slice(&hash);
    }
    boot(&mut flash);
}

fn boot(flash: &mut [u8]) {
    let len_bytes = flash.len() as u64;
    let header = flash.first_chunk().expect("a flash has a header");
    let Ok(header) = Header::parse(header, len_bytes) else {
        return;
    };
    let Some(table) = flash.get(..header.table_bytes()) else {
        return;
    };
    let Ok(partitions) = header.partitions(table, len_bytes) else {
        return;
    };
    for partition in &partitions {
        assert!(partition.offset_bytes + partition.len_bytes <= len_bytes);
        load(flash, partition);
        let store = Store::new(partition, NVRAM_RAW_BYTES);
        let cell = std::cell::RefCell::new(&mut *flash);
        let mut nvram = vec![0; store.len_bytes()];
        let read = |at: u64, to: &mut [u8]| read(&cell.borrow(), at, to);
        let write = |at: u64, from: &[u8]| {
            // Nothing but the partition is written.
            assert!(at >= partition.offset_bytes);
            let end = at + from.len() as u64;
            assert!(end <= partition.offset_bytes + partition.len_bytes);
            cell.borrow_mut()[at as usize..end as usize].copy_from_slice(from);
            Ok(())
        };
        let _ = store.load(&mut nvram, read, write);
    }
}

fn load(flash: &[u8], partition: &Partition) {
    let Ok(image) = Image::find(partition, |at, to| read(flash, at, to)) else {
        return;
    };
    assert!(image.len_bytes <= partition.len_bytes);
    let mut bytes = vec![0; image.len_bytes as usize];
    let all = image.read(&mut bytes, |at, to| read(flash, at, to), |_| {});
    if all.is_err() || !image.is_packed {
        return;
    }
    let (mut to, mut dictionary) = (vec![0; ROOM_BYTES], vec![0; DICTIONARY_BYTES]);
    if let Ok(len) = unpack(&bytes, &mut to, &mut dictionary) {
        assert!(len <= ROOM_BYTES);
    }
}

fn read(flash: &[u8], at: u64, to: &mut [u8]) -> Result<(), FlashError> {
    let at = usize::try_from(at).map_err(|_| FlashError::NoBus)?;
    let from = flash.get(at..).and_then(|rest| rest.get(..to.len()));
    to.copy_from_slice(from.ok_or(FlashError::NoBus)?);
    Ok(())
}

/// A flash with a table, a kernel twice, once coded, and NVRAM.
fn good() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| {
        let mut flash = vec![0xff; FLASH_BYTES];
        let words = [
            u32::from_be_bytes(*b"PART"),
            1,
            1,
            128,
            3,
            4096,
            16,
            0,
            0,
            0,
            0,
            0,
        ];
        put_words(&mut flash[..HEADER_BYTES], &words);
        seal(&mut flash[..HEADER_BYTES]);
        let kernel = contained();
        let mut nvram = vec![0; (NVRAM_RAW_BYTES / 9 * 8) & !15];
        nvram::format(&mut nvram);
        let parts: [(&[u8], usize, usize, bool, &[u8]); 3] = [
            (
                b"BOOTKERNEL",
                KERNEL_AT,
                CODED_AT - KERNEL_AT,
                false,
                &kernel,
            ),
            (b"ROOTFS", CODED_AT, NVRAM_AT - CODED_AT, true, &kernel),
            (b"NVRAM", NVRAM_AT, NVRAM_RAW_BYTES, true, &nvram),
        ];
        let entries = HEADER_BYTES..HEADER_BYTES + parts.len() * ENTRY_BYTES;
        for (part, at) in parts.iter().zip(entries.step_by(ENTRY_BYTES)) {
            put_part(&mut flash, at, part);
        }
        flash
    })
}

fn put_part(
    flash: &mut [u8],
    entry_at: usize,
    &(name, at, len, has_ecc, content): &(&[u8], usize, usize, bool, &[u8]),
) {
    let raw: Vec<u8> = match has_ecc {
        false => content.to_vec(),
        true => {
            let (words, _) = content.as_chunks();
            let words = words.iter().map(|&word| u64::from_be_bytes(word));
            words.flat_map(ecc::encode).collect()
        }
    };
    flash[at..at + raw.len()].copy_from_slice(&raw);
    let entry = &mut flash[entry_at..][..ENTRY_BYTES];
    entry.fill(0);
    entry[..name.len()].copy_from_slice(name);
    let blocks = |bytes: usize| (bytes / BLOCK_BYTES) as u32;
    let integrity = if has_ecc { 0x8000 } else { 0 };
    let words = [
        blocks(at),
        blocks(len),
        u32::MAX,
        1,
        1,
        0,
        raw.len() as u32,
        0,
        0,
        0,
        0,
        integrity,
    ];
    put_words(&mut entry[16..64], &words);
    seal(entry);
}

/// Behind a container that nobody has signed, as long as a multiple of eight.
fn contained() -> Vec<u8> {
    let mut bytes = vec![0; CONTAINER_BYTES];
    bytes[..6].copy_from_slice(&[0x17, 0x08, 0x20, 0x11, 0, 1]);
    for at in [426, SOFTWARE_AT] {
        bytes[at..at + 4].copy_from_slice(&[0, 1, 1, 1]);
    }
    bytes[SOFTWARE_AT + 25..][..8].copy_from_slice(&(PAYLOAD.len() as u64).to_be_bytes());
    bytes[SOFTWARE_AT + 33..][..64].copy_from_slice(&Sha512::digest(PAYLOAD));
    bytes.extend(PAYLOAD);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn put_words(to: &mut [u8], words: &[u32]) {
    for (to, word) in to.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *to = word.to_be_bytes();
    }
}

/// Makes the last word so that all together are 0 by exclusive or.
fn seal(bytes: &mut [u8]) {
    let (words, _) = bytes.as_chunks_mut::<4>();
    let (last, others) = words.split_last_mut().expect("a sum at the end");
    let sum = others
        .iter()
        .fold(0, |sum, &word| sum ^ u32::from_be_bytes(word));
    *last = sum.to_be_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is changed is whole before.
    #[test]
    fn the_image_boots() {
        let flash = good().to_vec();
        let header = Header::parse(flash.first_chunk().unwrap(), FLASH_BYTES as u64).unwrap();
        let partitions = header.partitions(&flash, FLASH_BYTES as u64).unwrap();
        for partition in &partitions[..2] {
            let image = Image::find(partition, |at, to| read(&flash, at, to)).unwrap();
            let mut bytes = vec![0; image.len_bytes as usize];
            image
                .read(&mut bytes, |at, to| read(&flash, at, to), |_| {})
                .unwrap();
            assert!(image.is_packed && image.has_container());
            let (mut to, mut dictionary) = (vec![0; ROOM_BYTES], vec![0; DICTIONARY_BYTES]);
            assert_eq!(unpack(&bytes, &mut to, &mut dictionary), Ok(2400));
        }
        let store = Store::new(&partitions[2], NVRAM_RAW_BYTES);
        let mut nvram = vec![0; store.len_bytes()];
        let none = |_: u64, _: &[u8]| panic!("nothing has to be written");
        store
            .load(&mut nvram, |at, to| read(&flash, at, to), none)
            .unwrap();
        assert!(nvram::is_valid(&nvram));
    }
}

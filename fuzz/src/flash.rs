//! Flash images: one that boots, changed at some places. It is booted still, or refused, and NVRAM in it is
//! read or refused.
use platform::flash::device::FlashError;
use platform::flash::ecc;
use platform::flash::image::{Image, unpack};
use platform::flash::store::Store;
use platform::flash::table::{ENTRY_BYTES, HEADER_BYTES, Header, Partition, find};
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

/// What became of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Booted,
    /// Its table can't be believed.
    NoTable,
    /// The table has no kernel any more.
    NoKernel,
    /// The kernel can't be believed.
    Refused,
}

/// Each change is four bytes: a place, and what is flipped there.
pub fn flash(data: &[u8]) {
    changed(data);
}

fn changed(data: &[u8]) -> Fate {
    let (&how, changes) = data.split_first().unwrap_or((&0, &[]));
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
    boot(&mut flash)
}

fn boot(flash: &mut [u8]) -> Fate {
    let len_bytes = flash.len() as u64;
    let header = flash.first_chunk().expect("a flash has a header");
    let Ok(header) = Header::parse(header, len_bytes).map_err(has_reason) else {
        return Fate::NoTable;
    };
    let Some(table) = flash.get(..header.table_bytes()) else {
        return Fate::NoTable;
    };
    let Ok(partitions) = header.partitions(table, len_bytes).map_err(has_reason) else {
        return Fate::NoTable;
    };
    let kernel = find(&partitions, "BOOTKERNEL").map(std::ptr::from_ref);
    let mut fate = Fate::NoKernel;
    for partition in &partitions {
        assert!(partition.offset_bytes + partition.len_bytes <= len_bytes);
        let loaded = load(flash, partition);
        if kernel == Some(std::ptr::from_ref(partition)) {
            fate = if loaded { Fate::Booted } else { Fate::Refused };
        }
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
        let _ = store.load(&mut nvram, read, write).map_err(has_reason);
    }
    fate
}

/// Whoever is refused is told why, in one line.
fn has_reason(why: impl std::fmt::Display) {
    let line = why.to_string();
    assert!(!line.is_empty() && !line.contains(char::is_control));
}

/// Whether the partition has what could be started.
fn load(flash: &[u8], partition: &Partition) -> bool {
    let image = Image::find(partition, |at, to| read(flash, at, to));
    let Ok(image) = image.map_err(has_reason) else {
        return false;
    };
    assert!(image.len_bytes <= partition.len_bytes);
    let mut bytes = vec![0; image.len_bytes as usize];
    let all = image.read(&mut bytes, |at, to| read(flash, at, to), |_| {});
    if all.map_err(has_reason).is_err() || !image.is_packed {
        return all.is_ok();
    }
    let (mut to, mut dictionary) = (vec![0; ROOM_BYTES], vec![0; DICTIONARY_BYTES]);
    let unpacked = unpack(&bytes, &mut to, &mut dictionary).map_err(has_reason);
    unpacked.is_ok_and(|len| {
        assert!(len <= ROOM_BYTES);
        true
    })
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
    use std::collections::BTreeMap;

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

    /// How many changed images are tried, on demand.
    const IMAGES: u64 = 1_000_000;

    /// Bytes from a seed (splitmix64).
    fn draw(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// One to four changes: half of them in what is looked at most, the table and the beginnings of partitions.
    fn changes(seed: u64) -> Vec<u8> {
        let mut state = seed;
        let mut data = vec![draw(&mut state) as u8];
        for _ in 0..=draw(&mut state) % 4 {
            let drawn = draw(&mut state);
            let place = (drawn >> 32) as usize;
            let at = match drawn % 8 {
                0 | 1 => place % (HEADER_BYTES + 3 * ENTRY_BYTES),
                2 => KERNEL_AT + place % (CONTAINER_BYTES + PAYLOAD.len()),
                3 => [KERNEL_AT + SOFTWARE_AT, CODED_AT, NVRAM_AT][place % 3] + place / 3 % 128,
                _ => place % FLASH_BYTES,
            };
            data.extend([(at >> 8) as u8, at as u8, (drawn >> 8) as u8, 0]);
        }
        data
    }

    fn fates(images: u64) -> BTreeMap<Fate, u64> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let part = |first: u64| {
            move || {
                (first..images)
                    .step_by(threads as usize)
                    .map(|seed| changed(&changes(seed)))
            }
        };
        let mut fates = BTreeMap::new();
        std::thread::scope(|scope| {
            let parts =
                (0..threads).map(|first| scope.spawn(move || part(first)().collect::<Vec<_>>()));
            for part in parts.collect::<Vec<_>>() {
                for fate in part.join().unwrap() {
                    *fates.entry(fate).or_insert(0) += 1;
                }
            }
        });
        fates
    }

    /// All that can become of an image does.
    #[test]
    fn a_changed_image_is_booted_or_refused() {
        let fates = fates(1500);
        assert_eq!(fates.len(), 4, "{fates:?}");
    }

    #[test]
    #[ignore = "takes minutes"]
    fn a_million_changed_images_are_booted_or_refused() {
        let fates = fates(IMAGES);
        println!("{fates:?}");
        assert_eq!(fates.values().sum::<u64>(), IMAGES);
    }
}

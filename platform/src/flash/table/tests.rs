extern crate std;
use super::*;
use proptest::prelude::*;
use std::string::ToString;
use std::vec;

const FLASH_BYTES: u64 = 16 << 20;

/// Puts the sum of all words before it at the end.
fn seal(bytes: &mut [u8]) {
    let end = bytes.len() - 4;
    bytes[end..].fill(0);
    let sum = sum(bytes).to_be_bytes();
    bytes[end..].copy_from_slice(&sum);
}

fn put(bytes: &mut [u8], index: usize, value: u32) {
    bytes[4 * index..4 * index + 4].copy_from_slice(&value.to_be_bytes());
}

/// A table as OPAL's tools write it: itself, VERSION (read-only, ECC) and NVRAM (ECC).
fn table() -> Vec<u8> {
    let mut table = vec![0; HEADER_BYTES + 3 * ENTRY_BYTES];
    let header = [MAGIC, 1, 1, 128, 3, 0x1000, 0x1000];
    for (index, value) in header.into_iter().enumerate() {
        put(&mut table, index, value);
    }
    seal(&mut table[..HEADER_BYTES]);
    let entries: [(&[u8], [u32; 3], u32, u32); 3] = [
        (b"part", [0, 1, 0x1000], 0, 0),
        (b"VERSION", [0x10, 2, 0x2000], 0x8000, 0x80_40 << 16),
        (b"NVRAM", [0x20, 0x90, 0x90000], 0x8000, 0x80 << 16),
    ];
    for (index, (name, [base, blocks, used], integrity, misc)) in entries.into_iter().enumerate() {
        let at = HEADER_BYTES + index * ENTRY_BYTES;
        let entry = &mut table[at..at + ENTRY_BYTES];
        entry[..name.len()].copy_from_slice(name);
        for (place, value) in [(0, base), (1, blocks), (2, u32::MAX), (3, index as u32 + 1)] {
            put(entry, 4 + place, value);
        }
        for (place, value) in [(4, 1), (6, used), (11, integrity), (12, misc)] {
            put(entry, 4 + place, value);
        }
        seal(entry);
    }
    table
}

fn read(table: &[u8], flash_bytes: u64) -> Result<Vec<Partition>, TableError> {
    let header = Header::parse(table.first_chunk().unwrap(), flash_bytes)?;
    header.partitions(table, flash_bytes)
}

/// What comes of a table whose header has a word changed, and the sum made right.
fn with(index: usize, value: u32) -> Result<Vec<Partition>, TableError> {
    let mut table = table();
    put(&mut table, index, value);
    seal(&mut table[..HEADER_BYTES]);
    read(&table, FLASH_BYTES)
}

/// The same for a word of an entry's, counted from behind the name.
fn with_entry(place: usize, value: u32) -> Result<Vec<Partition>, TableError> {
    let mut table = table();
    let entry = &mut table[HEADER_BYTES + ENTRY_BYTES..HEADER_BYTES + 2 * ENTRY_BYTES];
    put(entry, 4 + place, value);
    seal(entry);
    read(&table, FLASH_BYTES)
}

#[test]
fn partitions_are_where_the_table_says() {
    let partitions = read(&table(), FLASH_BYTES).unwrap();
    let names: Vec<_> = partitions
        .iter()
        .map(|part| part.name.to_string())
        .collect();
    assert_eq!(names, ["part", "VERSION", "NVRAM"]);
    let version = find(&partitions, "VERSION").unwrap();
    assert_eq!((version.offset_bytes, version.len_bytes), (0x10000, 0x2000));
    assert_eq!((version.used_bytes, version.has_ecc), (0x2000, true));
    assert!(version.is_read_only);
    let nvram = find(&partitions, "NVRAM").unwrap();
    assert_eq!((nvram.offset_bytes, nvram.len_bytes), (0x20000, 0x90000));
    assert!(nvram.has_ecc && !nvram.is_read_only);
    assert!(!find(&partitions, "part").unwrap().has_ecc);
    assert_eq!(find(&partitions, "VERSIO"), None);
}

#[test]
fn a_header_that_lies_is_refused() {
    assert_eq!(with(0, 0), Err(TableError::Magic(0)));
    assert_eq!(with(1, 2), Err(TableError::Version(2)));
    assert_eq!(with(3, 64), Err(TableError::EntrySize(64)));
    for entries in [32, 1025, u32::MAX] {
        assert_eq!(with(4, entries), Err(TableError::EntryCount(entries)));
    }
    for block_bytes in [0, 2, 3, 0x1001, 1 << 21, 1 << 31] {
        assert_eq!(
            with(5, block_bytes),
            Err(TableError::BlockSize(block_bytes))
        );
    }
    assert_eq!(with(6, 0x1001), Err(TableError::FlashSize(0x100_1000)));
    assert_eq!(
        with(6, u32::MAX),
        Err(TableError::FlashSize(0x1000 * 0xffff_ffff))
    );
    assert_eq!(with(2, 0), Err(TableError::EntryCount(3)));
    // Room for one more entry is there, but not in what was read.
    assert_eq!(with(4, 4), Err(TableError::Truncated));
    assert_eq!(with(4, 0), Ok(Vec::new()));
}

#[test]
fn a_partition_that_lies_is_refused() {
    let name = read(&table(), FLASH_BYTES).unwrap()[1].name;
    assert!(with_entry(0, 0x1000 - 2).is_ok());
    for base in [0x1000 - 1, u32::MAX] {
        assert_eq!(with_entry(0, base), Err(TableError::Place(name)));
    }
    assert_eq!(with_entry(1, u32::MAX), Err(TableError::Place(name)));
    assert_eq!(with_entry(6, 0x2001), Err(TableError::Used(name)));
    assert!(with_entry(6, 0).is_ok());
}

#[test]
fn erased_flash_is_called_so() {
    assert_eq!(read(&[0xff; 64], FLASH_BYTES), Err(TableError::Blank));
    assert_eq!(read(&[0; 64], FLASH_BYTES), Err(TableError::Magic(0)));
    let short = read(&table(), FLASH_BYTES - 1);
    assert_eq!(short, Err(TableError::FlashSize(FLASH_BYTES)));
}

#[test]
fn a_name_without_end_is_cut_and_unprintable_ones_are_shown() {
    let mut table = table();
    let entry = &mut table[HEADER_BYTES..HEADER_BYTES + ENTRY_BYTES];
    entry[..NAME_BYTES].copy_from_slice(b"\x1b[31mabcdefghijk");
    seal(entry);
    let partitions = read(&table, FLASH_BYTES).unwrap();
    assert_eq!(partitions[0].name.to_string(), "?[31mabcdefghij");
}

#[test]
fn each_changed_bit_is_noticed() {
    let whole = table();
    for bit in 0..8 * whole.len() {
        let mut table = whole.clone();
        table[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&table, FLASH_BYTES).is_err(), "bit {bit}");
    }
}

proptest! {
    /// Whatever the numbers are, what is read lies in the flash.
    #[test]
    fn no_table_leads_out_of_the_flash(
        words in prop::collection::vec((0usize..12, any::<u32>()), 0..3),
        entries in prop::collection::vec((0usize..31, prop_oneof![any::<u32>(), 0u32..0x1100]), 0..6),
    ) {
        let mut table = table();
        for (index, value) in words {
            put(&mut table, index, value);
        }
        seal(&mut table[..HEADER_BYTES]);
        for (number, (place, value)) in entries.into_iter().enumerate() {
            let at = HEADER_BYTES + number % 3 * ENTRY_BYTES;
            put(&mut table[at..at + ENTRY_BYTES], place, value);
            seal(&mut table[at..at + ENTRY_BYTES]);
        }
        for partition in read(&table, FLASH_BYTES).unwrap_or_default() {
            prop_assert!(partition.offset_bytes + partition.len_bytes <= FLASH_BYTES);
            prop_assert!(partition.used_bytes <= partition.len_bytes);
        }
    }
}

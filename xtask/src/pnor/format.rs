//! Forms of what lies in flash: the partition table, coded words, and containers.
use platform::flash::ecc;
use sha2::{Digest, Sha512};

use super::keys::Keys;

/// Of this flash's partitions.
pub const BLOCK_BYTES: usize = 4096;
const HEADER_BYTES: usize = 48;
const ENTRY_BYTES: usize = 128;
const CONTAINER_BYTES: usize = 4096;

/// What a partition is and may be used for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags {
    /// Eight bytes are followed by one of error-correcting code.
    pub ecc: bool,
    pub read_only: bool,
    /// Kept when the flash is written anew.
    pub preserved: bool,
}

/// A partition, and what is written into it. The rest of it is erased.
#[derive(Clone, Debug)]
pub struct Partition {
    pub name: &'static str,
    pub offset_bytes: usize,
    pub len_bytes: usize,
    pub flags: Flags,
    pub content: Vec<u8>,
}

impl Partition {
    /// As it lies in flash.
    pub fn raw(&self) -> Vec<u8> {
        match self.flags.ecc {
            false => self.content.clone(),
            true => coded(&self.content),
        }
    }

    /// The table's entry, the `number`th.
    fn entry(&self, number: u32) -> Vec<u8> {
        let mut entry = self.name.as_bytes().to_vec();
        entry.resize(16, 0);
        let table = self.offset_bytes == 0;
        let words = [
            blocks(self.offset_bytes),
            blocks(self.len_bytes),
            u32::MAX,
            number,
            if table { 3 } else { 1 },
            // The table is protected, and all of it is in use.
            u32::from(table),
            if table {
                self.len_bytes
            } else {
                self.raw().len()
            } as u32,
        ];
        entry.extend(words.into_iter().flat_map(u32::to_be_bytes));
        entry.extend([0; 16]);
        let Flags {
            ecc,
            read_only,
            preserved,
        } = self.flags;
        let misc = u8::from(preserved) << 7 | u8::from(read_only) << 6;
        entry.extend([0, 0, u8::from(ecc) << 7, 0, 0, misc]);
        entry.resize(ENTRY_BYTES - 4, 0);
        sealed(entry)
    }
}

fn blocks(bytes: usize) -> u32 {
    (bytes / BLOCK_BYTES) as u32
}

/// A flash of that length with those partitions, of which the first is the table's own.
pub fn flash(partitions: &[Partition], flash_bytes: usize) -> Vec<u8> {
    let table_bytes = partitions[0].len_bytes;
    let words = [
        u32::from_be_bytes(*b"PART"),
        1,
        blocks(table_bytes),
        ENTRY_BYTES as u32,
        partitions.len() as u32,
        BLOCK_BYTES as u32,
        blocks(flash_bytes),
    ];
    let mut header: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
    header.resize(HEADER_BYTES - 4, 0);
    let mut table = sealed(header);
    for (partition, number) in partitions.iter().zip(1..) {
        table.extend(partition.entry(number));
    }
    let mut flash = vec![0xff; flash_bytes];
    flash[..table.len()].copy_from_slice(&table);
    for partition in &partitions[1..] {
        let raw = partition.raw();
        flash[partition.offset_bytes..][..raw.len()].copy_from_slice(&raw);
    }
    flash
}

/// With the exclusive or of all words at the end.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let (words, _) = bytes.as_chunks();
    let sum = words
        .iter()
        .fold(0, |sum, &word| sum ^ u32::from_be_bytes(word));
    bytes.extend(sum.to_be_bytes());
    bytes
}

/// With a byte of code behind each eight.
fn coded(data: &[u8]) -> Vec<u8> {
    let words = data.chunks(ecc::DATA_BYTES).map(|chunk| {
        let mut word = [0; ecc::DATA_BYTES];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_be_bytes(word)
    });
    words.flat_map(ecc::encode).collect()
}

/// A header of a container: of the prefix, about so many software keys; of the software, about the payload.
fn header(keys: u8, about: &[u8]) -> Vec<u8> {
    /// Version, and the algorithms for hash and signature.
    const VERSION: [u8; 4] = [0, 1, 1, 1];
    const KEYS_AT: usize = 24;
    let mut bytes = VERSION.to_vec();
    bytes.resize(KEYS_AT, 0);
    bytes.push(keys);
    bytes.extend((about.len() as u64).to_be_bytes());
    bytes.extend(Sha512::digest(about));
    // Bound to no chip.
    bytes.push(0);
    bytes
}

/// A payload behind a container. Without keys its hash alone vouches for it.
pub fn contained(payload: &[u8], keys: Option<&Keys>) -> Vec<u8> {
    const KEY_BYTES: usize = 132;
    const HARDWARE_BYTES: usize = 3 * KEY_BYTES;
    const HARDWARE_KEYS_AT: usize = 30;
    let all_bytes = (CONTAINER_BYTES + payload.len()) as u64;
    let software = header(0, payload);
    let (hardware_keys, prefix, prefix_signatures, software_keys, signature) = match keys {
        Some(keys) => {
            let prefix = header(1, &keys.software());
            let signatures = keys.sign_by_hardware(&prefix);
            let signature = keys.sign_by_software(&software);
            (
                keys.hardware(),
                prefix,
                signatures,
                keys.software(),
                signature,
            )
        }
        None => {
            let none = vec![0; HARDWARE_BYTES];
            (none.clone(), header(0, &[]), none, Vec::new(), Vec::new())
        }
    };
    let mut bytes = 0x1708_2011_u32.to_be_bytes().to_vec();
    bytes.extend(1_u16.to_be_bytes());
    bytes.extend(all_bytes.to_be_bytes());
    bytes.resize(HARDWARE_KEYS_AT, 0);
    for part in [
        hardware_keys,
        prefix,
        prefix_signatures,
        software_keys,
        software,
        signature,
    ] {
        bytes.extend(part);
    }
    bytes.resize(CONTAINER_BYTES, 0);
    bytes.extend(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::flash::table::Header;

    /// The table that `ffspart` of OPAL's tools (7.1) has written for these partitions, each but the table filled up.
    const THEIRS: &[u8] = include_bytes!("format/ffspart.bin");
    const FLASH_BYTES: usize = 0x80000;

    fn partitions() -> [Partition; 4] {
        let part = |name, offset_bytes, len_bytes, flags: Flags| Partition {
            name,
            offset_bytes,
            len_bytes,
            flags,
            content: match (offset_bytes, flags.ecc) {
                (0, _) => Vec::new(),
                (_, false) => vec![0; len_bytes],
                // Rounded up to what is in use in theirs.
                (_, true) => vec![0; (len_bytes / 9 * 8).next_multiple_of(8)],
            },
        };
        let coded = Flags {
            ecc: true,
            ..Flags::default()
        };
        let preserved = Flags {
            preserved: true,
            ..coded
        };
        [
            part("part", 0, 0x1000, Flags::default()),
            part("VERSION", 0x10000, 0x2000, coded),
            part("NVRAM", 0x20000, 0x12000, preserved),
            part("BOOTKERNEL", 0x40000, 0x10000, Flags::default()),
        ]
    }

    /// The same, but for how much is in use, and a check of versions that hostboot makes.
    #[test]
    fn a_table_is_as_others_write_it() {
        let mut ours = flash(&partitions(), FLASH_BYTES)[..THEIRS.len()].to_vec();
        let mut theirs = THEIRS.to_vec();
        for (index, entry) in (HEADER_BYTES..THEIRS.len())
            .step_by(ENTRY_BYTES)
            .enumerate()
        {
            let used = entry + 40;
            let word = |table: &[u8]| u32::from_be_bytes(table[used..used + 4].try_into().unwrap());
            let (mine, all) = (word(&ours), word(&theirs));
            assert!(
                mine <= all && all - mine < 9,
                "{index}: {mine:#x} of {all:#x}"
            );
            for table in [&mut ours, &mut theirs] {
                table[used..used + 4].fill(0);
                if index == 1 {
                    // Byte 4 of the user area.
                    table[entry + 64] = 0;
                }
                table[entry + ENTRY_BYTES - 4..entry + ENTRY_BYTES].fill(0);
            }
        }
        assert_eq!(ours, theirs);
    }

    #[test]
    fn a_table_of_others_is_read() {
        let header = Header::parse(THEIRS.first_chunk().unwrap(), FLASH_BYTES as u64).unwrap();
        let read = header.partitions(THEIRS, FLASH_BYTES as u64).unwrap();
        assert_eq!(read.len(), 4);
        for (read, part) in read.iter().zip(partitions()) {
            assert_eq!(read.name.bytes(), part.name.as_bytes());
            let place = (read.offset_bytes as usize, read.len_bytes as usize);
            assert_eq!(place, (part.offset_bytes, part.len_bytes));
            assert_eq!(read.has_ecc, part.flags.ecc);
            assert_eq!(read.used_bytes, read.len_bytes);
            assert!(!read.is_read_only);
        }
    }

    #[test]
    fn data_are_coded_as_others_do() {
        assert_eq!(coded(b"test 1.0"), *b"test 1.0\x76");
    }
}

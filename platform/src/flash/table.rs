//! The partition table at the beginning of a POWER8's flash ("FSP flash structure", version 1).
//!
//! A header of 48 bytes is followed by entries of 128; all numbers are big-endian words. Each has a sum
//! at its end, so that all its words together are 0 by exclusive or. A flash with two sides has a
//! table on each.

use alloc::vec::Vec;
use core::fmt;
use thiserror::Error;

pub const HEADER_BYTES: usize = 48;
pub const ENTRY_BYTES: usize = 128;

const MAGIC: u32 = u32::from_be_bytes(*b"PART");
const VERSION: u32 = 1;
/// A name has 15 characters at most, and is padded with zeros.
const NAME_BYTES: usize = 16;
/// Most entries that are read. Machines of the time have some thirty.
const MAX_ENTRIES: u32 = 1024;
/// Largest block, in bytes.
const MAX_BLOCK_BYTES: u32 = 1 << 20;

/// In an entry's user area: integrity by [`super::ecc`].
const INTEGRITY_ECC: u32 = 0x8000;
/// The same, of the word behind: what may be done with the partition.
const READ_ONLY: u32 = 0x0040_0000;

/// Why a table isn't believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TableError {
    #[error("flash has no partition table: it is erased")]
    Blank,
    #[error("flash has no partition table: it begins with {0:#010x}")]
    Magic(u32),
    #[error("flash: partition table of version {0}, not {VERSION}")]
    Version(u32),
    #[error("flash: partition table's header has a wrong sum")]
    HeaderSum,
    #[error("flash: partition table's entries have {0} bytes, not {ENTRY_BYTES}")]
    EntrySize(u32),
    #[error("flash: partition table has {0} entries, more than it has room for")]
    EntryCount(u32),
    #[error("flash: partition table's blocks have {0} bytes")]
    BlockSize(u32),
    #[error("flash: partition table is of a flash of {0} bytes, this one is shorter")]
    FlashSize(u64),
    #[error("flash: partition table is cut short")]
    Truncated,
    #[error("flash: entry {0} of the partition table has a wrong sum")]
    EntrySum(usize),
    #[error("flash: partition {0} lies outside of the flash")]
    Place(Name),
    #[error("flash: partition {0} has more bytes in use than it has")]
    Used(Name),
}

/// A partition's name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name([u8; NAME_BYTES]);

impl Name {
    /// What doesn't fit is cut.
    #[must_use]
    pub fn new(name: &[u8]) -> Self {
        let mut bytes = [0; NAME_BYTES];
        let len = name.len().min(NAME_BYTES - 1);
        bytes[..len].copy_from_slice(&name[..len]);
        Self(bytes)
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let len = self.0.iter().position(|&byte| byte == 0);
        &self.0[..len.unwrap_or(NAME_BYTES)]
    }
}

impl fmt::Display for Name {
    /// What can't be printed becomes a question mark: flash is not trusted.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|&byte| {
            let shown = if byte.is_ascii_graphic() { byte } else { b'?' };
            fmt::Write::write_char(to, char::from(shown))
        })
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, to)
    }
}

/// A part of the flash. Its place is within the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    pub name: Name,
    /// Where it begins in the flash.
    pub offset_bytes: u64,
    /// As it lies in flash, code bytes included.
    pub len_bytes: u64,
    /// How much of it is in use; 0 if the table doesn't say.
    pub used_bytes: u64,
    pub has_ecc: bool,
    pub is_read_only: bool,
}

/// What a table's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub block_bytes: u32,
    /// Of the whole flash.
    pub flash_bytes: u64,
    entries: u32,
}

impl Header {
    /// Reads what a flash of `flash_bytes` has at a table's place.
    ///
    /// # Errors
    /// It is none that can be believed.
    pub fn parse(bytes: &[u8; HEADER_BYTES], flash_bytes: u64) -> Result<Self, TableError> {
        let [
            magic,
            version,
            table_blocks,
            entry_bytes,
            entries,
            block_bytes,
            blocks,
        ] = core::array::from_fn(|index| word(bytes, index));
        if bytes.iter().all(|&byte| byte == 0xff) {
            return Err(TableError::Blank);
        }
        if magic != MAGIC {
            return Err(TableError::Magic(magic));
        }
        if sum(bytes) != 0 {
            return Err(TableError::HeaderSum);
        }
        if version != VERSION {
            return Err(TableError::Version(version));
        }
        if entry_bytes != ENTRY_BYTES as u32 {
            return Err(TableError::EntrySize(entry_bytes));
        }
        if !block_bytes.is_power_of_two() || !(4..=MAX_BLOCK_BYTES).contains(&block_bytes) {
            return Err(TableError::BlockSize(block_bytes));
        }
        let told_bytes = u64::from(blocks) * u64::from(block_bytes);
        if told_bytes > flash_bytes {
            return Err(TableError::FlashSize(told_bytes));
        }
        let room_bytes = u64::from(table_blocks) * u64::from(block_bytes);
        let header = Self {
            block_bytes,
            flash_bytes: told_bytes,
            entries,
        };
        if entries > MAX_ENTRIES || header.table_bytes() as u64 > room_bytes {
            return Err(TableError::EntryCount(entries));
        }
        Ok(header)
    }

    /// Bytes of the whole table.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        HEADER_BYTES + self.entries as usize * ENTRY_BYTES
    }

    /// Reads all entries of a table; `table` begins with the header.
    ///
    /// # Errors
    /// One of them can't be believed.
    pub fn partitions(&self, table: &[u8], flash_bytes: u64) -> Result<Vec<Partition>, TableError> {
        let table = table
            .get(HEADER_BYTES..self.table_bytes())
            .ok_or(TableError::Truncated)?;
        let (entries, _) = table.as_chunks();
        let entries = entries.iter().enumerate();
        entries
            .map(|(index, entry)| self.partition(index, entry, flash_bytes))
            .collect()
    }

    fn partition(
        &self,
        index: usize,
        entry: &[u8; ENTRY_BYTES],
        flash_bytes: u64,
    ) -> Result<Partition, TableError> {
        if sum(entry) != 0 {
            return Err(TableError::EntrySum(index));
        }
        let name = Name::new(&entry[..NAME_BYTES]);
        // Behind the name: base, size, parent, number, type, flags, bytes in use, four reserved; then
        // the user area, of which two words matter.
        let behind = |place: usize| word(entry, NAME_BYTES / 4 + place);
        let block_bytes = u64::from(self.block_bytes);
        let partition = Partition {
            name,
            offset_bytes: u64::from(behind(0)) * block_bytes,
            len_bytes: u64::from(behind(1)) * block_bytes,
            used_bytes: u64::from(behind(6)),
            has_ecc: behind(11) & INTEGRITY_ECC != 0,
            is_read_only: behind(12) & READ_ONLY != 0,
        };
        // Neither sum overflows: a word times 2^20.
        if partition.offset_bytes + partition.len_bytes > flash_bytes {
            return Err(TableError::Place(name));
        }
        if partition.used_bytes > partition.len_bytes {
            return Err(TableError::Used(name));
        }
        Ok(partition)
    }
}

/// The partition of that name: the first, should there be several.
#[must_use]
pub fn find<'a>(partitions: &'a [Partition], name: &str) -> Option<&'a Partition> {
    let mut all = partitions.iter();
    all.find(|partition| partition.name.bytes() == name.as_bytes())
}

fn word(bytes: &[u8], index: usize) -> u32 {
    bytes[4 * index..]
        .first_chunk()
        .map_or(0, |&word| u32::from_be_bytes(word))
}

fn sum(bytes: &[u8]) -> u32 {
    let (words, _) = bytes.as_chunks();
    words
        .iter()
        .fold(0, |sum, &word| sum ^ u32::from_be_bytes(word))
}

#[cfg(test)]
mod tests;

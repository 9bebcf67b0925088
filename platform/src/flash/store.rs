//! NVRAM in a partition of flash, so that each write is done or not done, whenever the power fails.
//!
//! A write goes to a journal first, then to its place. The journal is the end of the partition, as long as
//! NVRAM is free there: hosts' tools leave free space alone, and take it from its beginning. A journal that
//! is marked whole is carried out again at the next start.
//!
//! The mark is one word of eight bytes, written after the journal and taken back after the write. A word
//! that was torn is no mark: then either nothing of the write is at its place, or all of it.

use super::data::DataError;
use super::device::FlashError;
use super::table::Partition;
use crate::lpc::nvram;
use alloc::vec;
use core::ops::Range;
use sha2::{Digest, Sha512};

/// Most bytes that one journal holds: larger writes are several.
const SLICE_BYTES: usize = 4096;
/// Mark; place and length; sum.
const HEADER_BYTES: usize = 24;
const JOURNAL_BYTES: usize = HEADER_BYTES + SLICE_BYTES;
const MARK: u64 = u64::from_be_bytes(*b"catnapJ1");
const WORD: usize = 8;
/// NVRAM's partitions are so many bytes, some times.
const UNIT_BYTES: usize = 16;

/// What loading has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The last machine had begun a write, which is done now.
    pub again: bool,
    /// Bytes that flash has lost, and that are zeros now.
    pub lost_bytes: usize,
}

/// Where NVRAM is kept.
#[derive(Clone, Copy, Debug)]
pub struct Store {
    partition: Partition,
    len_bytes: usize,
}

impl Store {
    /// A store for as much NVRAM as `room_bytes` and the partition allow.
    #[must_use]
    pub fn new(partition: &Partition, room_bytes: usize) -> Self {
        let len_bytes = usize::try_from(partition.data_bytes()).unwrap_or(room_bytes);
        Self {
            partition: *partition,
            len_bytes: len_bytes.min(room_bytes) & !(UNIT_BYTES - 1),
        }
    }

    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// Where the journal is, if `nvram` is free there.
    fn journal(&self, nvram: &[u8]) -> Option<usize> {
        let at = self.len_bytes.checked_sub(JOURNAL_BYTES)?;
        nvram::is_free_to_end(&nvram[..at], JOURNAL_BYTES).then_some(at)
    }

    /// Fills `nvram`, of [`Store::len_bytes`], after carrying out what the last machine had begun. Words that are
    /// lost become zeros.
    ///
    /// # Errors
    /// The flash fails, or nothing was ever written to it.
    pub fn load(
        &self,
        nvram: &mut [u8],
        read: impl Fn(u64, &mut [u8]) -> Result<(), FlashError>,
        write: impl Fn(u64, &[u8]) -> Result<(), FlashError>,
    ) -> Result<Loaded, DataError> {
        let again = self.carry_out(&read, &write)?;
        // What is there of a journal is nobody's, and may have been torn.
        let journal = self.len_bytes.saturating_sub(JOURNAL_BYTES);
        let (before, last) = nvram.split_at_mut(journal);
        let mut lost_bytes = self.fetch(0, before, &read)?;
        if nvram::is_free_to_end(before, last.len()) {
            last.fill(0);
        } else {
            lost_bytes += self.fetch(journal as u64, last, &read)?;
        }
        Ok(Loaded { again, lost_bytes })
    }

    /// Reads a range of NVRAM, and where that is damaged what is whole of it. Answers how much is lost.
    fn fetch(
        &self,
        at_bytes: u64,
        to: &mut [u8],
        read: impl Fn(u64, &mut [u8]) -> Result<(), FlashError>,
    ) -> Result<usize, DataError> {
        match self.partition.read(at_bytes, to, &read) {
            Ok(_) => return Ok(0),
            Err(DataError::Lost(..)) => {}
            // Erased from the beginning on: there is nothing to keep.
            Err(DataError::Blank(_, place)) if place > 0 => {}
            Err(why) => return Err(why),
        }
        let mut lost_bytes = 0;
        for (word, place) in to.chunks_mut(WORD).zip((at_bytes..).step_by(WORD)) {
            match self.partition.read(place, word, &read) {
                Ok(_) => {}
                Err(DataError::Lost(..) | DataError::Blank(..)) => {
                    word.fill(0);
                    lost_bytes += word.len();
                }
                Err(why) => return Err(why),
            }
        }
        Ok(lost_bytes)
    }

    /// Carries out a journal that is marked whole.
    fn carry_out(
        &self,
        read: impl Fn(u64, &mut [u8]) -> Result<(), FlashError>,
        write: impl Fn(u64, &[u8]) -> Result<(), FlashError>,
    ) -> Result<bool, DataError> {
        let Some(at) = self.len_bytes.checked_sub(JOURNAL_BYTES) else {
            return Ok(false);
        };
        let mut journal = vec![0; JOURNAL_BYTES];
        let (header, data) = journal.split_at_mut(HEADER_BYTES);
        match self.partition.read(at as u64, header, &read) {
            Ok(_) => {}
            Err(DataError::Lost(..) | DataError::Blank(..)) => return Ok(false),
            Err(why) => return Err(why),
        }
        let Some(range) = marked(header, at) else {
            return Ok(false);
        };
        let data = &mut data[..range.len()];
        if self
            .partition
            .read((at + HEADER_BYTES) as u64, data, &read)
            .is_err()
            || header[16..] != sum(&header[8..16], data)
        {
            return Ok(false);
        }
        self.partition.write(range.start as u64, data, &write)?;
        self.partition.write(at as u64, &[0; WORD], &write)?;
        Ok(true)
    }

    /// Writes a range of `nvram`, which has its new content already. What is free at the journal's place is
    /// not kept.
    ///
    /// # Errors
    /// The flash fails.
    pub fn write(
        &self,
        nvram: &[u8],
        range: Range<usize>,
        write: impl Fn(u64, &[u8]) -> Result<(), FlashError>,
    ) -> Result<(), DataError> {
        let mut start = range.start & !(WORD - 1);
        let end = range.end.next_multiple_of(WORD).min(self.len_bytes);
        let Some(journal) = self.journal(nvram) else {
            // Somebody has taken all free space: there may be an old journal at its end.
            let last = self.len_bytes.saturating_sub(JOURNAL_BYTES);
            self.partition.write(last as u64, &nvram[last..], &write)?;
            return self
                .partition
                .write(start as u64, &nvram[start..end], &write);
        };
        let end = end.min(journal);
        while start < end {
            let slice = start..end.min(start + SLICE_BYTES);
            self.write_slice(journal, slice.start, &nvram[slice.clone()], &write)?;
            start = slice.end;
        }
        Ok(())
    }

    fn write_slice(
        &self,
        journal: usize,
        at: usize,
        data: &[u8],
        write: impl Fn(u64, &[u8]) -> Result<(), FlashError>,
    ) -> Result<(), DataError> {
        let place = ((at as u64) << 32 | data.len() as u64).to_be_bytes();
        let mut behind = [0; HEADER_BYTES - WORD];
        behind[..WORD].copy_from_slice(&place);
        behind[WORD..].copy_from_slice(&sum(&place, data));
        let put = |at: usize, data: &[u8]| self.partition.write(at as u64, data, &write);
        put(journal + HEADER_BYTES, data)?;
        put(journal + WORD, &behind)?;
        put(journal, &MARK.to_be_bytes())?;
        put(at, data)?;
        put(journal, &[0; WORD])
    }
}

/// The range that a marked journal at `at` is for; it lies before the journal.
fn marked(header: &[u8], at: usize) -> Option<Range<usize>> {
    let (words, _) = header.as_chunks::<WORD>();
    let place = u64::from_be_bytes(words[1]);
    let start = (place >> 32) as usize;
    let len = place as u32 as usize;
    let fits = len <= SLICE_BYTES && start.is_multiple_of(WORD) && len.is_multiple_of(WORD);
    (u64::from_be_bytes(words[0]) == MARK && fits && start + len <= at).then(|| start..start + len)
}

/// Of a journal's place and data.
fn sum(place: &[u8], data: &[u8]) -> [u8; WORD] {
    let hash = Sha512::new().chain_update(place).chain_update(data);
    let hash = hash.finalize();
    core::array::from_fn(|index| hash[index])
}

#[cfg(test)]
mod tests;

//! A partition's data: what lies in flash, without the code that some partitions carry.

use super::device::FlashError;
use super::ecc::{self, CODED_BYTES, DATA_BYTES, Word};
use super::table::{Name, Partition};
use thiserror::Error;

/// How much is read or written at once: a multiple of a coded word and of the flash's words.
const CHUNK_BYTES: usize = 36 * 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DataError {
    #[error("{0}")]
    Flash(#[from] FlashError),
    #[error("{0}: more than one bit is wrong in eight bytes of data at {1:#x}")]
    Lost(Name, u64),
    #[error("{0}: nothing is written at {1:#x}")]
    Blank(Name, u64),
    #[error("{0}: has less than {1} bytes")]
    Beyond(Name, u64),
}

impl Partition {
    /// Bytes of data that there is room for.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        match self.has_ecc {
            true => self.len_bytes / CODED_BYTES as u64 * DATA_BYTES as u64,
            false => self.len_bytes,
        }
    }

    /// Reads data from `at_bytes` on, a multiple of eight, by `read`, which fills a buffer from a place in
    /// the flash. Answers how many bits were corrected.
    ///
    /// # Errors
    /// The flash can't be read, or what was read is not what was written.
    pub fn read(
        &self,
        at_bytes: u64,
        to: &mut [u8],
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), FlashError>,
    ) -> Result<usize, DataError> {
        let end_bytes = at_bytes.saturating_add(to.len() as u64);
        if end_bytes > self.data_bytes() {
            return Err(DataError::Beyond(self.name, end_bytes));
        }
        if !self.has_ecc {
            read(self.offset_bytes + at_bytes, to)?;
            return Ok(0);
        }
        let mut corrected = 0;
        let mut word = at_bytes / DATA_BYTES as u64;
        for chunk in to.chunks_mut(CHUNK_BYTES / CODED_BYTES * DATA_BYTES) {
            let mut raw = [0; CHUNK_BYTES];
            let words = chunk.len().div_ceil(DATA_BYTES);
            let raw = &mut raw[..words * CODED_BYTES];
            read(self.offset_bytes + word * CODED_BYTES as u64, raw)?;
            corrected += self.decode(word * DATA_BYTES as u64, raw, chunk)?;
            word += words as u64;
        }
        Ok(corrected)
    }

    /// How many of the first `counted_bytes` are written, if nothing is written behind them. Tools can count the
    /// whole partition as in use, and what they leave erased has no code that holds. Without a code nobody can
    /// tell: then it is all of them.
    ///
    /// # Errors
    /// The flash can't be read.
    pub fn written_bytes(
        &self,
        counted_bytes: u64,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), FlashError>,
    ) -> Result<u64, DataError> {
        let mut is_blank = |word: u64| {
            let word = self.read(word * DATA_BYTES as u64, &mut [0; DATA_BYTES], &mut read);
            match word {
                Err(DataError::Blank(..)) => Ok(true),
                Ok(_) | Err(DataError::Lost(..)) => Ok(false),
                Err(why) => Err(why),
            }
        };
        let words = counted_bytes.div_ceil(DATA_BYTES as u64);
        if !self.has_ecc || words == 0 || !is_blank(words - 1)? {
            return Ok(counted_bytes);
        }
        // The end is between a word that is written and a blank one; who reads all of them sees a gap.
        let (mut written, mut blank) = (0, words - 1);
        while written < blank {
            let middle = written.midpoint(blank);
            match is_blank(middle)? {
                true => blank = middle,
                false => written = middle + 1,
            }
        }
        Ok(written * DATA_BYTES as u64)
    }

    /// Writes data from `at_bytes` on, both multiples of eight, by `write`, which puts bytes into a place of the
    /// flash.
    ///
    /// # Errors
    /// The flash can't be written.
    pub fn write(
        &self,
        at_bytes: u64,
        data: &[u8],
        mut write: impl FnMut(u64, &[u8]) -> Result<(), FlashError>,
    ) -> Result<(), DataError> {
        let end_bytes = at_bytes.saturating_add(data.len() as u64);
        if end_bytes > self.data_bytes() {
            return Err(DataError::Beyond(self.name, end_bytes));
        }
        if !self.has_ecc {
            return Ok(write(self.offset_bytes + at_bytes, data)?);
        }
        let mut at = self.offset_bytes + at_bytes / DATA_BYTES as u64 * CODED_BYTES as u64;
        for chunk in data.chunks(CHUNK_BYTES / CODED_BYTES * DATA_BYTES) {
            let mut raw = [0; CHUNK_BYTES];
            let (words, _) = chunk.as_chunks::<DATA_BYTES>();
            let (coded, _) = raw.as_chunks_mut::<CODED_BYTES>();
            for (coded, &word) in coded.iter_mut().zip(words) {
                *coded = ecc::encode(u64::from_be_bytes(word));
            }
            let len = words.len() * CODED_BYTES;
            write(at, &raw[..len])?;
            at += len as u64;
        }
        Ok(())
    }

    fn decode(&self, at_bytes: u64, raw: &[u8], data: &mut [u8]) -> Result<usize, DataError> {
        let (coded, _) = raw.as_chunks();
        let mut corrected = 0;
        for (index, (&coded, data)) in coded.iter().zip(data.chunks_mut(DATA_BYTES)).enumerate() {
            let at_bytes = at_bytes + (index * DATA_BYTES) as u64;
            let value = match ecc::decode(coded) {
                Word::Sound(value) => value,
                Word::Corrected(value) => {
                    corrected += 1;
                    value
                }
                Word::Blank => return Err(DataError::Blank(self.name, at_bytes)),
                Word::Lost => return Err(DataError::Lost(self.name, at_bytes)),
            };
            data.copy_from_slice(&value.to_be_bytes()[..data.len()]);
        }
        Ok(corrected)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    const DATA: usize = 5000;

    fn partition(has_ecc: bool) -> Partition {
        Partition {
            name: Name::new(b"TEST"),
            offset_bytes: 4096,
            len_bytes: 8192,
            used_bytes: 0,
            has_ecc,
            is_read_only: false,
        }
    }

    fn data() -> Vec<u8> {
        (0..DATA).map(|at| (at * 7 + at / 256) as u8).collect()
    }

    /// A flash with the data in it, the partition erased behind them.
    fn flash(has_ecc: bool) -> Vec<u8> {
        let mut flash = vec![0xff; 12288];
        let data = data();
        let raw: Vec<u8> = match has_ecc {
            false => data,
            true => {
                let (words, _) = data.as_chunks();
                let words = words.iter().map(|&word| u64::from_be_bytes(word));
                words.flat_map(ecc::encode).collect()
            }
        };
        flash[4096..4096 + raw.len()].copy_from_slice(&raw);
        flash
    }

    fn read(
        has_ecc: bool,
        flash: &[u8],
        at: u64,
        len: usize,
    ) -> Result<(usize, Vec<u8>), DataError> {
        let mut to = vec![0; len];
        let corrected = partition(has_ecc).read(at, &mut to, |at, to| {
            let part = flash
                .get(at as usize..)
                .and_then(|rest| rest.get(..to.len()));
            to.copy_from_slice(part.ok_or(FlashError::NoBus)?);
            Ok(())
        })?;
        Ok((corrected, to))
    }

    #[test]
    fn data_are_read_from_everywhere() {
        for has_ecc in [false, true] {
            let flash = flash(has_ecc);
            for (at, len) in [(0, DATA), (8, 1), (16, 4000), (2048, 2049), (0, 0)] {
                let expected = &data()[at as usize..][..len];
                let (corrected, found) = read(has_ecc, &flash, at, len).unwrap();
                assert_eq!(
                    (corrected, &found[..]),
                    (0, expected),
                    "{has_ecc} {at} {len}"
                );
            }
        }
    }

    #[test]
    fn nothing_beyond_the_partition_is_read() {
        let name = Name::new(b"TEST");
        assert_eq!(
            (partition(false).data_bytes(), partition(true).data_bytes()),
            (8192, 7280)
        );
        assert_eq!(
            read(false, &flash(false), 8192, 1),
            Err(DataError::Beyond(name, 8193))
        );
        assert!(read(false, &flash(false), 8184, 8).is_ok());
        assert_eq!(
            read(true, &flash(true), 7280, 1),
            Err(DataError::Beyond(name, 7281))
        );
        let far = u64::MAX - 7;
        assert_eq!(
            read(true, &flash(true), far, 8),
            Err(DataError::Beyond(name, u64::MAX))
        );
    }

    #[test]
    fn wrong_bits_are_corrected_counted_or_told_with_their_place() {
        let mut flash = flash(true);
        for word in [0, 300, 624] {
            flash[4096 + word * 9 + 3] ^= 4;
        }
        assert_eq!(read(true, &flash, 0, DATA), Ok((3, data())));
        flash[4096 + 300 * 9 + 4] ^= 1;
        let lost = DataError::Lost(Name::new(b"TEST"), 2400);
        assert_eq!(read(true, &flash, 0, DATA), Err(lost));
        let blank = DataError::Blank(Name::new(b"TEST"), DATA as u64);
        assert_eq!(read(true, &flash, 4992, 16), Err(blank));
    }

    #[test]
    fn the_end_of_what_is_written_is_found() {
        let written = |has_ecc, flash: &[u8], counted_bytes| {
            partition(has_ecc).written_bytes(counted_bytes, |at, to| {
                let part = flash
                    .get(at as usize..)
                    .and_then(|rest| rest.get(..to.len()));
                to.copy_from_slice(part.ok_or(FlashError::NoBus)?);
                Ok(())
            })
        };
        let mut coded = flash(true);
        for counted_bytes in [0, 1, 7, 8, 9, DATA as u64 - 1, DATA as u64] {
            assert_eq!(written(true, &coded, counted_bytes), Ok(counted_bytes));
        }
        for counted_bytes in DATA as u64 + 1..7281 {
            assert_eq!(written(true, &coded, counted_bytes), Ok(DATA as u64));
        }
        // Words that can't be read have been written, nevertheless.
        coded[4096 + 624 * 9] ^= 3;
        assert_eq!(written(true, &coded, 7280), Ok(DATA as u64));
        assert_eq!(written(true, &[0xff; 12288], 7280), Ok(0));
        assert_eq!(written(false, &flash(false), 8192), Ok(8192));
        assert_eq!(written(true, &[], 8), Err(FlashError::NoBus.into()));
        assert_eq!(
            written(true, &coded, 7281),
            Err(DataError::Beyond(Name::new(b"TEST"), 7288))
        );
    }

    #[test]
    fn a_flash_that_fails_is_told() {
        assert_eq!(read(true, &[], 0, 8), Err(FlashError::NoBus.into()));
        assert_eq!(read(false, &[], 0, 8), Err(FlashError::NoBus.into()));
    }
}

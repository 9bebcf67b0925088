//! The machine's flash, as its LPC bus shows it: the BMC has it, and lets the firmware space lead there.

use super::table::{HEADER_BYTES, Header, Partition, TableError};
use crate::lpc::bus;
use crate::lpc::{FIRMWARE_SPACE_BYTES, LpcError};
use alloc::vec;
use alloc::vec::Vec;
use thiserror::Error;

/// Bytes that are read while the bus is held: the console waits for so long.
const SLICE_BYTES: usize = 4096;
/// Where a second table may begin: at each multiple of this.
const TABLE_ALIGN_BYTES: u64 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FlashError {
    #[error("flash: machine has no LPC bus")]
    NoBus,
    #[error("flash: {0}")]
    Lpc(#[from] LpcError),
    #[error("{0}")]
    Table(#[from] TableError),
}

/// The flash, open.
#[derive(Clone, Copy, Debug)]
pub struct Flash {
    len_bytes: u64,
}

/// A partition table.
#[derive(Clone, Debug)]
pub struct Table {
    pub header: Header,
    pub partitions: Vec<Partition>,
}

impl Flash {
    /// Opens the flash.
    ///
    /// # Errors
    /// There is no LPC bus, or it fails.
    pub fn open() -> Result<Self, FlashError> {
        let bus = bus::lock();
        bus.lpc.ok_or(FlashError::NoBus)?.open_firmware_space()?;
        Ok(Self {
            len_bytes: FIRMWARE_SPACE_BYTES,
        })
    }

    /// Fills `to` from a place in the flash. What is beyond the end reads as ones.
    ///
    /// # Errors
    /// The bus fails.
    pub fn read(&self, at_bytes: u64, to: &mut [u8]) -> Result<(), FlashError> {
        let mut at_bytes = at_bytes;
        let before = (at_bytes % 4) as usize;
        let (head, rest) = to.split_at_mut(((4 - before) % 4).min(to.len()));
        if !head.is_empty() {
            let word = self.word(at_bytes - before as u64)?;
            head.copy_from_slice(&word[before..before + head.len()]);
            at_bytes += head.len() as u64;
        }
        for slice in rest.chunks_mut(SLICE_BYTES) {
            let bus = bus::lock();
            let lpc = bus.lpc.ok_or(FlashError::NoBus)?;
            for (index, to) in slice.chunks_mut(4).enumerate() {
                let word = lpc.read_firmware(at_bytes + 4 * index as u64)?;
                to.copy_from_slice(&word[..to.len()]);
            }
            at_bytes += slice.len() as u64;
        }
        Ok(())
    }

    /// Puts bytes into a place of the flash; words that have them already are left alone. What is beyond the
    /// end is lost.
    ///
    /// # Errors
    /// The bus fails.
    pub fn write(&self, at_bytes: u64, from: &[u8]) -> Result<(), FlashError> {
        let mut done = 0;
        while done < from.len() {
            let bus = bus::lock();
            let lpc = bus.lpc.ok_or(FlashError::NoBus)?;
            let slice_end = from.len().min(done + SLICE_BYTES);
            while done < slice_end {
                let place = at_bytes + done as u64;
                let before = (place % 4) as usize;
                let len = (4 - before).min(slice_end - done);
                let old = lpc.read_firmware(place - before as u64)?;
                let mut word = old;
                word[before..before + len].copy_from_slice(&from[done..done + len]);
                if word != old {
                    lpc.write_firmware(place - before as u64, word)?;
                }
                done += len;
            }
        }
        Ok(())
    }

    fn word(&self, at_bytes: u64) -> Result<[u8; 4], FlashError> {
        let bus = bus::lock();
        let lpc = bus.lpc.ok_or(FlashError::NoBus)?;
        Ok(lpc.read_firmware(at_bytes)?)
    }

    /// What the table at the flash's beginning says or, if that is damaged, the first sound one
    /// behind it: a flash with two sides has two.
    ///
    /// # Errors
    /// There is no table, or none that can be believed: the first one's fault.
    pub fn table(&self) -> Result<Table, FlashError> {
        let why = match self.table_at(0) {
            Ok(table) => return Ok(table),
            Err(FlashError::Table(why)) if why != TableError::Blank => why,
            Err(why) => return Err(why),
        };
        let mut at_bytes = TABLE_ALIGN_BYTES;
        // A bus that refuses has no flash there.
        while let Ok(word) = self.word(at_bytes)
            && at_bytes < self.len_bytes
        {
            if word == *b"PART"
                && let Ok(table) = self.table_at(at_bytes)
            {
                log::warn!("catnap: {why}: the table at {at_bytes:#x} is used instead");
                return Ok(table);
            }
            at_bytes += TABLE_ALIGN_BYTES;
        }
        Err(why.into())
    }

    fn table_at(&self, at_bytes: u64) -> Result<Table, FlashError> {
        let mut header = [0; HEADER_BYTES];
        self.read(at_bytes, &mut header)?;
        let header = Header::parse(&header, self.len_bytes)?;
        let mut table = vec![0; header.table_bytes()];
        self.read(at_bytes, &mut table)?;
        let partitions = header.partitions(&table, self.len_bytes)?;
        Ok(Table { header, partitions })
    }
}

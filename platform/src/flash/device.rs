//! The machine's flash, as its LPC bus shows it: the BMC has it, and lets the firmware space lead there. Either
//! all of it is there all the time, or the BMC has to be asked for windows.

use super::hiomap::{HiomapError, Need, Reached, Windows};
use super::table::{HEADER_BYTES, Header, Partition, TableError};
use crate::cpu::lock::Lock;
use crate::lpc::{FIRMWARE_SPACE_BYTES, LpcError};
use crate::lpc::{bmc, bus};
use crate::tree::Machine;
use alloc::vec;
use alloc::vec::Vec;
use asm::op;
use hcalls::trace::TB_HZ;
use thiserror::Error;

/// Bytes that are read or written while the bus is held: the console waits for so long.
const SLICE_BYTES: usize = 4096;
/// Where a second table may begin: at each multiple of this.
const TABLE_ALIGN_BYTES: u64 = 4096;
/// How long the BMC may take: while booting 12 s, more than a message may; later 1.5 s, less than a lock is
/// left to who has it.
const BOOT_PATIENCE_TB: u64 = 12 * TB_HZ;
const PATIENCE_TB: u64 = TB_HZ * 3 / 2;
/// How often something is begun anew because the BMC has taken its window away meanwhile.
const MAX_TRIES: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FlashError {
    #[error("flash: machine has no LPC bus")]
    NoBus,
    #[error("flash: {0}")]
    Lpc(#[from] LpcError),
    #[error("flash: {0}")]
    Bmc(#[from] HiomapError),
    #[error("{0}")]
    Table(#[from] TableError),
}

/// The flash, open.
#[derive(Clone, Copy, Debug)]
pub struct Flash {
    len_bytes: u64,
    /// The machine whose BMC has windows to it.
    windows_of: Option<&'static Machine>,
}

/// A partition table.
#[derive(Clone, Debug)]
pub struct Table {
    pub header: Header,
    pub partitions: Vec<Partition>,
}

static WINDOWS: Lock<Windows> = Lock::new(Windows::UNKNOWN);

impl Flash {
    /// Opens the flash, through the BMC's windows if it has any. A BMC that says that it has, and then doesn't
    /// behave, is told in the log.
    ///
    /// # Errors
    /// There is no LPC bus, or it fails.
    pub fn open(machine: &'static Machine) -> Result<Self, FlashError> {
        {
            let bus = bus::lock();
            bus.lpc.ok_or(FlashError::NoBus)?.open_firmware_space()?;
        }
        let mut flash = Self {
            len_bytes: FIRMWARE_SPACE_BYTES,
            windows_of: Some(machine).filter(|machine| machine.has_bmc()),
        };
        if flash.windows_of.is_none() {
            return Ok(flash);
        }
        match flash.wait(&mut WINDOWS.lock(), Need::Size, BOOT_PATIENCE_TB) {
            Ok(_) => {}
            Err(why) => {
                if why != FlashError::Bmc(HiomapError::None) {
                    log::warn!("catnap: {why}: it is used without windows");
                }
                flash.windows_of = None;
            }
        }
        if let Some(len_bytes) = WINDOWS.lock().flash_bytes()
            && flash.windows_of.is_some()
        {
            log::info!(
                "catnap: flash: {} KiB, through the BMC's windows",
                len_bytes >> 10
            );
            flash.len_bytes = len_bytes;
        }
        Ok(flash)
    }

    /// Fills `to` from a place in the flash. What is beyond the end reads as ones.
    ///
    /// # Errors
    /// The bus or the BMC fails.
    pub fn read(&self, at_bytes: u64, to: &mut [u8]) -> Result<(), FlashError> {
        let (mut done, mut tries) = (0, 0);
        while done < to.len() {
            match self.read_some(at_bytes + done as u64, &mut to[done..], BOOT_PATIENCE_TB)? {
                0 if tries == MAX_TRIES => return Err(HiomapError::Restless.into()),
                0 => tries += 1,
                len => (done, tries) = (done + len, 0),
            }
        }
        Ok(())
    }

    /// Reads as much as is there without waiting for the BMC, and answers how much: if nothing, it is to be called again.
    ///
    /// # Errors
    /// The bus or the BMC fails.
    pub fn try_read(&self, at_bytes: u64, to: &mut [u8]) -> Result<usize, FlashError> {
        self.read_some(at_bytes, to, 0)
    }

    fn read_some(
        &self,
        at_bytes: u64,
        to: &mut [u8],
        patience_tb: u64,
    ) -> Result<usize, FlashError> {
        let left_bytes = self.len_bytes.saturating_sub(at_bytes);
        if left_bytes == 0 {
            to.fill(0xff);
            return Ok(to.len());
        }
        let len = to.len().min(SLICE_BYTES);
        let slice = &mut to[..len];
        let need = Need::Read(at_bytes, left_bytes);
        if self.windows_of.is_none() {
            let len = left_bytes.min(len as u64) as usize;
            return read_words(at_bytes, &mut slice[..len]);
        }
        let mut windows = WINDOWS.lock();
        let Some((lpc_bytes, left_bytes)) = self.reach(&mut windows, need, patience_tb)? else {
            return Ok(0);
        };
        let lost = windows.lost_windows();
        let len = left_bytes.min(len as u64) as usize;
        let len = read_words(lpc_bytes, &mut slice[..len])?;
        // Whoever has read from a window that was gone has read anything.
        self.look(&mut windows);
        let is_sure =
            !windows.has_events() || self.wait(&mut windows, Need::Size, patience_tb)?.is_some();
        Ok(if is_sure && windows.lost_windows() == lost {
            len
        } else {
            0
        })
    }

    /// Puts bytes into a place of the flash, for good; words that have them already are left alone. What is
    /// beyond the end is lost.
    ///
    /// # Errors
    /// The bus or the BMC fails.
    pub fn write(&self, at_bytes: u64, from: &[u8]) -> Result<(), FlashError> {
        let mut tries = 0;
        loop {
            let lost = self.lost_writes();
            let done = self.write_once(at_bytes, from);
            let is_lost = self.lost_writes() != lost;
            match done {
                Ok(()) if !is_lost => return Ok(()),
                Err(why) if !is_lost || tries == MAX_TRIES => return Err(why),
                Ok(()) if tries == MAX_TRIES => return Err(HiomapError::Lost.into()),
                // Another window has the old content.
                _ => tries += 1,
            }
        }
    }

    fn write_once(&self, at_bytes: u64, from: &[u8]) -> Result<(), FlashError> {
        let mut done = 0;
        while done < from.len() {
            done += self.put_some(at_bytes + done as u64, &from[done..], PATIENCE_TB)?;
        }
        self.flush_within(PATIENCE_TB).map(drop)
    }

    /// Puts as much as there is room for without waiting for the BMC, and answers how much: if nothing, it is to be
    /// called again. It lasts when [`Flash::try_flush`] has said so, and [`Flash::lost_writes`] is what it was before.
    ///
    /// # Errors
    /// The bus or the BMC fails.
    pub fn try_put(&self, at_bytes: u64, from: &[u8]) -> Result<usize, FlashError> {
        self.put_some(at_bytes, from, 0)
    }

    /// Makes what was put last, see [`Flash::try_put`]. False: it is to be called again.
    ///
    /// # Errors
    /// The BMC fails.
    pub fn try_flush(&self) -> Result<bool, FlashError> {
        self.flush_within(0)
    }

    /// A number that changes when the BMC has lost something that was put and not flushed.
    #[must_use]
    pub fn lost_writes(&self) -> u32 {
        self.windows_of.map_or(0, |_| WINDOWS.lock().lost_writes())
    }

    fn put_some(&self, at_bytes: u64, from: &[u8], patience_tb: u64) -> Result<usize, FlashError> {
        let left_bytes = self.len_bytes.saturating_sub(at_bytes);
        if left_bytes == 0 {
            return Ok(from.len());
        }
        let slice = &from[..from.len().min(SLICE_BYTES)];
        let fitting = |left_bytes: u64| &slice[..left_bytes.min(slice.len() as u64) as usize];
        if self.windows_of.is_none() {
            let slice = fitting(left_bytes);
            return write_words(at_bytes, slice).map(|_| slice.len());
        }
        let mut windows = WINDOWS.lock();
        let need = Need::Write(at_bytes, from.len() as u64);
        let Some((lpc_bytes, left_bytes)) = self.reach(&mut windows, need, patience_tb)? else {
            return Ok(0);
        };
        let slice = fitting(left_bytes);
        if write_words(lpc_bytes, slice)? {
            windows.wrote(at_bytes..at_bytes + slice.len() as u64);
        }
        Ok(slice.len())
    }

    fn flush_within(&self, patience_tb: u64) -> Result<bool, FlashError> {
        if self.windows_of.is_none() {
            return Ok(true);
        }
        let reached = self.wait(&mut WINDOWS.lock(), Need::Flushed, patience_tb)?;
        Ok(reached.is_some())
    }

    /// Where in the firmware space a place of the flash is now, and how many bytes follow. `None`: the BMC hasn't
    /// answered yet.
    fn reach(
        &self,
        windows: &mut Windows,
        need: Need,
        patience_tb: u64,
    ) -> Result<Option<(u64, u64)>, FlashError> {
        let Some(Reached(window)) = self.wait(windows, need, patience_tb)? else {
            return Ok(None);
        };
        let (Need::Read(at_bytes, _) | Need::Write(at_bytes, _)) = need else {
            return Ok(None);
        };
        let found = window.and_then(|window| window.find(at_bytes));
        let end_bytes = self.len_bytes;
        Ok(found.map(|(lpc_bytes, left_bytes)| (lpc_bytes, left_bytes.min(end_bytes - at_bytes))))
    }

    /// Whether the BMC has something to say, or the host has meddled.
    fn look(&self, windows: &mut Windows) {
        if let Some(machine) = self.windows_of {
            windows.look(bmc::has_event(machine));
            if bmc::has_moved_window() {
                windows.distrust();
            }
        }
    }

    /// Waits for the BMC to answer.
    fn wait(
        &self,
        windows: &mut Windows,
        need: Need,
        patience_tb: u64,
    ) -> Result<Option<Reached>, FlashError> {
        let machine = self.windows_of.ok_or(FlashError::NoBus)?;
        self.look(windows);
        let begun_tb = op::time_tb();
        loop {
            let reached =
                windows.step(need, |request| bmc::ask(machine, request, op::time_tb()))?;
            if reached.is_some() || patience_tb == 0 {
                return Ok(reached);
            }
            if op::time_tb().wrapping_sub(begun_tb) > patience_tb {
                return Err(HiomapError::Late.into());
            }
        }
    }

    fn word(&self, at_bytes: u64) -> Result<[u8; 4], FlashError> {
        let mut word = [0; 4];
        self.read(at_bytes, &mut word)?;
        Ok(word)
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
        while at_bytes < self.len_bytes
            && let Ok(word) = self.word(at_bytes)
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

/// Reads a place of the firmware space. How many bytes those are.
fn read_words(at_bytes: u64, to: &mut [u8]) -> Result<usize, FlashError> {
    let bus = bus::lock();
    let lpc = bus.lpc.ok_or(FlashError::NoBus)?;
    let mut done = 0;
    while done < to.len() {
        let place = at_bytes + done as u64;
        let before = (place % 4) as usize;
        let len = (4 - before).min(to.len() - done);
        let word = lpc.read_firmware(place - before as u64)?;
        to[done..done + len].copy_from_slice(&word[before..before + len]);
        done += len;
    }
    Ok(done)
}

/// Writes a place of the firmware space, but for words that have their bytes already. Whether there were others.
fn write_words(at_bytes: u64, from: &[u8]) -> Result<bool, FlashError> {
    let bus = bus::lock();
    let lpc = bus.lpc.ok_or(FlashError::NoBus)?;
    let (mut done, mut changed) = (0, false);
    while done < from.len() {
        let place = at_bytes + done as u64;
        let before = (place % 4) as usize;
        let len = (4 - before).min(from.len() - done);
        let old = lpc.read_firmware(place - before as u64)?;
        let mut word = old;
        word[before..before + len].copy_from_slice(&from[done..done + len]);
        if word != old {
            lpc.write_firmware(place - before as u64, word)?;
            changed = true;
        }
        done += len;
    }
    Ok(changed)
}

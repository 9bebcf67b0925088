//! The machine's flash, once it has been opened.
use crate::machine;
use alloc::vec::Vec;
use log::warn;
use platform::flash::device::{Flash, FlashError, Table};
use platform::flash::table::{Partition, TableError};
use spin::Once;

/// A flash with a partition table.
pub struct Open {
    pub flash: Flash,
    pub partitions: Vec<Partition>,
    pub len_bytes: u64,
    pub block_bytes: u64,
}

static FLASH: Once<Result<Open, FlashError>> = Once::new();

/// Looks for the flash. One that is erased is none; a table that can't be believed is told.
pub fn init() {
    let opened = FLASH.call_once(open);
    if let Err(why) = opened
        && !matches!(
            why,
            FlashError::NoBus | FlashError::Table(TableError::Blank)
        )
    {
        warn!("catnap: {why}");
    }
}

fn open() -> Result<Open, FlashError> {
    let machine = machine::machine().ok_or(FlashError::NoBus)?;
    let flash = Flash::open(machine)?;
    let Table { header, partitions } = flash.table()?;
    Ok(Open {
        flash,
        partitions,
        len_bytes: header.flash_bytes,
        block_bytes: header.block_bytes.into(),
    })
}

/// The flash, if it has a table.
pub fn flash() -> Option<&'static Open> {
    FLASH.get()?.as_ref().ok()
}

/// Why there is none.
pub fn why_none() -> FlashError {
    match FLASH.get() {
        Some(Err(why)) => *why,
        _ => FlashError::NoBus,
    }
}

//! The host's use of NVRAM.
use super::answer::{Answer, DONE};
use super::host_memory::slice;
use crate::nvram;
use skiboot_compat::status::Status;

/// OPAL_READ_NVRAM: buffer, length, offset.
pub fn read(buffer_at: u64, len_bytes: u64, offset: u64) -> Answer {
    let nvram = nvram::lock();
    let range = nvram.range(offset, len_bytes).ok_or(Status::Parameter)?;
    let buffer = slice(buffer_at, len_bytes)?;
    buffer.copy_from_slice(&nvram.bytes()[range]);
    DONE
}

/// OPAL_WRITE_NVRAM: buffer, length, offset. HARDWARE: it is written, but doesn't outlast a loss of power.
pub fn write(buffer_at: u64, len_bytes: u64, offset: u64) -> Answer {
    let mut nvram = nvram::lock();
    let range = nvram.range(offset, len_bytes).ok_or(Status::Parameter)?;
    let buffer = slice(buffer_at, len_bytes)?;
    match nvram.write(range, buffer) {
        Ok(()) => DONE,
        Err(why) => {
            log::warn!("catnap: {why}");
            Err(Status::Hardware)
        }
    }
}

//! The host's use of NVRAM.
use super::answer::{Answer, DONE};
use super::host_memory::slice;
use crate::nvram::{self, range};
use skiboot_compat::status::Status;

/// OPAL_READ_NVRAM: buffer, length, offset.
pub fn read(buffer_at: u64, len_bytes: u64, offset: u64) -> Answer {
    let range = range(offset, len_bytes).ok_or(Status::Parameter)?;
    let buffer = slice(buffer_at, len_bytes)?;
    buffer.copy_from_slice(&nvram::lock().bytes()[range]);
    DONE
}

/// OPAL_WRITE_NVRAM: buffer, length, offset.
pub fn write(buffer_at: u64, len_bytes: u64, offset: u64) -> Answer {
    let range = range(offset, len_bytes).ok_or(Status::Parameter)?;
    let buffer = slice(buffer_at, len_bytes)?;
    nvram::lock().bytes()[range].copy_from_slice(buffer);
    DONE
}

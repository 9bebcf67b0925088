//! The host's use of NVRAM.
use super::host_memory::slice;
use crate::nvram::{self, range};
use hcalls::Status;

/// OPAL_READ_NVRAM: buffer, length, offset.
pub fn read(buffer_at: u64, len_bytes: u64, offset: u64) -> Status {
    let (Some(range), Some(buffer)) = (range(offset, len_bytes), slice(buffer_at, len_bytes))
    else {
        return Status::Parameter;
    };
    buffer.copy_from_slice(&nvram::lock().bytes()[range]);
    Status::Success
}

/// OPAL_WRITE_NVRAM: buffer, length, offset.
pub fn write(buffer_at: u64, len_bytes: u64, offset: u64) -> Status {
    let (Some(range), Some(buffer)) = (range(offset, len_bytes), slice(buffer_at, len_bytes))
    else {
        return Status::Parameter;
    };
    nvram::lock().bytes()[range].copy_from_slice(buffer);
    Status::Success
}

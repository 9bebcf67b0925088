//! The host's memory, where calls find and leave what doesn't fit into registers.
//!
//! What isn't the host's RAM is refused with PARAMETER, and nothing is changed.
use crate::smt::check;
use platform::memory::real;
use skiboot_compat::status::Status;

/// The real address of `len_bytes` of the host's RAM.
#[inline]
fn hosts(address: u64, len_bytes: u64) -> Result<u64, Status> {
    check::host_ram(address, len_bytes, 1).ok_or(Status::Parameter)
}

/// Stores a value's big-endian bytes.
#[inline]
pub fn store<const N: usize>(address: u64, bytes: [u8; N]) -> Result<(), Status> {
    match check::most_host_ram(address, N as u64) {
        Some(real) => {
            // SAFETY: the host's RAM, that long; an array of bytes has no alignment.
            unsafe { real::ptr(real).cast::<[u8; N]>().write_unaligned(bytes) };
            Ok(())
        }
        None => store_elsewhere(address, &bytes),
    }
}

/// Apart, so that calls that store save no registers for it.
#[cold]
#[inline(never)]
fn store_elsewhere(address: u64, bytes: &[u8]) -> Result<(), Status> {
    slice(address, bytes.len() as u64)?.copy_from_slice(bytes);
    Ok(())
}

/// Fetches bytes.
#[inline]
pub fn fetch<const N: usize>(address: u64) -> Result<[u8; N], Status> {
    let real = hosts(address, N as u64)?;
    // SAFETY: the host's RAM, that long; any bytes will do. Copied once, so that they can't
    // change under a check.
    Ok(unsafe { real::ptr(real).cast::<[u8; N]>().read_volatile() })
}

/// Lends `len_bytes` for the call.
#[inline]
pub fn slice<'a>(address: u64, len_bytes: u64) -> Result<&'a mut [u8], Status> {
    let real = hosts(address, len_bytes.max(1))?;
    // SAFETY: the host's RAM, that long. Only this call's caller uses it, or what it reads there
    // may be anything.
    Ok(unsafe { core::slice::from_raw_parts_mut(real::ptr(real), len_bytes as usize) })
}

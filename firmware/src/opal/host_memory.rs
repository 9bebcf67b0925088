//! What a call answers into the host's memory.
use crate::smt::check;
use hcalls::Status;
use platform::memory::real;

/// Stores a value's big-endian bytes at an address that the host has given. `None`: the address
/// isn't the host's RAM, and nothing is changed.
#[inline]
pub fn store<const N: usize>(address: u64, bytes: [u8; N]) -> Option<()> {
    let real = check::host_ram(address, N as u64, 1)?;
    // SAFETY: the host's RAM, that long; an array of bytes has no alignment.
    unsafe { real::ptr(real).cast::<[u8; N]>().write_unaligned(bytes) };
    Some(())
}

/// The status of a call whose last step was to store its answer.
#[inline]
pub fn stored(stored: Option<()>) -> Status {
    match stored {
        Some(()) => Status::Success,
        None => Status::Parameter,
    }
}

/// Fetches bytes from an address that the host has given. `None`: it isn't the host's RAM.
#[inline]
pub fn fetch<const N: usize>(address: u64) -> Option<[u8; N]> {
    let real = check::host_ram(address, N as u64, 1)?;
    // SAFETY: the host's RAM, that long; any bytes will do. Copied once, so that they can't
    // change under a check.
    Some(unsafe { real::ptr(real).cast::<[u8; N]>().read_volatile() })
}

/// `len_bytes` of the host's memory, lent for the call. `None`: it isn't the host's RAM.
#[inline]
pub fn slice<'a>(address: u64, len_bytes: u64) -> Option<&'a mut [u8]> {
    let real = check::host_ram(address, len_bytes.max(1), 1)?;
    // SAFETY: the host's RAM, that long. Only this call's caller uses it, or what it reads there
    // may be anything.
    Some(unsafe { core::slice::from_raw_parts_mut(real::ptr(real), len_bytes as usize) })
}

//! Text for the host's console.
use crate::guest_calls::{H_PUT_TERM_CHAR, TERM_BYTES};

use super::hcall;

/// Writes `text`; lines end with a newline.
pub fn write(text: &str) {
    for part in text.as_bytes().chunks(TERM_BYTES) {
        let mut bytes = [0; TERM_BYTES];
        bytes[..part.len()].copy_from_slice(part);
        let (first, second) = bytes.split_at(8);
        // The registers hold the bytes from left to right, whatever the guest's byte order.
        let word = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
        hcall::call(
            H_PUT_TERM_CHAR,
            &[0, part.len() as u64, word(first), word(second)],
        );
    }
}

//! The container that a signed partition of flash begins with: 4096 bytes that name the payload behind
//! them by its length and SHA-512, and hold the signatures.
//!
//! All numbers are big-endian and none is aligned. A header for the machine's maker (the prefix) names
//! the keys of whoever built the software; the software's header names the payload. Each header is
//! followed by its signatures. (`libstb/container.h` of OPAL's sources has the fields.)

mod signatures;

pub use signatures::{SignatureError, Signer};

use super::table::Name;
use alloc::boxed::Box;
use sha2::{Digest, Sha512};
use thiserror::Error;

/// Before the payload.
pub const HEADER_BYTES: usize = 4096;
pub const HASH_BYTES: usize = 64;

const MAGIC: [u8; 4] = [0x17, 0x08, 0x20, 0x11];
/// Container and header versions, and the one algorithm of each kind: SHA-512, ECDSA on P-521.
const CONTAINER_VERSION: u16 = 1;
const ALGORITHMS: [u8; 2] = [1, 1];

/// A point of P-521, or a signature.
const KEY_BYTES: usize = 132;
/// Where the hardware keys are, three of them, and what follows.
const HARDWARE_KEYS_AT: usize = 30;
const PREFIX_AT: usize = HARDWARE_KEYS_AT + 3 * KEY_BYTES;

/// In either header, from its beginning: algorithms, number of keys, payload's length and hash, number
/// of chips that it is bound to, of 16 bytes each.
const ALGORITHMS_AT: usize = 2;
const KEYS_AT: usize = 24;
const LENGTH_AT: usize = 25;
const HASH_AT: usize = 33;
const CHIPS_AT: usize = HASH_AT + HASH_BYTES;
const CHIP_BYTES: usize = 16;
/// Most keys that a builder of software has.
const MAX_SOFTWARE_KEYS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ContainerError {
    #[error("{0}: container of version {1}, not {CONTAINER_VERSION}")]
    Version(Name, u16),
    #[error("{0}: container's algorithms are {1:?}, not SHA-512 and ECDSA on P-521")]
    Algorithms(Name, [u8; 2]),
    #[error("{0}: container has {1} software keys, more than {MAX_SOFTWARE_KEYS}")]
    Keys(Name, usize),
    #[error("{0}: container's headers don't fit into its {HEADER_BYTES} bytes")]
    Headers(Name),
    #[error("{0}: container holds {1} bytes, more than the partition has")]
    Length(Name, u64),
    #[error("{0}: container is empty")]
    Empty(Name),
    #[error("{0}: payload is not what its container's hash was made of")]
    Hash(Name),
}

/// What a container says of the payload behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    bytes: Box<[u8; HEADER_BYTES]>,
    software_at: usize,
    /// The partition, for messages.
    name: Name,
    pub payload_bytes: u64,
}

impl Container {
    /// Reads the beginning of a partition with room for `room_bytes` behind the container. `None`: it isn't
    /// a container.
    ///
    /// # Errors
    /// It is one that can't be followed.
    pub fn parse(
        bytes: Box<[u8; HEADER_BYTES]>,
        name: Name,
        room_bytes: u64,
    ) -> Result<Option<Self>, ContainerError> {
        if bytes[..4] != MAGIC {
            return Ok(None);
        }
        let version = u16::from_be_bytes([bytes[4], bytes[5]]);
        if version != CONTAINER_VERSION {
            return Err(ContainerError::Version(name, version));
        }
        let software_at = software_at(&bytes, name)?;
        let header = header(&bytes, software_at).ok_or(ContainerError::Headers(name))?;
        check_algorithms(header, name)?;
        let payload_bytes = header[LENGTH_AT..].first_chunk();
        let payload_bytes = payload_bytes.map_or(0, |&bytes| u64::from_be_bytes(bytes));
        if payload_bytes == 0 {
            return Err(ContainerError::Empty(name));
        }
        if payload_bytes > room_bytes {
            return Err(ContainerError::Length(name, payload_bytes));
        }
        Ok(Some(Self {
            bytes,
            software_at,
            name,
            payload_bytes,
        }))
    }

    /// The SHA-512 that the payload must have.
    #[must_use]
    pub fn payload_hash(&self) -> &[u8; HASH_BYTES] {
        // Parsing has seen to it that the header fits.
        let hash = self.bytes[self.software_at + HASH_AT..].first_chunk();
        hash.unwrap_or(&[0; HASH_BYTES])
    }

    /// Whether `payload` is what the container was made for.
    ///
    /// # Errors
    /// It is something else.
    pub fn check(&self, payload: &[u8]) -> Result<(), ContainerError> {
        let is_same = payload.len() as u64 == self.payload_bytes
            && <[u8; HASH_BYTES]>::from(Sha512::digest(payload)) == *self.payload_hash();
        match is_same {
            true => Ok(()),
            false => Err(ContainerError::Hash(self.name)),
        }
    }
}

/// Where the software's header begins: behind the prefix, its three signatures, and the keys that it
/// names.
fn software_at(bytes: &[u8; HEADER_BYTES], name: Name) -> Result<usize, ContainerError> {
    let prefix = header(bytes, PREFIX_AT).ok_or(ContainerError::Headers(name))?;
    check_algorithms(prefix, name)?;
    let keys = usize::from(prefix[KEYS_AT]);
    if keys > MAX_SOFTWARE_KEYS {
        return Err(ContainerError::Keys(name, keys));
    }
    Ok(PREFIX_AT + prefix.len() + (3 + keys) * KEY_BYTES)
}

/// The header at a place, with the chips that it is bound to, if there is room for it and its three
/// signatures.
fn header(bytes: &[u8; HEADER_BYTES], at: usize) -> Option<&[u8]> {
    let chips = usize::from(*bytes.get(at + CHIPS_AT)?);
    let end = at + CHIPS_AT + 1 + chips * CHIP_BYTES;
    let _signatures = bytes.get(end..end + 3 * KEY_BYTES)?;
    bytes.get(at..end)
}

fn check_algorithms(header: &[u8], name: Name) -> Result<(), ContainerError> {
    let algorithms = [header[ALGORITHMS_AT], header[ALGORITHMS_AT + 1]];
    match algorithms == ALGORITHMS {
        true => Ok(()),
        false => Err(ContainerError::Algorithms(name, algorithms)),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const NAME: &[u8] = b"BOOTKERNEL";
    const PAYLOAD: &[u8] = b"a kernel, perhaps";

    fn name() -> Name {
        Name::new(NAME)
    }

    /// A container as OPAL's tools make it, with that many software keys and chips.
    fn header(keys: u8, chips: u8) -> Box<[u8; HEADER_BYTES]> {
        let mut bytes = Box::new([0; HEADER_BYTES]);
        bytes[..6].copy_from_slice(&[0x17, 0x08, 0x20, 0x11, 0, 1]);
        let prefix_at = 426;
        bytes[prefix_at..prefix_at + 4].copy_from_slice(&[0, 1, 1, 1]);
        bytes[prefix_at + 24] = keys;
        bytes[prefix_at + 97] = chips;
        let at = prefix_at + 98 + 16 * usize::from(chips) + 132 * (3 + usize::from(keys));
        bytes[at..at + 4].copy_from_slice(&[0, 1, 1, 1]);
        bytes[at + 25..at + 33].copy_from_slice(&(PAYLOAD.len() as u64).to_be_bytes());
        bytes[at + 33..at + 97].copy_from_slice(&Sha512::digest(PAYLOAD));
        bytes
    }

    fn parse(bytes: Box<[u8; HEADER_BYTES]>) -> Result<Option<Container>, ContainerError> {
        Container::parse(bytes, name(), 4096)
    }

    fn changed(at: usize, value: u8) -> Result<Option<Container>, ContainerError> {
        let mut bytes = header(0, 0);
        bytes[at] = value;
        parse(bytes)
    }

    #[test]
    fn a_payload_is_known_by_its_hash() {
        // Without software keys the software's header is at 920.
        assert_eq!(header(0, 0)[945..953], 17u64.to_be_bytes());
        for (keys, chips) in [(0, 0), (3, 0), (1, 2), (0, 4)] {
            let container = parse(header(keys, chips)).unwrap().unwrap();
            assert_eq!(container.payload_bytes, 17);
            assert_eq!(container.check(PAYLOAD), Ok(()));
            let wrong = Err(ContainerError::Hash(name()));
            assert_eq!(container.check(&PAYLOAD[..16]), wrong);
            for bit in 0..8 * PAYLOAD.len() {
                let mut payload = Vec::from(PAYLOAD);
                payload[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(container.check(&payload), wrong, "bit {bit}");
            }
        }
    }

    #[test]
    fn what_does_not_begin_like_one_is_no_container() {
        for at in 0..4 {
            assert_eq!(changed(at, 0x7f), Ok(None));
        }
    }

    #[test]
    fn a_header_that_lies_is_refused() {
        assert_eq!(changed(5, 2), Err(ContainerError::Version(name(), 2)));
        let algorithms = |algorithms| Err(ContainerError::Algorithms(name(), algorithms));
        assert_eq!(changed(428, 2), algorithms([2, 1]));
        assert_eq!(changed(429, 0), algorithms([1, 0]));
        assert_eq!(changed(923, 9), algorithms([1, 9]));
        assert_eq!(changed(450, 4), Err(ContainerError::Keys(name(), 4)));
        for at in [523, 1017] {
            assert_eq!(changed(at, 255), Err(ContainerError::Headers(name())));
        }
        assert_eq!(changed(952, 0), Err(ContainerError::Empty(name())));
        let length = |bytes| Err(ContainerError::Length(name(), bytes));
        assert_eq!(changed(951, 0x10), length(0x1011));
        assert_eq!(changed(945, 0xff), length(0xff00_0000_0000_0011));
    }

    proptest! {
        #[test]
        fn no_container_reaches_beyond_its_partition(
            changes in prop::collection::vec((0usize..1200, any::<u8>()), 0..8),
        ) {
            let mut bytes = header(1, 1);
            for (at, value) in changes {
                bytes[at] = value;
            }
            if let Ok(Some(container)) = parse(bytes) {
                prop_assert!(container.payload_bytes <= 4096);
                prop_assert_eq!(container.payload_hash().len(), HASH_BYTES);
            }
        }
    }
}

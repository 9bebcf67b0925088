//! Who has signed a container. Three hardware keys, of which the machine trusts the hash, sign the prefix;
//! the prefix names up to three software keys, which sign the software's header; that names the payload.

use super::{
    CHIPS_AT, Container, HARDWARE_KEYS_AT, HASH_AT, HASH_BYTES, HEADER_BYTES, KEY_BYTES, KEYS_AT,
    LENGTH_AT, PREFIX_AT, header,
};
use crate::flash::table::Name;
use core::fmt;
use p521::ecdsa::signature::Verifier;
use p521::ecdsa::{Signature, VerifyingKey};
use sha2::{Digest, Sha512};
use thiserror::Error;

const HARDWARE_KEYS: usize = 3;

/// Whose signature it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    Hardware(usize),
    Software(usize),
}

impl fmt::Display for Signer {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Signer::Hardware(index) => write!(to, "hardware key {index}"),
            Signer::Software(index) => write!(to, "software key {index}"),
        }
    }
}

/// Why a container's signatures aren't believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    #[error("{0}: container is not signed")]
    Unsigned(Name),
    #[error("{0}: container is signed by hardware keys that this machine doesn't trust")]
    Untrusted(Name),
    #[error("{0}: container's software keys are not those that its prefix names")]
    SoftwareKeys(Name),
    #[error("{0}: container is bound to certain chips")]
    Bound(Name),
    #[error("{0}: signature by {1} is wrong")]
    Wrong(Name, Signer),
}

/// The parts of a container that signatures are about.
struct Parts<'a> {
    hardware_keys: &'a [u8],
    prefix: &'a [u8],
    hardware_signatures: &'a [u8],
    software_keys: &'a [u8],
    software: &'a [u8],
    software_signatures: &'a [u8],
}

impl Container {
    /// Checks that keys of which `trusted` is the SHA-512 vouch for what this container says of its payload.
    ///
    /// # Errors
    /// They don't.
    pub fn check_signatures(&self, trusted: &[u8; HASH_BYTES]) -> Result<(), SignatureError> {
        let name = self.name;
        let parts = self.parts().ok_or(SignatureError::Unsigned(name))?;
        let is_empty = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
        if is_empty(parts.hardware_keys) || parts.software_keys.is_empty() {
            return Err(SignatureError::Unsigned(name));
        }
        if Sha512::digest(parts.hardware_keys).as_slice() != trusted {
            return Err(SignatureError::Untrusted(name));
        }
        if parts.prefix[CHIPS_AT] != 0 || parts.software[CHIPS_AT] != 0 {
            return Err(SignatureError::Bound(name));
        }
        let hardware = (parts.hardware_keys, parts.hardware_signatures, parts.prefix);
        check_all(hardware, |key| {
            SignatureError::Wrong(name, Signer::Hardware(key))
        })?;
        // The prefix is to be believed now.
        let told = &parts.prefix[LENGTH_AT..HASH_AT];
        let hash = &parts.prefix[HASH_AT..HASH_AT + HASH_BYTES];
        if told != (parts.software_keys.len() as u64).to_be_bytes()
            || Sha512::digest(parts.software_keys).as_slice() != hash
        {
            return Err(SignatureError::SoftwareKeys(name));
        }
        let software = (
            parts.software_keys,
            parts.software_signatures,
            parts.software,
        );
        check_all(software, |key| {
            SignatureError::Wrong(name, Signer::Software(key))
        })
    }

    /// `None`: there is no room for them, which has been seen to before.
    fn parts(&self) -> Option<Parts<'_>> {
        let bytes: &[u8; HEADER_BYTES] = &self.bytes;
        let prefix = header(bytes, PREFIX_AT)?;
        let software = header(bytes, self.software_at)?;
        let keys_bytes = usize::from(prefix[KEYS_AT]) * KEY_BYTES;
        let (hardware_signatures, rest) =
            bytes[PREFIX_AT + prefix.len()..].split_at_checked(HARDWARE_KEYS * KEY_BYTES)?;
        let behind = &bytes[self.software_at + software.len()..];
        Some(Parts {
            hardware_keys: &bytes[HARDWARE_KEYS_AT..PREFIX_AT],
            prefix,
            hardware_signatures,
            software_keys: rest.get(..keys_bytes)?,
            software,
            software_signatures: behind.get(..keys_bytes)?,
        })
    }
}

/// Whether each of the keys has signed the message.
fn check_all(
    (keys, signatures, message): (&[u8], &[u8], &[u8]),
    wrong: impl Fn(usize) -> SignatureError,
) -> Result<(), SignatureError> {
    let (keys, _) = keys.as_chunks();
    let (signatures, _) = signatures.as_chunks();
    for (index, (key, signature)) in keys.iter().zip(signatures).enumerate() {
        if !has_signed(key, signature, message) {
            return Err(wrong(index));
        }
    }
    Ok(())
}

/// Whether a key, x and y of a point, has signed the message by a signature, r and s; SHA-512.
fn has_signed(key: &[u8; KEY_BYTES], signature: &[u8; KEY_BYTES], message: &[u8]) -> bool {
    /// Says that both coordinates follow (SEC 1, section 2.3.3).
    const UNCOMPRESSED: u8 = 4;
    let mut point = [UNCOMPRESSED; 1 + KEY_BYTES];
    point[1..].copy_from_slice(key);
    let Ok(key) = VerifyingKey::from_sec1_bytes(&point) else {
        return false;
    };
    let signature = Signature::from_slice(signature);
    signature.is_ok_and(|signature| key.verify(message, &signature).is_ok())
}

#[cfg(test)]
mod tests;

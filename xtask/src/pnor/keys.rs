//! Keys that sign what a flash image holds: three hardware keys, which the firmware trusts, and a software
//! key, which they vouch for.
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use p521::SecretKey;
use p521::ecdsa::signature::Signer;
use p521::ecdsa::{Signature, SigningKey};
use p521::elliptic_curve::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use sha2::{Digest, Sha512};

/// In the order of the file.
const HARDWARE_KEYS: usize = 3;
const KEYS: usize = HARDWARE_KEYS + 1;
const SECRET_BYTES: usize = 66;
const END: &str = "-----END PRIVATE KEY-----\n";

/// The keys of one file.
pub struct Keys {
    hardware: Vec<SigningKey>,
    software: SigningKey,
}

impl Keys {
    /// Reads a file of four private keys, as `openssl` writes them (PKCS 8, PEM); where there is none it is
    /// made, for nobody else to read.
    pub fn ensure(path: &Path) -> Result<Self> {
        if !path.exists() {
            make(path).with_context(|| format!("making {}", path.display()))?;
            eprintln!("pnor: made four keys: {}", path.display());
        }
        let text = fs::read_to_string(path);
        let text = text.with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{}", path.display()))
    }

    pub fn parse(text: &str) -> Result<Self> {
        let keys = text
            .split_inclusive(END)
            .filter(|key| !key.trim().is_empty());
        let keys = keys.map(|key| {
            let secret = SecretKey::from_pkcs8_pem(key.trim_start());
            let secret = secret.map_err(|why| anyhow!("not a P-521 key in PEM: {why}"))?;
            Ok(SigningKey::from(secret))
        });
        let mut hardware: Vec<SigningKey> = keys.collect::<Result<_>>()?;
        ensure!(
            hardware.len() == KEYS,
            "has {} keys, not {KEYS}",
            hardware.len()
        );
        let software = hardware.remove(HARDWARE_KEYS);
        Ok(Self { hardware, software })
    }

    /// The hardware keys, each as x and y.
    pub fn hardware(&self) -> Vec<u8> {
        self.hardware.iter().flat_map(public).collect()
    }

    /// What the firmware, or the machine's tree, is told of them.
    pub fn hash(&self) -> [u8; 64] {
        Sha512::digest(self.hardware()).into()
    }

    pub fn software(&self) -> Vec<u8> {
        public(&self.software)
    }

    /// All hardware keys' signatures, each as r and s.
    pub fn sign_by_hardware(&self, message: &[u8]) -> Vec<u8> {
        let signatures = self.hardware.iter().map(|key| sign(key, message));
        signatures.flatten().collect()
    }

    pub fn sign_by_software(&self, message: &[u8]) -> Vec<u8> {
        sign(&self.software, message)
    }
}

fn public(key: &SigningKey) -> Vec<u8> {
    key.verifying_key().to_sec1_point(false).as_bytes()[1..].to_vec()
}

/// The same for the same message (RFC 6979).
fn sign(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    let signature: Signature = key.sign(message);
    signature.to_bytes().to_vec()
}

fn make(path: &Path) -> Result<()> {
    let mut text = String::new();
    for _ in 0..KEYS {
        let pem = random_key()?.to_pkcs8_pem(LineEnding::LF);
        text += &pem.map_err(|why| anyhow!("{why}"))?;
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    file?.write_all(text.as_bytes())?;
    Ok(())
}

fn random_key() -> Result<SecretKey> {
    let mut random = fs::File::open("/dev/urandom")?;
    loop {
        let mut secret = [0; SECRET_BYTES];
        random.read_exact(&mut secret)?;
        // 521 bits.
        secret[0] &= 1;
        if let Ok(key) = SecretKey::from_slice(&secret) {
            return Ok(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once() {
        let folder = std::env::temp_dir().join(format!("catnap-keys-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("keys.pem");
        let made = Keys::ensure(&path).unwrap();
        assert_eq!(made.hardware().len(), 3 * 132);
        assert_eq!(Keys::ensure(&path).unwrap().hash(), made.hash());
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(END).count(), KEYS);
        let three = text.find("-----BEGIN").map(|at| &text[at..]);
        let three = three.and_then(|rest| rest.split_once(END)).unwrap().1;
        assert!(Keys::parse(three).is_err());
        assert!(Keys::parse("no key\n").is_err());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_signature_is_the_same_each_time() {
        let key = SigningKey::from(random_key().unwrap());
        assert_eq!(sign(&key, b"one"), sign(&key, b"one"));
        assert_ne!(sign(&key, b"one"), sign(&key, b"two"));
    }
}

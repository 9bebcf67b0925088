//! Whether what is booted must be signed, and by whom.
use crate::settings;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use log::info;
use platform::tree::{KEY_HASH_BYTES, Machine};

/// The SHA-512 of the hardware keys that this image trusts, which the build tool fills in when it signs; all
/// ones: none. Not 0, so that it is in the file at all.
#[unsafe(no_mangle)]
#[used]
static TRUSTED_KEYS: [AtomicU64; KEY_HASH_BYTES / 8] =
    [const { AtomicU64::new(u64::MAX) }; KEY_HASH_BYTES / 8];

/// What a payload has to show.
#[derive(Clone, Copy, Debug)]
pub enum Demand {
    /// A hash, if it has a container.
    Hash,
    /// Signatures by hardware keys with this SHA-512; `None`: nobody says by which, so nothing will do.
    Signed(Option<[u8; KEY_HASH_BYTES]>),
}

impl Demand {
    pub fn is_signed(&self) -> bool {
        matches!(self, Demand::Signed(_))
    }
}

/// What the machine, or its owner, demands. The machine's demand can't be taken back by a setting, nor NVRAM's by
/// a command line.
pub fn demand(machine: &Machine) -> Demand {
    let is_on = |bootargs| settings::choice(bootargs, "secure").as_deref() == Some(b"on");
    let by = match machine.secure_boot.is_enforced {
        true => "the machine",
        false if is_on("") || is_on(&machine.bootargs) => "a setting",
        false => return Demand::Hash,
    };
    info!("catnap: what is booted must be signed, as {by} says");
    Demand::Signed(image_keys().or(machine.secure_boot.key_hash))
}

fn image_keys() -> Option<[u8; KEY_HASH_BYTES]> {
    let mut hash = [0; KEY_HASH_BYTES];
    for (to, word) in hash.chunks_exact_mut(8).zip(&TRUSTED_KEYS) {
        to.copy_from_slice(&word.load(Relaxed).to_be_bytes());
    }
    hash.iter().any(|&byte| byte != 0xff).then_some(hash)
}

//! What the machine's owner can choose.
use crate::nvram;
use alloc::vec::Vec;

/// The owner's choice of that name: the last word `catnap.NAME=VALUE` of the payload's command line
/// or, if there is none, the setting in NVRAM.
pub fn choice(bootargs: &str, name: &str) -> Option<Vec<u8>> {
    let words = bootargs.split_ascii_whitespace().rev();
    let mut values = words.filter_map(|word| {
        let word = word.strip_prefix("catnap.")?;
        word.strip_prefix(name)?.strip_prefix('=')
    });
    match values.next() {
        Some(value) => Some(value.into()),
        None => platform::lpc::nvram::setting(nvram::lock().bytes(), name).map(<[u8]>::to_vec),
    }
}

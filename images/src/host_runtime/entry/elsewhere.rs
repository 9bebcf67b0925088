//! Where the images are only compiled, not run.
use super::{CallRegisters, FOUND_LEN};

#[allow(clippy::missing_safety_doc, reason = "never does anything")]
pub unsafe fn opal_call(_registers: *mut CallRegisters) {
    unreachable!("no OPAL")
}
#[allow(clippy::missing_safety_doc, reason = "never does anything")]
pub unsafe fn opal_call_little(_token: u64, _entry: u64) -> i64 {
    unreachable!("no OPAL")
}
pub fn secondary_entry() -> u64 {
    unreachable!("no POWER8")
}
pub fn first_found() -> [u64; FOUND_LEN] {
    unreachable!("no POWER8")
}
pub fn secondary_found() -> [u64; FOUND_LEN] {
    unreachable!("no POWER8")
}
pub fn nap() -> [u64; 2] {
    unreachable!("no POWER8")
}
pub fn expect_resets() {
    unreachable!("no POWER8")
}
pub fn resets() -> u64 {
    unreachable!("no POWER8")
}
pub fn install_vectors() {
    unreachable!(
        "no POWER8: {VECTORS_BYTES}",
        VECTORS_BYTES = super::VECTORS_BYTES
    )
}

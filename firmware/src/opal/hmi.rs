//! Hypervisor maintenance interrupts, which the host takes and passes on.
use super::host_memory::{store, stored};
use super::message;
use asm::spr;
use hcalls::Status;
use platform::cpu::hmi;
use skiboot_compat::hmi as format;

/// OPAL_HANDLE_HMI: a message for each condition, which is then cleared.
pub fn handle() -> Status {
    look();
    Status::Success
}

/// OPAL_HANDLE_HMI2: as above; address of flags.
pub fn handle2(flags_at: u64) -> Status {
    let flags = match look() {
        0 => 0,
        _ => format::FLAG_NEW_EVENT,
    };
    stored(store(flags_at, flags.to_be_bytes()))
}

/// How many conditions there were.
fn look() -> usize {
    let hmer = spr::read::<{ spr::HMER }>();
    let tfmr = spr::read::<{ spr::TFMR }>();
    let mut seen = 0;
    for condition in hmi::conditions(hmer) {
        message::send(format::message(
            condition.kind,
            condition.recovered,
            hmer,
            tfmr,
        ));
        seen += 1;
    }
    // SAFETY: writing clears what is 0 in the value: the conditions that have been told.
    unsafe { spr::write::<{ spr::HMER }>(!hmer) };
    seen
}

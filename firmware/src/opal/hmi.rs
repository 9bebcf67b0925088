//! Hypervisor maintenance interrupts, which the host takes and passes on.
use super::answer::{Answer, DONE};
use super::host_memory::store;
use super::message;
use asm::spr;
use platform::cpu::hmi;
use skiboot_compat::hmi as format;

/// OPAL_HANDLE_HMI: a message for each condition, which is then cleared.
pub fn handle() -> Answer {
    look();
    DONE
}

/// OPAL_HANDLE_HMI2: as above; address of flags.
pub fn handle2(flags_at: u64) -> Answer {
    let flags = match look() {
        0 => 0,
        _ => format::FLAG_NEW_EVENT,
    };
    store(flags_at, flags.to_be_bytes())?;
    DONE
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

//! The end: power off and reboot.
use super::answer::Answer;
use super::host;
use skiboot_compat::status::Status;

/// OPAL_CEC_POWER_DOWN: request.
pub fn down(_kind: u64) -> Answer {
    match host::end_guests() {
        true => crate::end::power_off(),
        false => Err(Status::Busy),
    }
}

/// OPAL_CEC_REBOOT.
pub fn reboot() -> Answer {
    match host::end_guests() {
        true => crate::end::reboot(),
        false => Err(Status::Busy),
    }
}

/// OPAL_CEC_REBOOT2: kind, address of a text for the log.
pub fn reboot2(kind: u64, _text: u64) -> Answer {
    use skiboot_compat::cpu::{REBOOT_FAST, REBOOT_FULL_IPL, REBOOT_NORMAL, REBOOT_PLATFORM_ERROR};
    match kind {
        // Every reboot here is a full one.
        REBOOT_NORMAL | REBOOT_FULL_IPL | REBOOT_FAST => reboot(),
        REBOOT_PLATFORM_ERROR => {
            log::error!("the host says that the machine is broken, and reboots it");
            reboot()
        }
        _ => Err(Status::Unsupported),
    }
}

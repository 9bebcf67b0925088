//! The end: power off and reboot.
use crate::smt::calls::Args;
use crate::smt::objects::PARTITIONS;
use hcalls::Status;

/// OPAL_CEC_POWER_DOWN: request.
pub fn down(_args: &mut Args) -> Status {
    if PARTITIONS.lock().destroy_all().is_err() {
        return Status::Busy;
    }
    crate::boot::power_off()
}

/// OPAL_CEC_REBOOT.
pub fn reboot(_args: &mut Args) -> Status {
    if PARTITIONS.lock().destroy_all().is_err() {
        return Status::Busy;
    }
    crate::boot::reboot()
}

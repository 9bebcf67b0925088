//! Sensors: the temperature of each core.
use super::answer::{Answer, DONE};
use super::host_memory::store;
use crate::machine;
use platform::chip::dts;
use platform::chip::xscom::Xscom;
use skiboot_compat::status::Status;

/// OPAL_SENSOR_READ: sensor, token of a call that takes longer (none does), address of a value.
pub fn read(sensor: u64, _token: u64, value_at: u64) -> Answer {
    store(value_at, u32::from(celsius(sensor)?).to_be_bytes())?;
    DONE
}

/// OPAL_SENSOR_READ_U64: the same with a value of 64 bits.
pub fn read_u64(sensor: u64, _token: u64, value_at: u64) -> Answer {
    store(value_at, u64::from(celsius(sensor)?).to_be_bytes())?;
    DONE
}

/// A sensor is named by the PIR of its core's thread 0.
fn celsius(sensor: u64) -> Result<u8, Status> {
    let machine = machine::machine().ok_or(Status::Unsupported)?;
    let core = machine
        .cores
        .iter()
        .find(|core| u64::from(core.pir) == sensor);
    let core = core.ok_or(Status::Parameter)?;
    let chip = machine.chips.iter().find(|chip| chip.id == core.chip);
    let chip = chip.ok_or(Status::Parameter)?;
    // SAFETY: the window is as the machine's tree says.
    let xscom = unsafe { Xscom::new(chip.xscom_base) };
    // Three bits of the PIR are the thread's, four the core's, the others the chip's.
    dts::core_celsius(xscom, core.pir >> 3 & 0xf).ok_or(Status::Hardware)
}

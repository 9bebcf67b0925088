//! The time of day.
use super::answer::{Answer, DONE};
use super::host_memory::store;
use crate::machine;
use platform::lpc::rtc::{self, Time};
use platform::tree::Machine;
use skiboot_compat::rtc as format;
use skiboot_compat::status::Status;

/// The machine, if it has a clock.
fn machine() -> Result<&'static Machine, Status> {
    let machine = machine::machine().filter(|machine| rtc::is_there(machine));
    machine.ok_or(Status::Unsupported)
}

/// OPAL_RTC_READ: addresses of date (four bytes) and time of day (eight bytes).
pub fn read(date_at: u64, time_of_day_at: u64) -> Answer {
    let time = rtc::read(machine()?).ok_or(Status::Hardware)?;
    let date = format::date(time.century, time.year, time.month, time.day);
    let of_day = format::time_of_day(time.hour, time.minute, time.second);
    store(date_at, date.to_be_bytes())?;
    store(time_of_day_at, of_day.to_be_bytes())?;
    DONE
}

/// OPAL_RTC_WRITE: date, time of day.
pub fn write(date: u64, time_of_day: u64) -> Answer {
    let machine = machine()?;
    let date = u32::try_from(date).map_err(|_| Status::Parameter)?;
    let [century, year, month, day] = date.to_be_bytes();
    let [hour, minute, second, ..] = time_of_day.to_be_bytes();
    let time = Time {
        century,
        year,
        month,
        day,
        hour,
        minute,
        second,
    };
    if !time.is_valid() {
        return Err(Status::Parameter);
    }
    match rtc::write(machine, &time) {
        true => DONE,
        false => Err(Status::Hardware),
    }
}

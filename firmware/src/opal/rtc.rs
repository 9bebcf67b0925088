//! The time of day.
use super::host_memory::{store, stored};
use crate::machine;
use hcalls::Status;
use platform::lpc::rtc::{self, Time};
use skiboot_compat::rtc as format;

/// OPAL_RTC_READ: addresses of date (four bytes) and time of day (eight bytes).
pub fn read(date_at: u64, time_of_day_at: u64) -> Status {
    let Some(machine) = machine::machine().filter(|machine| rtc::is_there(machine)) else {
        return Status::Unsupported;
    };
    let Some(time) = rtc::read(machine) else {
        return Status::Hardware;
    };
    let date = format::date(time.century, time.year, time.month, time.day);
    let of_day = format::time_of_day(time.hour, time.minute, time.second);
    stored(
        store(date_at, date.to_be_bytes())
            .and_then(|()| store(time_of_day_at, of_day.to_be_bytes())),
    )
}

/// OPAL_RTC_WRITE: date, time of day.
pub fn write(date: u64, time_of_day: u64) -> Status {
    let Some(machine) = machine::machine().filter(|machine| rtc::is_there(machine)) else {
        return Status::Unsupported;
    };
    let Ok(date) = u32::try_from(date) else {
        return Status::Parameter;
    };
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
        return Status::Parameter;
    }
    match rtc::write(machine, &time) {
        true => Status::Success,
        false => Status::Hardware,
    }
}

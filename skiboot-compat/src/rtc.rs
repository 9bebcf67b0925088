//! Time of day (OPAL API "opal-rtc-read-3"): BCD in a 32-bit date and a 64-bit time.

/// The date: four digits of the year, two of the month, two of the day.
#[must_use]
pub const fn date(century: u8, year: u8, month: u8, day: u8) -> u32 {
    u32::from_be_bytes([century, year, month, day])
}

/// The time of day: hour, minute, second, then milliseconds, which are always 0 here.
#[must_use]
pub const fn time_of_day(hour: u8, minute: u8, second: u8) -> u64 {
    u64::from_be_bytes([hour, minute, second, 0, 0, 0, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_laid_out_as_opal_has_them() {
        assert_eq!(date(0x20, 0x25, 0x12, 0x31), 0x2025_1231);
        assert_eq!(time_of_day(0x23, 0x59, 0x48), 0x2359_4800_0000_0000);
    }
}

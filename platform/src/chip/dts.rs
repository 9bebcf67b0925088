//! Digital thermal sensors of a core (POWER8 User's Manual, "Digital Thermal Sensor").
use crate::chip::xscom::Xscom;

/// XSCOM addresses of a core's two result registers, but for the core's number.
const RESULTS: [u32; 2] = [0x1005_0000, 0x1005_0001];
const CORE_SHIFT: u32 = 24;

/// The highest temperature that any sensor of the core with that number on its chip tells, in
/// degrees Celsius.
#[must_use]
pub fn core_celsius(xscom: Xscom, core: u32) -> Option<u8> {
    let result = |register: u32| xscom.begin().read(register | core << CORE_SHIFT).ok();
    hottest([result(RESULTS[0])?, result(RESULTS[1])?])
}

/// Each result has up to four sensors of 16 bits: bits 4 to 11 the temperature, bit 15 "valid".
fn hottest(results: [u64; 2]) -> Option<u8> {
    let sensors = results
        .into_iter()
        .flat_map(|result| [48, 32, 16, 0].map(|shift| (result >> shift) as u16));
    let valid = sensors.filter(|sensor| sensor & 1 != 0);
    valid.map(|sensor| (sensor >> 4) as u8).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_valid_sensor_counts() {
        // What QEMU says.
        assert_eq!(hottest([0x026f_024f_023f_0000, 0]), Some(0x26));
        assert_eq!(hottest([0, 0x0000_0ffe_0000_0101]), Some(0x10));
        assert_eq!(hottest([0, 0x0ffe]), None);
    }
}

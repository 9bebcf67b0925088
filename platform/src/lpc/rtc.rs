//! The clock on the LPC bus: an MC146818, whose registers hold the time in BCD.
use crate::lpc::LpcError;
use crate::lpc::bus::{self, Bus};
use crate::tree::Machine;

/// Registers.
mod register {
    pub const SECONDS: u8 = 0;
    pub const MINUTES: u8 = 2;
    pub const HOURS: u8 = 4;
    pub const DAY: u8 = 7;
    pub const MONTH: u8 = 8;
    pub const YEAR: u8 = 9;
    pub const A: u8 = 10;
    pub const B: u8 = 11;
    /// The year's first two digits, where PCs keep them.
    pub const CENTURY: u8 = 0x32;
}
/// Register A: the time is about to change.
const UPDATING: u8 = 1 << 7;
/// Register B: the time stands still while it is set; binary instead of BCD; 24 hours.
const SET: u8 = 1 << 7;
const BINARY: u8 = 1 << 2;
const HOURS_24: u8 = 1 << 1;
/// Hours of a 12-hour clock: after noon.
const PM: u8 = 1 << 7;

/// Reads before a time that keeps changing counts as broken.
const MAX_READS: u32 = 4;
/// Looks at register A; an update takes 2 ms, a look about 6 µs.
const MAX_POLLS: u32 = 1_000;

/// A date and time of day, each byte BCD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    pub century: u8,
    pub year: u8,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

/// Where the time's fields are.
const FIELDS: [u8; 7] = [
    register::CENTURY,
    register::YEAR,
    register::MONTH,
    register::DAY,
    register::HOURS,
    register::MINUTES,
    register::SECONDS,
];

impl Time {
    const fn from_fields(fields: [u8; 7]) -> Self {
        let [century, year, month, day, hour, minute, second] = fields;
        Self {
            century,
            year,
            month,
            day,
            hour,
            minute,
            second,
        }
    }

    const fn fields(&self) -> [u8; 7] {
        [
            self.century,
            self.year,
            self.month,
            self.day,
            self.hour,
            self.minute,
            self.second,
        ]
    }

    /// Whether every field is BCD and in its range (days: up to 31 in each month).
    #[must_use]
    pub fn is_valid(&self) -> bool {
        const RANGES: [(u8, u8); 7] = [
            (0, 0x99),
            (0, 0x99),
            (1, 0x12),
            (1, 0x31),
            (0, 0x23),
            (0, 0x59),
            (0, 0x59),
        ];
        self.fields()
            .into_iter()
            .zip(RANGES)
            .all(|(field, (least, most))| is_bcd(field) && least <= field && field <= most)
    }
}

const fn is_bcd(byte: u8) -> bool {
    byte & 0xf <= 9 && byte >> 4 <= 9
}

const fn to_bcd(binary: u8) -> u8 {
    (binary / 10 % 10 * 16) + binary % 10
}

const fn from_bcd(bcd: u8) -> u8 {
    (bcd >> 4) * 10 + (bcd & 0xf)
}

/// Whether the machine has this clock.
#[must_use]
pub fn is_there(machine: &Machine) -> bool {
    machine.lpc.is_some_and(|lpc| lpc.rtc_port.is_some())
}

/// Reads the clock; `None` if there is none or it doesn't make sense.
#[must_use]
pub fn read(machine: &Machine) -> Option<Time> {
    let port = machine.lpc?.rtc_port?;
    let mut registers = Registers {
        bus: &mut bus::lock(),
        port,
    };
    registers.time().ok().flatten().filter(Time::is_valid)
}

/// Sets the clock; false if there is none.
#[must_use]
pub fn write(machine: &Machine, time: &Time) -> bool {
    let Some(port) = machine.lpc.and_then(|lpc| lpc.rtc_port) else {
        return false;
    };
    let mut registers = Registers {
        bus: &mut bus::lock(),
        port,
    };
    registers.set_time(time).is_ok()
}

/// The clock's registers: one port names the register, the next one holds it.
struct Registers<'a> {
    bus: &'a mut Bus,
    port: u16,
}

impl Registers<'_> {
    fn read(&mut self, register: u8) -> Result<u8, LpcError> {
        let lpc = self.bus.lpc.ok_or(LpcError::Refused(self.port.into()))?;
        lpc.write_io(self.port, register)?;
        lpc.read_io(self.port + 1)
    }

    fn write(&mut self, register: u8, value: u8) -> Result<(), LpcError> {
        let lpc = self.bus.lpc.ok_or(LpcError::Refused(self.port.into()))?;
        lpc.write_io(self.port, register)?;
        lpc.write_io(self.port + 1, value)
    }

    /// The time, read until it is the same twice: no second has passed in between.
    fn time(&mut self) -> Result<Option<Time>, LpcError> {
        let mut before = self.fields()?;
        for _ in 0..MAX_READS {
            let now = self.fields()?;
            if now == before {
                let control = self.read(register::B)?;
                return Ok(Some(decode(now, control)));
            }
            before = now;
        }
        Ok(None)
    }

    fn fields(&mut self) -> Result<[u8; 7], LpcError> {
        for _ in 0..MAX_POLLS {
            if self.read(register::A)? & UPDATING == 0 {
                break;
            }
        }
        let mut fields = [0; 7];
        for (field, register) in fields.iter_mut().zip(FIELDS) {
            *field = self.read(register)?;
        }
        Ok(fields)
    }

    fn set_time(&mut self, time: &Time) -> Result<(), LpcError> {
        let control = self.read(register::B)?;
        self.write(register::B, control | SET)?;
        for (field, register) in encode(time, control).into_iter().zip(FIELDS) {
            self.write(register, field)?;
        }
        self.write(register::B, control & !SET)
    }
}

/// What the registers mean, by what register B says of their form.
fn decode(mut fields: [u8; 7], control: u8) -> Time {
    const HOUR: usize = 4;
    let after_noon = control & HOURS_24 == 0 && fields[HOUR] & PM != 0;
    if control & HOURS_24 == 0 {
        fields[HOUR] &= !PM;
    }
    if control & BINARY != 0 {
        fields = fields.map(to_bcd);
    }
    if control & HOURS_24 == 0 {
        let hour = from_bcd(fields[HOUR]) % 12;
        fields[HOUR] = to_bcd(hour + if after_noon { 12 } else { 0 });
    }
    Time::from_fields(fields)
}

/// The other way round.
fn encode(time: &Time, control: u8) -> [u8; 7] {
    const HOUR: usize = 4;
    let mut fields = time.fields();
    let hour = from_bcd(fields[HOUR]);
    if control & HOURS_24 == 0 {
        fields[HOUR] = to_bcd(match hour % 12 {
            0 => 12,
            hour => hour,
        });
    }
    if control & BINARY != 0 {
        fields = fields.map(from_bcd);
    }
    if control & HOURS_24 == 0 && hour >= 12 {
        fields[HOUR] |= PM;
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENING: Time = Time {
        century: 0x20,
        year: 0x25,
        month: 0x12,
        day: 0x31,
        hour: 0x23,
        minute: 0x59,
        second: 0x48,
    };

    #[test]
    fn every_form_of_the_registers_comes_back() {
        for control in [0, BINARY, HOURS_24, BINARY | HOURS_24] {
            for hour in [0, 1, 0x11, 0x12, 0x13, 0x23] {
                let time = Time { hour, ..EVENING };
                assert_eq!(decode(encode(&time, control), control), time);
            }
        }
        assert_eq!(encode(&EVENING, HOURS_24), EVENING.fields());
        assert_eq!(encode(&EVENING, BINARY)[4], 11 | PM);
    }

    #[test]
    fn what_is_no_time_is_told() {
        assert!(EVENING.is_valid());
        for wrong in [
            Time {
                month: 0,
                ..EVENING
            },
            Time {
                day: 0x32,
                ..EVENING
            },
            Time {
                hour: 0x24,
                ..EVENING
            },
            Time {
                minute: 0x5a,
                ..EVENING
            },
            Time {
                year: 0xff,
                ..EVENING
            },
        ] {
            assert!(!wrong.is_valid(), "{wrong:?}");
        }
    }
}

//! The LPC bus, which carries UART, BMC interface and clock, and the flash behind the BMC. POWER8 reaches
//! it through the ECCB, a bridge of four XSCOM registers: I/O ports one byte at a time, flash four.

pub mod bmc;
pub mod bt;
pub mod bus;
pub mod console;
pub mod nvram;
pub mod rtc;
mod terminal;
pub mod uart;

use crate::chip::xscom::{Xscom, XscomError};
use crate::tree::LpcBus;
use asm::ibm;
use thiserror::Error;

/// ECCB registers, counted from the bus's XSCOM address.
const CONTROL: u32 = 0;
const STATUS: u32 = 2;
const DATA: u32 = 3;

/// CONTROL: the bridge's key, a size, and the read flag; the address is the low half.
const CONTROL_KEY: u64 = 0xd << 60;
const CONTROL_BYTE: u64 = CONTROL_KEY | 1 << 56;
const CONTROL_WORD: u64 = CONTROL_KEY | 4 << 56;
const CONTROL_READ: u64 = ibm(15);
/// STATUS: the access is over; whether the chip's inner bus refused it; what was read, in bits 6 to 37,
/// a single byte in the highest of them.
const STATUS_DONE: u64 = ibm(52);
const STATUS_BUS_ERROR: u64 = asm::ibm_field(0, 5);
const STATUS_BYTE_SHIFT: u32 = 50;
const STATUS_WORD_SHIFT: u32 = 26;

/// Where LPC's I/O ports begin in the bridge's address space, its controller's registers, its memory, and the
/// firmware space.
const IO_SPACE: u32 = 0xd001_0000;
const MEMORY_SPACE: u32 = 0xe000_0000;
const CONTROLLER: u32 = 0xc001_2000;
const FIRMWARE_SPACE: u32 = 0xf000_0000;
/// Bytes of memory, and of the firmware space.
pub const MEMORY_SPACE_BYTES: u64 = 1 << 28;
pub const FIRMWARE_SPACE_BYTES: u64 = 1 << 28;
/// The controller's registers for the firmware space: which 256 MiB of it are seen, and how many bytes a
/// read takes (4, by this code).
const FIRMWARE_SELECT: u32 = CONTROLLER + 0x24;
const FIRMWARE_READ_SIZE: u32 = CONTROLLER + 0x28;
const READ_WORDS: u32 = 2 << 24;
/// Looks at STATUS before an access counts as lost. An access takes about a microsecond.
const MAX_POLLS: u32 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LpcError {
    #[error("LPC bridge: {0}")]
    Bridge(#[from] XscomError),
    #[error("LPC bridge never finished an access to {0:#x}")]
    Timeout(u32),
    #[error("LPC bridge refused an access to {0:#x}")]
    Refused(u32),
}

/// The bus of one chip. Not locked: see [`crate::lpc::bus`].
#[derive(Clone, Copy, Debug)]
pub struct Lpc {
    xscom: Xscom,
    pcba: u32,
}

impl Lpc {
    /// The bus that the tree names.
    ///
    /// # Safety
    /// `bus` is what the machine's tree says: its XSCOM base is a chip's XSCOM window.
    #[must_use]
    pub unsafe fn of(bus: &LpcBus) -> Self {
        // SAFETY: the caller's promise.
        Self::new(unsafe { Xscom::new(bus.xscom_base) }, bus.pcba)
    }

    /// The bus whose bridge has XSCOM address `pcba`.
    #[must_use]
    pub const fn new(xscom: Xscom, pcba: u32) -> Self {
        Self { xscom, pcba }
    }

    /// The same for a thread's last words ([`Xscom::without_lock`]).
    #[must_use]
    pub const fn without_lock(self) -> Self {
        Self::new(self.xscom.without_lock(), self.pcba)
    }

    /// Reads a byte from an I/O port.
    ///
    /// # Errors
    /// The bridge does not answer, or refuses.
    #[inline]
    pub fn read_io(&self, port: u16) -> Result<u8, LpcError> {
        let status = self.access(CONTROL_BYTE | CONTROL_READ, io(port), None)?;
        Ok((status >> STATUS_BYTE_SHIFT) as u8)
    }

    /// Writes a byte to an I/O port.
    ///
    /// # Errors
    /// The bridge does not answer, or refuses.
    #[inline]
    pub fn write_io(&self, port: u16, value: u8) -> Result<(), LpcError> {
        self.write_byte(io(port), value)
    }

    /// Reads a byte of the bus's memory. The address counts modulo [`MEMORY_SPACE_BYTES`].
    ///
    /// # Errors
    /// The bridge does not answer, or refuses.
    pub fn read_memory(&self, address: u64) -> Result<u8, LpcError> {
        let status = self.access(CONTROL_BYTE | CONTROL_READ, memory(address), None)?;
        Ok((status >> STATUS_BYTE_SHIFT) as u8)
    }

    /// Writes a byte of the bus's memory, as [`Lpc::read_memory`] reads it.
    ///
    /// # Errors
    /// The bridge does not answer, or refuses.
    pub fn write_memory(&self, address: u64, value: u8) -> Result<(), LpcError> {
        self.write_byte(memory(address), value)
    }

    /// Makes the firmware space's first 256 MiB readable by words.
    ///
    /// # Errors
    /// The bridge does not answer, or refuses.
    pub fn open_firmware_space(&self) -> Result<(), LpcError> {
        self.write_word(FIRMWARE_SELECT, 0)?;
        self.write_word(FIRMWARE_READ_SIZE, READ_WORDS)
    }

    /// Reads four bytes of the firmware space. The offset is a multiple of 4, and counts modulo
    /// [`FIRMWARE_SPACE_BYTES`].
    ///
    /// # Errors
    /// The bridge does not answer, or refuses.
    #[inline]
    pub fn read_firmware(&self, offset_bytes: u64) -> Result<[u8; 4], LpcError> {
        let status = self.access(CONTROL_WORD | CONTROL_READ, firmware(offset_bytes), None)?;
        Ok(((status >> STATUS_WORD_SHIFT) as u32).to_be_bytes())
    }

    /// Writes four bytes of the firmware space, as [`Lpc::read_firmware`] reads them.
    ///
    /// # Errors
    /// The bridge does not answer, or refuses.
    #[inline]
    pub fn write_firmware(&self, offset_bytes: u64, bytes: [u8; 4]) -> Result<(), LpcError> {
        self.write_word(firmware(offset_bytes), u32::from_be_bytes(bytes))
    }

    /// Writes a byte of the firmware space.
    ///
    /// # Errors
    /// The bridge does not answer, or refuses.
    pub fn write_firmware_byte(&self, offset_bytes: u64, value: u8) -> Result<(), LpcError> {
        self.write_byte(firmware(offset_bytes), value)
    }

    #[inline]
    fn write_byte(&self, address: u32, value: u8) -> Result<(), LpcError> {
        let data = Some(u64::from(value) << 56);
        self.access(CONTROL_BYTE, address, data).map(|_| ())
    }

    #[inline]
    fn write_word(&self, address: u32, value: u32) -> Result<(), LpcError> {
        let data = Some(u64::from(value) << 32);
        self.access(CONTROL_WORD, address, data).map(|_| ())
    }

    /// A write has `data`.
    #[inline]
    fn access(&self, control: u64, address: u32, data: Option<u64>) -> Result<u64, LpcError> {
        let bridge = self.xscom.begin();
        if let Some(data) = data {
            bridge.write(self.pcba + DATA, data)?;
        }
        bridge.write(self.pcba + CONTROL, control | u64::from(address))?;
        for _ in 0..MAX_POLLS {
            let status = bridge.read(self.pcba + STATUS)?;
            if status & STATUS_DONE != 0 {
                return match status & STATUS_BUS_ERROR {
                    0 => Ok(status),
                    _ => Err(LpcError::Refused(address)),
                };
            }
        }
        Err(LpcError::Timeout(address))
    }
}

const fn io(port: u16) -> u32 {
    IO_SPACE + port as u32
}

const fn memory(address: u64) -> u32 {
    MEMORY_SPACE + (address % MEMORY_SPACE_BYTES) as u32
}

const fn firmware(offset_bytes: u64) -> u32 {
    FIRMWARE_SPACE + (offset_bytes % FIRMWARE_SPACE_BYTES) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sixteen XSCOM registers in memory, the bridge at the first.
    fn bridge(registers: &mut [u64; 16]) -> Lpc {
        let base = crate::memory::real::address(registers.as_mut_ptr());
        // SAFETY: `registers` outlives the bus in each test, and the ECCB's four lie in it.
        Lpc::new(unsafe { Xscom::new(base) }, 0)
    }

    #[test]
    fn a_write_sets_data_then_control() {
        let mut registers = [0; 16];
        registers[STATUS as usize] = STATUS_DONE.to_be();
        bridge(&mut registers).write_io(0x3f8, b'c').unwrap();
        assert_eq!(u64::from_be(registers[DATA as usize]), 0x63 << 56);
        assert_eq!(
            u64::from_be(registers[CONTROL as usize]),
            0xd100_0000_d001_03f8
        );
    }

    #[test]
    fn a_read_takes_the_byte_from_status() {
        let mut registers = [0; 16];
        registers[STATUS as usize] = (STATUS_DONE | 0xa5 << STATUS_BYTE_SHIFT).to_be();
        assert_eq!(bridge(&mut registers).read_io(0x3fd), Ok(0xa5));
        assert_eq!(
            u64::from_be(registers[CONTROL as usize]),
            0xd101_0000_d001_03fd
        );
    }

    #[test]
    fn memory_is_read_and_written_by_bytes() {
        let mut registers = [0; 16];
        let control = CONTROL as usize;
        registers[STATUS as usize] = (STATUS_DONE | 0xa5 << STATUS_BYTE_SHIFT).to_be();
        assert_eq!(bridge(&mut registers).read_memory(1), Ok(0xa5));
        assert_eq!(u64::from_be(registers[control]), 0xd101_0000_e000_0001);
        let last = MEMORY_SPACE_BYTES - 1;
        bridge(&mut registers).write_memory(last, 0x63).unwrap();
        assert_eq!(u64::from_be(registers[control]), 0xd100_0000_efff_ffff);
        assert_eq!(u64::from_be(registers[DATA as usize]), 0x63 << 56);
    }

    #[test]
    fn a_byte_of_flash_is_written() {
        let mut registers = [0; 16];
        registers[STATUS as usize] = STATUS_DONE.to_be();
        bridge(&mut registers).write_firmware_byte(3, 0x63).unwrap();
        let control = u64::from_be(registers[CONTROL as usize]);
        assert_eq!(control, 0xd100_0000_f000_0003);
        assert_eq!(u64::from_be(registers[DATA as usize]), 0x63 << 56);
    }

    #[test]
    fn flash_is_read_and_written_by_words() {
        let mut registers = [0; 16];
        let control = CONTROL as usize;
        registers[STATUS as usize] = (STATUS_DONE | 0x5041_5254 << STATUS_WORD_SHIFT).to_be();
        assert_eq!(bridge(&mut registers).read_firmware(0), Ok(*b"PART"));
        assert_eq!(u64::from_be(registers[control]), 0xd401_0000_f000_0000);
        let last = FIRMWARE_SPACE_BYTES - 4;
        bridge(&mut registers)
            .write_firmware(last, *b"abcd")
            .unwrap();
        assert_eq!(u64::from_be(registers[control]), 0xd400_0000_ffff_fffc);
        assert_eq!(u64::from_be(registers[DATA as usize]), 0x6162_6364 << 32);
        bridge(&mut registers).open_firmware_space().unwrap();
        assert_eq!(u64::from_be(registers[control]), 0xd400_0000_c001_2028);
        assert_eq!(u64::from_be(registers[DATA as usize]), 0x0200_0000 << 32);
    }

    #[test]
    fn a_dead_bridge_is_given_up() {
        let mut registers = [0; 16];
        assert_eq!(
            bridge(&mut registers).read_io(0xe4),
            Err(LpcError::Timeout(0xd001_00e4))
        );
        registers[STATUS as usize] = (STATUS_DONE | ibm(3)).to_be();
        assert_eq!(
            bridge(&mut registers).write_io(0xe4, 1),
            Err(LpcError::Refused(0xd001_00e4))
        );
    }
}

//! The LPC bus, which carries UART, BMC interface and clock. POWER8 reaches it through the ECCB, a
//! bridge of four XSCOM registers, one byte at a time.

pub mod bmc;
pub mod bt;
pub mod bus;
pub mod console;
pub mod nvram;
pub mod rtc;
mod terminal;
pub mod uart;

use crate::chip::xscom::Xscom;
use crate::tree::LpcBus;
use asm::ibm;
use thiserror::Error;

/// ECCB registers, counted from the bus's XSCOM address.
const CONTROL: u32 = 0;
const STATUS: u32 = 2;
const DATA: u32 = 3;

/// CONTROL: the bridge's key, a size of one byte, and the read flag; the address is the low half.
const CONTROL_BYTE: u64 = 0xd << 60 | 1 << 56;
const CONTROL_READ: u64 = ibm(15);
/// STATUS: the access is over; whether the chip's inner bus refused it; the byte read.
const STATUS_DONE: u64 = ibm(52);
const STATUS_BUS_ERROR: u64 = asm::ibm_field(0, 5);
const STATUS_BYTE_SHIFT: u32 = 50;

/// Where LPC's I/O ports begin in the bridge's address space.
const IO_SPACE: u64 = 0xd001_0000;
/// Looks at STATUS before an access counts as lost. An access takes about a microsecond.
const MAX_POLLS: u32 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LpcError {
    #[error("LPC bridge never finished an access to port {0:#x}")]
    Timeout(u16),
    #[error("LPC bridge refused an access to port {0:#x}")]
    Refused(u16),
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

    /// Reads a byte from an I/O port.
    ///
    /// # Errors
    /// The bridge does not answer, or refuses.
    #[inline]
    pub fn read_io(&self, port: u16) -> Result<u8, LpcError> {
        let status = self.access(port, CONTROL_READ)?;
        Ok((status >> STATUS_BYTE_SHIFT) as u8)
    }

    /// Writes a byte to an I/O port.
    ///
    /// # Errors
    /// The bridge does not answer, or refuses.
    #[inline]
    pub fn write_io(&self, port: u16, value: u8) -> Result<(), LpcError> {
        self.xscom.write(self.pcba + DATA, u64::from(value) << 56);
        self.access(port, 0).map(|_| ())
    }

    #[inline]
    fn access(&self, port: u16, direction: u64) -> Result<u64, LpcError> {
        let address = IO_SPACE + u64::from(port);
        self.xscom
            .write(self.pcba + CONTROL, CONTROL_BYTE | direction | address);
        for _ in 0..MAX_POLLS {
            let status = self.xscom.read(self.pcba + STATUS);
            if status & STATUS_DONE != 0 {
                return match status & STATUS_BUS_ERROR {
                    0 => Ok(status),
                    _ => Err(LpcError::Refused(port)),
                };
            }
        }
        Err(LpcError::Timeout(port))
    }
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
    fn a_dead_bridge_is_given_up() {
        let mut registers = [0; 16];
        assert_eq!(
            bridge(&mut registers).read_io(0xe4),
            Err(LpcError::Timeout(0xe4))
        );
        registers[STATUS as usize] = (STATUS_DONE | ibm(3)).to_be();
        assert_eq!(
            bridge(&mut registers).write_io(0xe4, 1),
            Err(LpcError::Refused(0xe4))
        );
    }
}

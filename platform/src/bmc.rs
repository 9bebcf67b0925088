//! Power off and reboot by the BMC: IPMI chassis control over the block-transfer (BT) interface
//! (IPMI specification v2.0, sections 11 and 28.3).

use crate::console;
use crate::lpc::{Lpc, LpcError};
use crate::tree::Machine;
use thiserror::Error;

/// Ports, counted from the interface's first.
const CONTROL: u16 = 0;
const BUFFER: u16 = 1;

/// CONTROL. Writing 1 to a pointer bit resets that pointer, to an attention bit changes it.
mod control {
    pub const CLEAR_WRITE_POINTER: u8 = 1 << 0;
    pub const CLEAR_READ_POINTER: u8 = 1 << 1;
    /// The host has put a request into the buffer.
    pub const HOST_TO_BMC: u8 = 1 << 2;
    /// The BMC has put a response into the buffer.
    pub const BMC_TO_HOST: u8 = 1 << 3;
    /// The host is reading.
    pub const HOST_BUSY: u8 = 1 << 6;
    pub const BMC_BUSY: u8 = 1 << 7;
}

/// Network function "chassis" on LUN 0, its response, and the command "chassis control".
const CHASSIS_REQUEST: u8 = 0x00 << 2;
const CHASSIS_RESPONSE: u8 = 0x01 << 2;
const CHASSIS_CONTROL: u8 = 0x02;
/// Returned by the BMC as it was sent.
const SEQUENCE: u8 = 0x43;

/// Looks at CONTROL before the BMC counts as dead: about 10 s at 3 µs each.
const MAX_POLLS: u32 = 3_000_000;
/// The part of the response that is read.
const RESPONSE_LEN: usize = 5;

/// What the BMC is asked to do with the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Power {
    Off = 0x00,
    /// Reset without taking the power away. (QEMU's BMC refuses a power cycle, 0x02.)
    Reset = 0x03,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BmcError {
    #[error("{0}")]
    Lpc(#[from] LpcError),
    #[error("BMC is not ready for a request: control {0:#04x}")]
    Busy(u8),
    #[error("BMC does not answer: control {0:#04x}")]
    Silent(u8),
    #[error("BMC's answer is none to the question: {0:02x?}")]
    Answer([u8; RESPONSE_LEN]),
    #[error("BMC refuses: completion code {0:#04x}")]
    Refused(u8),
}

/// Asks the machine's BMC. False if there is none. The machine goes on for a while after an
/// answer of true, so the caller should stop its threads and wait.
///
/// # Errors
/// The BMC doesn't answer or refuses.
pub fn power(machine: &Machine, wanted: Power) -> Result<bool, BmcError> {
    let Some(port) = machine.lpc.and_then(|lpc| lpc.bt_port) else {
        return Ok(false);
    };
    match console::lock_bus().lpc {
        Some(lpc) => Bt { lpc, port }.chassis_control(wanted).map(|()| true),
        None => Ok(false),
    }
}

/// The interface, seen from the host.
struct Bt {
    lpc: Lpc,
    port: u16,
}

impl Bt {
    fn chassis_control(&self, wanted: Power) -> Result<(), BmcError> {
        let request = [CHASSIS_REQUEST, SEQUENCE, CHASSIS_CONTROL, wanted as u8];
        self.send(&request)?;
        match self.receive()? {
            [
                4..=u8::MAX,
                CHASSIS_RESPONSE,
                SEQUENCE,
                CHASSIS_CONTROL,
                code,
            ] => match code {
                0 => Ok(()),
                _ => Err(BmcError::Refused(code)),
            },
            answer => Err(BmcError::Answer(answer)),
        }
    }

    /// Sends a request: its length, then its bytes.
    fn send(&self, request: &[u8; 4]) -> Result<(), BmcError> {
        let (busy, pending) = (control::BMC_BUSY, control::HOST_TO_BMC);
        self.poll(|value| value & (busy | pending) == 0)?
            .map_err(BmcError::Busy)?;
        // What an earlier owner left unread is in the way.
        if self.control()? & control::BMC_TO_HOST != 0 {
            self.set_control(control::BMC_TO_HOST)?;
        }
        self.set_control(control::CLEAR_WRITE_POINTER)?;
        self.write(request.len() as u8)?;
        request.iter().try_for_each(|&byte| self.write(byte))?;
        self.set_control(control::HOST_TO_BMC)
    }

    /// Waits for the response and reads its beginning: length, function, sequence, command,
    /// completion code.
    fn receive(&self) -> Result<[u8; RESPONSE_LEN], BmcError> {
        self.poll(|value| value & control::BMC_TO_HOST != 0)?
            .map_err(BmcError::Silent)?;
        self.set_control(control::HOST_BUSY)?;
        self.set_control(control::BMC_TO_HOST)?;
        self.set_control(control::CLEAR_READ_POINTER)?;
        let mut response = [0; RESPONSE_LEN];
        for byte in &mut response {
            *byte = self.lpc.read_io(self.port + BUFFER)?;
        }
        self.set_control(control::HOST_BUSY)?;
        Ok(response)
    }

    /// Waits for a state of CONTROL; the inner error is what it was at last.
    fn poll(&self, is_reached: impl Fn(u8) -> bool) -> Result<Result<(), u8>, LpcError> {
        for _ in 0..MAX_POLLS {
            if is_reached(self.control()?) {
                return Ok(Ok(()));
            }
        }
        self.control().map(Err)
    }

    fn control(&self) -> Result<u8, LpcError> {
        self.lpc.read_io(self.port + CONTROL)
    }

    fn set_control(&self, bits: u8) -> Result<(), BmcError> {
        Ok(self.lpc.write_io(self.port + CONTROL, bits)?)
    }

    fn write(&self, byte: u8) -> Result<(), BmcError> {
        Ok(self.lpc.write_io(self.port + BUFFER, byte)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xscom::Xscom;

    /// What chassis control ends with if every port always reads as `byte`.
    fn ends_with(byte: u8) -> BmcError {
        // An LPC bridge whose status (its third register) says done, with that byte.
        let mut registers = [0_u64; 16];
        registers[2] = (asm::ibm(52) | u64::from(byte) << 50).to_be();
        let base = crate::real::address(registers.as_mut_ptr());
        // SAFETY: `registers` outlives the bus, and the bridge's four registers lie in it.
        let lpc = Lpc::new(unsafe { Xscom::new(base) }, 0);
        let bt = Bt { lpc, port: 0xe4 };
        bt.chassis_control(Power::Off).unwrap_err()
    }

    #[test]
    fn a_bmc_that_stays_busy_is_given_up() {
        assert_eq!(ends_with(control::BMC_BUSY), BmcError::Busy(0x80));
        assert_eq!(ends_with(0xff), BmcError::Busy(0xff));
    }

    #[test]
    fn a_bmc_that_never_answers_is_given_up() {
        assert_eq!(ends_with(0), BmcError::Silent(0));
    }

    #[test]
    fn an_answer_to_nothing_asked_is_an_error() {
        assert_eq!(ends_with(control::BMC_TO_HOST), BmcError::Answer([8; 5]));
    }
}

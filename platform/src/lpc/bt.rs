//! The block-transfer (BT) interface to the BMC, seen from the host (IPMI specification v2.0,
//! section 11): a control port, a buffer port, and a port for interrupts.
use crate::lpc::{Lpc, LpcError};

/// Ports, counted from the interface's first.
const CONTROL: u16 = 0;
const BUFFER: u16 = 1;
const INTERRUPT: u16 = 2;

/// CONTROL. Writing 1 to a pointer bit resets that pointer, to an attention bit changes it.
mod control {
    pub const CLEAR_WRITE_POINTER: u8 = 1 << 0;
    pub const CLEAR_READ_POINTER: u8 = 1 << 1;
    /// The host has put a request into the buffer.
    pub const HOST_TO_BMC: u8 = 1 << 2;
    /// The BMC has put a response into the buffer.
    pub const BMC_TO_HOST: u8 = 1 << 3;
    /// The BMC has something to say that nobody has asked for.
    pub const ATTENTION: u8 = 1 << 4;
    /// The host is reading.
    pub const HOST_BUSY: u8 = 1 << 6;
    pub const BMC_BUSY: u8 = 1 << 7;
}

/// INTERRUPT: responses interrupt; one has (writing 1 ends it).
const INTERRUPT_ENABLED: u8 = 1 << 0;
const INTERRUPTED: u8 = 1 << 1;

/// Most bytes of a message behind its length, which is one byte.
pub const MESSAGE_BYTES: usize = 255;

/// The interface. Not locked: who uses it holds [`crate::lpc::bus`].
#[derive(Clone, Copy, Debug)]
pub struct Bt {
    lpc: Lpc,
    port: u16,
}

impl Bt {
    /// The interface whose first port is `port`.
    #[must_use]
    pub const fn new(lpc: Lpc, port: u16) -> Self {
        Self { lpc, port }
    }

    /// What CONTROL says: for messages of errors.
    ///
    /// # Errors
    /// The bus doesn't answer.
    pub fn control(&self) -> Result<u8, LpcError> {
        self.lpc.read_io(self.port + CONTROL)
    }

    /// Whether a request can be sent.
    ///
    /// # Errors
    /// The bus doesn't answer.
    pub fn is_ready(&self) -> Result<bool, LpcError> {
        let busy = control::BMC_BUSY | control::HOST_TO_BMC;
        Ok(self.control()? & busy == 0)
    }

    /// Sends a request, when the interface is ready: its length, then its bytes, at most
    /// [`MESSAGE_BYTES`]. A response that nobody has fetched is dropped.
    ///
    /// # Errors
    /// The bus doesn't answer.
    pub fn send(&self, request: &[u8]) -> Result<(), LpcError> {
        // What an earlier owner left unread is in the way.
        if self.has_response()? {
            self.set_control(control::BMC_TO_HOST)?;
        }
        self.set_control(control::CLEAR_WRITE_POINTER)?;
        self.write(BUFFER, request.len() as u8)?;
        for &byte in request {
            self.write(BUFFER, byte)?;
        }
        self.set_control(control::HOST_TO_BMC)
    }

    /// Whether a response can be fetched.
    ///
    /// # Errors
    /// The bus doesn't answer.
    pub fn has_response(&self) -> Result<bool, LpcError> {
        Ok(self.control()? & control::BMC_TO_HOST != 0)
    }

    /// Whether the BMC has an event to tell of.
    ///
    /// # Errors
    /// The bus doesn't answer.
    pub fn has_event(&self) -> Result<bool, LpcError> {
        Ok(self.control()? & control::ATTENTION != 0)
    }

    /// Fetches a response that is there: as much of it as `buffer` holds. Its whole length.
    ///
    /// # Errors
    /// The bus doesn't answer.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize, LpcError> {
        self.set_control(control::HOST_BUSY)?;
        self.set_control(control::BMC_TO_HOST)?;
        self.set_control(control::CLEAR_READ_POINTER)?;
        let len = usize::from(self.lpc.read_io(self.port + BUFFER)?);
        for byte in buffer.iter_mut().take(len) {
            *byte = self.lpc.read_io(self.port + BUFFER)?;
        }
        self.set_control(control::HOST_BUSY)?;
        Ok(len)
    }

    /// Has responses interrupt, and ends the interrupt of one.
    ///
    /// # Errors
    /// The bus doesn't answer.
    pub fn interrupt(&self) -> Result<(), LpcError> {
        self.write(INTERRUPT, INTERRUPT_ENABLED | INTERRUPTED)
    }

    fn set_control(&self, bits: u8) -> Result<(), LpcError> {
        self.write(CONTROL, bits)
    }

    fn write(&self, port: u16, byte: u8) -> Result<(), LpcError> {
        self.lpc.write_io(self.port + port, byte)
    }
}

//! The 16550 UART behind the LPC bus.

use crate::lpc::Lpc;
use thiserror::Error;
use uart_16550::backend::Backend;
use uart_16550::spec::registers::{IER, LSR, offsets};
use uart_16550::{BaudRate, Config, InitError, Uart16550};

/// Looks at the line status while the FIFO drains, before the UART counts as stuck. Sixteen bytes
/// take 1.4 ms at 115200 baud, a look about 3 µs.
const MAX_POLLS: u32 = 4_000;
/// What an absent UART reads as. As a line status it says "transmitter empty", so that no caller
/// waits for a UART that can't be reached.
const ABSENT: u8 = 0xff;

#[derive(Debug, Error)]
pub enum UartError {
    #[error("UART at port {0:#x}: {1}")]
    Init(u16, InitError),
    #[error("UART at port {0:#x} has ports past the end")]
    Port(u16),
}

/// A UART's registers, as ports on the LPC bus.
#[derive(Debug)]
struct Ports {
    lpc: Lpc,
    first: u16,
    /// During initialisation: how many more times the transmitter may be found busy. The driver
    /// itself would wait for ever.
    busy_polls_left: Option<u32>,
}

impl Backend for Ports {
    #[inline]
    unsafe fn read(&mut self, register: u8) -> u8 {
        let value = self
            .lpc
            .read_io(self.first + u16::from(register))
            .unwrap_or(ABSENT);
        let busy = register == offsets::LSR as u8 && value & LSR::TRANSMITTER_EMPTY.bits() == 0;
        match &mut self.busy_polls_left {
            Some(0) if busy => ABSENT,
            Some(left) if busy => {
                *left -= 1;
                value
            }
            _ => value,
        }
    }

    #[inline]
    unsafe fn write(&mut self, register: u8, value: u8) {
        // A byte that the bridge loses is lost on the line: nobody is left to tell.
        let _ = self.lpc.write_io(self.first + u16::from(register), value);
    }
}

/// The UART, ready to send and receive. Not locked: see [`crate::lpc::console`].
#[derive(Debug)]
pub struct Uart(Uart16550<Ports>);

impl Uart {
    /// Takes over a UART that has been set up before, without touching it.
    ///
    /// # Errors
    /// The last of its eight ports would be past 0xffff.
    pub fn attach(lpc: Lpc, first: u16) -> Result<Self, UartError> {
        if first.checked_add(7).is_none() {
            return Err(UartError::Port(first));
        }
        let ports = Ports {
            lpc,
            first,
            busy_polls_left: None,
        };
        // SAFETY: the ports are those of a UART, by the machine's tree; `Lpc` makes any access
        // to a port harmless to memory.
        Ok(Self(unsafe { Uart16550::new_with_backend(ports) }))
    }

    /// Sets the UART up: eight data bits, no parity, FIFOs on, no interrupts.
    ///
    /// # Errors
    /// No UART answers, or the rate can't be had.
    pub fn init(lpc: Lpc, first: u16, baud: u32) -> Result<Self, UartError> {
        let mut uart = Self::attach(lpc, first)?;
        let config = Config {
            baud_rate: BaudRate::from_integer(baud),
            ..Config::DEFAULT
        };
        uart.0.backend_mut().busy_polls_left = Some(MAX_POLLS);
        let result = uart.0.init(config);
        uart.0.backend_mut().busy_polls_left = None;
        result
            .map(|()| uart)
            .map_err(|error| UartError::Init(first, error))
    }

    /// Sends what the UART takes without waiting; how many bytes that was.
    pub fn send(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.0.send_bytes(&bytes[sent..]) {
                0 => break,
                taken => sent += taken,
            }
        }
        sent
    }

    /// Waits until what was sent is on the line, but not for ever.
    pub fn drain(&mut self) {
        let ports = self.0.backend_mut();
        for _ in 0..MAX_POLLS {
            // SAFETY: reading the line status of a UART changes no memory.
            let status = unsafe { ports.read(offsets::LSR as u8) };
            if status & LSR::TRANSMITTER_EMPTY.bits() != 0 {
                return;
            }
        }
    }

    /// Sends all, waiting for the line; false if the UART is stuck.
    pub fn send_all(&mut self, mut bytes: &[u8]) -> bool {
        for _ in 0..MAX_POLLS {
            bytes = &bytes[self.send(bytes)..];
            if bytes.is_empty() {
                return true;
            }
        }
        false
    }

    /// Has the UART interrupt, or not, as long as it has received something.
    pub fn interrupt(&mut self, on: bool) {
        match on {
            true => self.0.enable_interrupts(IER::DATA_READY),
            false => self.0.disable_interrupts(IER::DATA_READY),
        }
    }

    /// Takes what has been received; how many bytes that was.
    pub fn receive(&mut self, buffer: &mut [u8]) -> usize {
        self.0.receive_bytes(buffer)
    }
}

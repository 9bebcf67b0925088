//! QEMU's debugger stub: a machine stopped before its first instruction, its memory, breakpoints.
//!
//! GDB's remote serial protocol: `$body#checksum`, acknowledged by `+`.
use std::io::{BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::{hex, socket};

/// Bytes of memory in one packet.
const CHUNK_BYTES: usize = 1024;

/// A stopped machine.
pub struct Debugger {
    input: BufReader<UnixStream>,
    output: UnixStream,
}

/// The machine that listens at `socket`, once it does. Its answers may take as long as `limit`.
///
/// # Errors
/// The debugger stub doesn't answer.
pub fn connect(socket: &Path, limit: Duration) -> Result<Debugger, String> {
    let stream = socket::connect(socket)?;
    let output = stream.try_clone().map_err(|error| error.to_string())?;
    stream
        .set_read_timeout(Some(limit))
        .map_err(|error| error.to_string())?;
    let input = BufReader::new(stream);
    let mut debugger = Debugger { input, output };
    debugger.ask("qSupported:")?;
    // Addresses are real ones.
    debugger.ask_ok("Qqemu.PhyMemMode:1")?;
    Ok(debugger)
}

impl Debugger {
    /// # Errors
    /// QEMU refuses.
    pub fn read(&mut self, real: u64, len_bytes: usize) -> Result<Vec<u8>, String> {
        let mut memory = Vec::with_capacity(len_bytes);
        while memory.len() < len_bytes {
            let len = CHUNK_BYTES.min(len_bytes - memory.len());
            let at = real + memory.len() as u64;
            let digits = self.ask(&format!("m{at:x},{len:x}"))?;
            memory.extend(from_hex(&digits)?);
        }
        Ok(memory)
    }

    /// # Errors
    /// QEMU refuses.
    pub fn write(&mut self, real: u64, bytes: &[u8]) -> Result<(), String> {
        for (chunk, at) in bytes.chunks(CHUNK_BYTES).zip((real..).step_by(CHUNK_BYTES)) {
            self.ask_ok(&format!("M{at:x},{:x}:{}", chunk.len(), hex::encode(chunk)))?;
        }
        Ok(())
    }

    /// Lets the machine run until a thread of it is about to execute the instruction at this
    /// effective address.
    ///
    /// # Errors
    /// It didn't get there.
    pub fn run_to(&mut self, address: u64) -> Result<(), String> {
        self.ask_ok(&format!("Z1,{address:x},4"))?;
        let stopped = self.ask("c")?;
        // Signal 5: a trap.
        match stopped.starts_with("T05") {
            true => self.ask_ok(&format!("z1,{address:x},4")),
            false => Err(format!("not at {address:#x}, but: {stopped}")),
        }
    }

    /// Has the thread that has stopped go on at this effective address.
    ///
    /// # Errors
    /// QEMU refuses.
    pub fn set_pc(&mut self, address: u64) -> Result<(), String> {
        // Register 64 of the stub's; in the machine's byte order.
        self.ask_ok(&format!("P40={address:016x}"))
    }

    /// What QEMU's monitor says to a command.
    ///
    /// # Errors
    /// QEMU refuses.
    pub fn monitor(&mut self, command: &str) -> Result<String, String> {
        self.send(&format!("qRcmd,{}", hex::encode(command.as_bytes())))?;
        let mut said = Vec::new();
        loop {
            let answer = self.receive()?;
            match answer.strip_prefix('O') {
                _ if answer == "OK" => break,
                Some(digits) => said.extend(from_hex(digits)?),
                None => return Err(format!("debugger: {command}: {answer}")),
            }
        }
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// Lets the machine run on by itself.
    ///
    /// # Errors
    /// QEMU refuses.
    pub fn detach(mut self) -> Result<(), String> {
        self.send("D;1")?;
        match self.receive().as_deref() {
            Ok("OK") => Ok(()),
            Ok(answer) => Err(format!("debugger: detach: {answer}")),
            // A machine that ends at once takes the connection with it.
            Err(_) => Ok(()),
        }
    }

    fn ask_ok(&mut self, body: &str) -> Result<(), String> {
        match self.ask(body)?.as_str() {
            "OK" => Ok(()),
            answer => Err(format!("debugger: {body}: {answer}")),
        }
    }

    fn ask(&mut self, body: &str) -> Result<String, String> {
        self.send(body)?;
        self.receive()
    }

    fn send(&mut self, body: &str) -> Result<(), String> {
        let packet = format!("${body}#{:02x}", checksum(body.as_bytes()));
        let sent = self.output.write_all(packet.as_bytes());
        sent.map_err(|error| format!("debugger: {error}"))
    }

    /// The next packet's body.
    fn receive(&mut self) -> Result<String, String> {
        while self.byte()? != b'$' {}
        let mut body = Vec::new();
        loop {
            match self.byte()? {
                b'#' => break,
                byte => body.push(byte),
            }
        }
        let (_, _) = (self.byte()?, self.byte()?);
        let sent = self.output.write_all(b"+");
        sent.map_err(|error| format!("debugger: {error}"))?;
        String::from_utf8(body).map_err(|_| "debugger: no text".into())
    }

    fn byte(&mut self) -> Result<u8, String> {
        let mut byte = [0];
        let read = self.input.read_exact(&mut byte);
        read.map_err(|error| format!("debugger: {error}"))?;
        Ok(byte[0])
    }
}

fn checksum(body: &[u8]) -> u8 {
    body.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

fn from_hex(digits: &str) -> Result<Vec<u8>, String> {
    hex::decode(digits).ok_or_else(|| format!("debugger: {digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_summed_up() {
        assert_eq!(checksum(b"OK"), 0x9a);
        assert_eq!(checksum(b""), 0);
    }
}

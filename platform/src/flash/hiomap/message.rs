//! Requests and answers of hiomap, version 2, and how events come: as records of the BMC's event buffer (IPMI
//! specification v2.0, section 22.8). Numbers of more than one byte are little-endian.

use super::HiomapError;
use crate::lpc::bmc::{HIOMAP_COMMAND, HIOMAP_FUNCTION, Message};

const VERSION: u8 = 2;
/// Network function "application", and the command that reads the event buffer.
const APPLICATION: u8 = 0x06 << 2;
const READ_EVENT: u8 = 0x35;
/// Completion codes: there is no such command; the event buffer is empty.
pub const INVALID_COMMAND: u8 = 0xc1;
const NO_EVENT: u8 = 0x80;

/// An event's record: its type at 2, whose it is at 10 and 11, and what it says at 12.
const RECORD_BYTES: usize = 16;
const RECORD_OEM: u8 = 0xc0;
const WHOSE: [u8; 2] = [0x3a, 0x0f];

/// Blocks have 4 KiB to 1 MiB.
const BLOCK_SHIFTS: core::ops::RangeInclusive<u8> = 12..=20;

/// A question for the BMC. Places and lengths are in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Not hiomap's: the next event.
    Event,
    Info,
    FlashInfo,
    /// Place in the flash, length.
    Read(u16, u16),
    Write(u16, u16),
    /// Place in the window, length.
    MarkDirty(u16, u16),
    Flush,
    Ack(u8),
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    Event(Event),
    /// The power of two of a block's bytes.
    Info(u8),
    /// The flash's.
    Blocks(u16),
    /// Place in the firmware space, length, place in the flash.
    Window([u16; 3]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    None,
    OfAnother,
    State(State),
}

/// The state of the BMC's part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State(pub u8);

impl State {
    pub const PROTOCOL_RESET: u8 = 1 << 0;
    pub const WINDOW_RESET: u8 = 1 << 1;
    pub const FLASH_CONTROL_LOST: u8 = 1 << 6;
    pub const DAEMON_READY: u8 = 1 << 7;

    pub const fn has_lost_protocol(self) -> bool {
        self.0 & Self::PROTOCOL_RESET != 0
    }

    pub const fn has_lost_window(self) -> bool {
        self.to_acknowledge() != 0 || self.is_away()
    }

    pub const fn to_acknowledge(self) -> u8 {
        self.0 & (Self::PROTOCOL_RESET | Self::WINDOW_RESET)
    }

    pub const fn is_away(self) -> bool {
        self.0 & (Self::FLASH_CONTROL_LOST | Self::DAEMON_READY) != Self::DAEMON_READY
    }
}

impl Ask {
    pub const fn name(self) -> &'static str {
        match self {
            Ask::Event => "READ_EVENT_MESSAGE_BUFFER",
            Ask::Info => "GET_INFO",
            Ask::FlashInfo => "GET_FLASH_INFO",
            Ask::Read(..) => "CREATE_READ_WINDOW",
            Ask::Write(..) => "CREATE_WRITE_WINDOW",
            Ask::MarkDirty(..) => "MARK_DIRTY",
            Ask::Flush => "FLUSH",
            Ask::Ack(_) => "ACK",
        }
    }

    /// The command's number and its arguments.
    fn arguments(self) -> (u8, [u8; 4], usize) {
        let two = |command, first: u16, second: u16| {
            let ([a, b], [c, d]) = (first.to_le_bytes(), second.to_le_bytes());
            (command, [a, b, c, d], 4)
        };
        let one = |command, byte, len| (command, [byte, 0, 0, 0], len);
        match self {
            Ask::Event => one(0, 0, 0),
            Ask::Info => one(2, VERSION, 1),
            Ask::FlashInfo => one(3, 0, 0),
            Ask::Read(at, len) => two(4, at, len),
            Ask::Write(at, len) => two(6, at, len),
            Ask::MarkDirty(at, len) => two(7, at, len),
            Ask::Flush => one(8, 0, 0),
            Ask::Ack(mask) => one(9, mask, 1),
        }
    }

    pub fn message(self, sequence: u8) -> Result<Message, HiomapError> {
        let (command, arguments, len) = self.arguments();
        let mut data = [command, sequence, 0, 0, 0, 0];
        data[2..].copy_from_slice(&arguments);
        let message = match self {
            Ask::Event => Message::new(APPLICATION, READ_EVENT, &[]),
            _ => Message::new(HIOMAP_FUNCTION, HIOMAP_COMMAND, &data[..2 + len]),
        };
        message.ok_or(HiomapError::Nonsense(self.name()))
    }

    /// What the answer to the request of that sequence number says.
    pub fn answer(self, sequence: u8, answer: &Message) -> Result<Answer, HiomapError> {
        let nonsense = HiomapError::Nonsense(self.name());
        let results = match (self, answer.data()) {
            (Ask::Event, [NO_EVENT, ..]) => return Ok(Answer::Event(Event::None)),
            (_, &[code, ..]) if code != 0 => return Err(HiomapError::Refused(self.name(), code)),
            (Ask::Event, [_, record @ ..]) => return event(record).ok_or(nonsense),
            (_, &[_, command, answered, ref results @ ..])
                if (command, answered) == (self.arguments().0, sequence) =>
            {
                results
            }
            _ => return Err(nonsense),
        };
        match (self, results) {
            (Ask::Info, &[version, ..]) if version != VERSION => Err(HiomapError::Version(version)),
            (Ask::Info, &[_, shift, _, _, ..]) if BLOCK_SHIFTS.contains(&shift) => {
                Ok(Answer::Info(shift))
            }
            (Ask::FlashInfo, &[low, high, _, _, ..]) => {
                Ok(Answer::Blocks(u16::from_le_bytes([low, high])))
            }
            (Ask::Read(..) | Ask::Write(..), &[a, b, c, d, e, f, ..]) => Ok(Answer::Window(
                [[a, b], [c, d], [e, f]].map(u16::from_le_bytes),
            )),
            (Ask::MarkDirty(..) | Ask::Flush | Ask::Ack(_), _) => Ok(Answer::Done),
            _ => Err(nonsense),
        }
    }
}

fn event(record: &[u8]) -> Option<Answer> {
    let record: &[u8; RECORD_BYTES] = record.first_chunk()?;
    let is_ours = record[2] == RECORD_OEM && record[10..12] == WHOSE;
    Some(Answer::Event(match is_ours {
        true => Event::State(State(record[12])),
        false => Event::OfAnother,
    }))
}

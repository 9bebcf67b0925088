//! The protocol by which a BMC shows its flash through windows in the LPC bus's firmware space ("hiomap",
//! version 2, over IPMI): what is asked next, and what an answer means. Nothing here touches the machine.
//!
//! There is one window at a time, where the BMC wants it and as long as the BMC likes. What is written to it
//! counts only after the BMC was told where (MARK_DIRTY) and has put it into its flash (FLUSH). The BMC says by
//! events that it has taken the window away.

use super::hiomap::message::{Answer, Ask, Event, INVALID_COMMAND};
use crate::lpc::FIRMWARE_SPACE_BYTES;
use crate::lpc::bmc::Message;
use core::ops::Range;
use thiserror::Error;

mod message;

/// Questions in one go. More are never needed, unless the BMC takes back what it has just given.
const MAX_ASKS: u32 = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HiomapError {
    #[error("BMC has no windows to its flash")]
    None,
    #[error("BMC refuses {0}: completion code {1:#04x}")]
    Refused(&'static str, u8),
    #[error("BMC's answer to {0} makes no sense")]
    Nonsense(&'static str),
    #[error("BMC speaks version {0} of hiomap, not 2")]
    Version(u8),
    #[error("BMC does not answer in time")]
    Late,
    #[error("BMC keeps its flash to itself for now")]
    Away,
    #[error("BMC takes its window away again and again")]
    Restless,
    #[error("BMC has taken its window away with what was written")]
    Lost,
}

/// A part of the flash that can be reached now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where it begins in the flash, and in the firmware space.
    pub flash_bytes: u64,
    pub lpc_bytes: u64,
    pub len_bytes: u64,
    pub is_writable: bool,
}

impl Window {
    /// From `at_bytes` of the flash on: where that is in the firmware space, and how many bytes follow. `None`: it
    /// isn't here.
    #[must_use]
    pub fn find(&self, at_bytes: u64) -> Option<(u64, u64)> {
        let into = at_bytes.checked_sub(self.flash_bytes)?;
        let left_bytes = self.len_bytes.checked_sub(into)?;
        (left_bytes > 0).then_some((self.lpc_bytes + into, left_bytes))
    }
}

/// What has to hold before whoever asks goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The flash's size is known.
    Size,
    /// A window has that place of the flash; more bytes behind it are wanted.
    Read(u64, u64),
    /// The same, to be written.
    Write(u64, u64),
    /// All that was written counts.
    Flushed,
}

/// How far the BMC has been told of what was written to its window.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Dirt {
    Clean,
    /// A range of the flash, not told yet.
    Untold(Range<u64>),
    Told,
}

/// What is known of the BMC's windows.
#[derive(Debug)]
pub struct Windows {
    /// Bytes of the protocol's blocks, by their power of two. `None`: nothing is agreed on.
    block_shift: Option<u8>,
    flash_bytes: Option<u64>,
    window: Option<Window>,
    dirt: Dirt,
    /// What was asked and isn't answered.
    asked: Option<(Ask, u8)>,
    last_sequence: u8,
    /// The BMC wanted attention when it was last looked at.
    attention: bool,
    /// It may have events for us.
    has_events: bool,
    /// Events to acknowledge.
    unacknowledged: u8,
    is_away: bool,
    /// How many windows the BMC has taken away, and how many of them with something that wasn't flushed.
    lost_windows: u32,
    lost_writes: u32,
}

impl Windows {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        block_shift: None,
        flash_bytes: None,
        window: None,
        dirt: Dirt::Clean,
        asked: None,
        last_sequence: 0,
        attention: false,
        has_events: false,
        unacknowledged: 0,
        is_away: false,
        lost_windows: 0,
        lost_writes: 0,
    };

    /// The flash's size, once it is known.
    #[must_use]
    pub const fn flash_bytes(&self) -> Option<u64> {
        self.flash_bytes
    }

    /// A number that changes when a window is lost.
    #[must_use]
    pub const fn lost_windows(&self) -> u32 {
        self.lost_windows
    }

    /// The same, when something was in it that hadn't been flushed.
    #[must_use]
    pub const fn lost_writes(&self) -> u32 {
        self.lost_writes
    }

    /// Whether the BMC may have events that nobody has asked for.
    #[must_use]
    pub const fn has_events(&self) -> bool {
        self.has_events
    }

    /// Whether the BMC wants attention: that it begins to is a reason to ask for events.
    pub fn look(&mut self, attention: bool) {
        self.has_events |= attention && !self.attention;
        self.attention = attention;
    }

    /// Somebody else may have moved the window.
    pub fn distrust(&mut self) {
        self.lose();
    }

    /// A range of the window was written.
    pub fn wrote(&mut self, range: Range<u64>) {
        self.dirt = match &self.dirt {
            Dirt::Untold(old) => Dirt::Untold(old.start.min(range.start)..old.end.max(range.end)),
            Dirt::Clean | Dirt::Told => Dirt::Untold(range),
        };
    }

    /// Goes on until `need` holds. `exchange` sends a request, or looks for the answer of the one that it has sent
    /// before, which is the same. `None`: the BMC hasn't answered yet. [`Need::Flushed`] and [`Need::Size`] have a
    /// window only if there is one.
    ///
    /// # Errors
    /// The BMC refuses, or answers nonsense. What was written to a window and not flushed is lost then, see
    /// [`Windows::lost_writes`].
    pub fn step(
        &mut self,
        need: Need,
        mut exchange: impl FnMut(&Message) -> Option<Message>,
    ) -> Result<Option<Reached>, HiomapError> {
        for _ in 0..MAX_ASKS {
            let asked = self
                .asked
                .map_or_else(|| self.next(need), |asked| Ok(Some(asked)));
            let Some((ask, sequence)) = asked? else {
                return Ok(Some(Reached(self.window)));
            };
            self.asked = Some((ask, sequence));
            self.last_sequence = sequence;
            let Some(answer) = exchange(&ask.message(sequence)?) else {
                return Ok(None);
            };
            self.asked = None;
            let taken = ask
                .answer(sequence, &answer)
                .and_then(|answer| self.take(ask, &answer));
            if let Err(why) = taken {
                return self.failed(ask, why).map(|()| None);
            }
        }
        Err(HiomapError::Restless)
    }

    /// What to ask for next. `None`: the need holds.
    fn next(&self, need: Need) -> Result<Option<(Ask, u8)>, HiomapError> {
        let ask = match (self.block_shift, need) {
            _ if self.has_events => Some(Ask::Event),
            _ if self.unacknowledged != 0 => Some(Ask::Ack(self.unacknowledged)),
            _ if self.is_away => return Err(HiomapError::Away),
            (None, _) => Some(Ask::Info),
            _ if self.flash_bytes.is_none() => Some(Ask::FlashInfo),
            (Some(_), Need::Size) => None,
            (Some(shift), Need::Flushed) => self.cleaning(shift)?,
            (Some(shift), Need::Read(at, len) | Need::Write(at, len)) => {
                let writes = matches!(need, Need::Write(..));
                match self.window {
                    Some(window)
                        if window.find(at).is_some() && (window.is_writable || !writes) =>
                    {
                        None
                    }
                    _ => match self.cleaning(shift)? {
                        Some(ask) => Some(ask),
                        None => Some(opening(shift, at, len, writes)?),
                    },
                }
            }
        };
        Ok(ask.map(|ask| (ask, self.last_sequence.wrapping_add(1))))
    }

    /// What makes that count which was written.
    fn cleaning(&self, shift: u8) -> Result<Option<Ask>, HiomapError> {
        let range = match &self.dirt {
            Dirt::Clean => return Ok(None),
            Dirt::Told => return Ok(Some(Ask::Flush)),
            Dirt::Untold(range) => range,
        };
        let window = self.window.ok_or(HiomapError::Lost)?;
        let first = range.start.saturating_sub(window.flash_bytes) >> shift;
        let end = range
            .end
            .saturating_sub(window.flash_bytes)
            .div_ceil(1 << shift);
        match (
            u16::try_from(first),
            u16::try_from(end.saturating_sub(first)),
        ) {
            (Ok(first), Ok(blocks)) => Ok(Some(Ask::MarkDirty(first, blocks))),
            _ => Err(HiomapError::Lost),
        }
    }

    fn take(&mut self, ask: Ask, answer: &Answer) -> Result<(), HiomapError> {
        let nonsense = HiomapError::Nonsense(ask.name());
        match (ask, *answer) {
            (Ask::Event, Answer::Event(event)) => self.event(event),
            (Ask::Ack(_), _) => self.unacknowledged = 0,
            (Ask::Info, Answer::Info(shift)) => self.block_shift = Some(shift),
            (Ask::FlashInfo, Answer::Blocks(blocks)) => {
                let shift = self.block_shift.ok_or(nonsense)?;
                let bytes = u64::from(blocks) << shift;
                if bytes == 0 || bytes > FIRMWARE_SPACE_BYTES {
                    return Err(nonsense);
                }
                self.flash_bytes = Some(bytes);
            }
            (Ask::Read(at, _) | Ask::Write(at, _), Answer::Window(blocks)) => {
                let shift = self.block_shift.ok_or(nonsense)?;
                let [lpc, len, flash] = blocks.map(|blocks| u64::from(blocks) << shift);
                let window = Window {
                    flash_bytes: flash,
                    lpc_bytes: lpc,
                    len_bytes: len,
                    is_writable: matches!(ask, Ask::Write(..)),
                };
                let has_it = window.find(u64::from(at) << shift).is_some();
                if !has_it || lpc + len > FIRMWARE_SPACE_BYTES {
                    return Err(nonsense);
                }
                self.window = Some(window);
            }
            (Ask::MarkDirty(..), _) => self.dirt = Dirt::Told,
            (Ask::Flush, _) => self.dirt = Dirt::Clean,
            _ => return Err(nonsense),
        }
        Ok(())
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::None => self.has_events = false,
            Event::OfAnother => {}
            Event::State(state) => {
                if state.has_lost_window() {
                    self.lose();
                }
                if state.has_lost_protocol() {
                    self.block_shift = None;
                }
                self.unacknowledged |= state.to_acknowledge();
                self.is_away = state.is_away();
            }
        }
    }

    fn lose(&mut self) {
        self.window = None;
        self.lost_windows = self.lost_windows.wrapping_add(1);
        if self.dirt != Dirt::Clean {
            self.dirt = Dirt::Clean;
            self.lost_writes = self.lost_writes.wrapping_add(1);
        }
    }

    /// A question was not answered as it should be. Questions about events do no harm.
    fn failed(&mut self, ask: Ask, why: HiomapError) -> Result<(), HiomapError> {
        match ask {
            Ask::Event => self.has_events = false,
            Ask::Ack(_) => self.unacknowledged = 0,
            Ask::Info if matches!(why, HiomapError::Refused(_, code) if code == INVALID_COMMAND) => {
                return Err(HiomapError::None);
            }
            _ => {
                self.forget();
                return Err(why);
            }
        }
        Ok(())
    }

    /// Begins anew: nothing of what was agreed on holds.
    fn forget(&mut self) {
        self.lose();
        self.block_shift = None;
    }
}

/// A need that holds, and the window of that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached(pub Option<Window>);

fn opening(shift: u8, at: u64, len: u64, writes: bool) -> Result<Ask, HiomapError> {
    let name = if writes {
        "CREATE_WRITE_WINDOW"
    } else {
        "CREATE_READ_WINDOW"
    };
    let first = u16::try_from(at >> shift).map_err(|_| HiomapError::Nonsense(name))?;
    let end = at.saturating_add(len).div_ceil(1 << shift);
    let blocks = u16::try_from(end - u64::from(first)).unwrap_or(u16::MAX);
    Ok(match writes {
        true => Ask::Write(first, blocks),
        false => Ask::Read(first, blocks),
    })
}

#[cfg(test)]
mod tests;

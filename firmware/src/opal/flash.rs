//! The host's use of flash (OPAL API "opal-flash-110-111-112").
//!
//! The bus takes four bytes at a time. A call works for [`SLICE_TB`] at most; what is left goes on whenever the
//! host asks for events, and a message tells of the end.
use super::answer::{Answer, DONE};
use super::host_memory::slice;
use super::message;
use crate::flash::{self, Open};
use asm::op;
use hcalls::trace::TB_HZ;
use platform::cpu::lock::Lock;
use platform::flash::device::FlashError;
use platform::flash::hiomap::HiomapError;
use skiboot_compat::message::{KIND_ASYNC_COMPLETION, Message};
use skiboot_compat::status::Status;

/// How long a call keeps the machine: 5 ms.
const SLICE_TB: u64 = TB_HZ / 200;
/// How long the BMC may leave a call where it is: 12 s, more than a message to it may take.
const PATIENCE_TB: u64 = 12 * TB_HZ;
/// Bytes between two looks at the time.
const STEP_BYTES: u64 = 256;
/// The only flash.
const FLASH_ID: u64 = 0;

#[derive(Clone, Copy)]
enum Kind {
    Read,
    Write,
    Erase,
}

/// What is left to do.
#[derive(Clone, Copy)]
struct Work {
    kind: Kind,
    at_bytes: u64,
    buffer: u64,
    left_bytes: u64,
    /// The host's, for the message.
    token: u64,
    /// When it last went on, and what the BMC had lost of others' writes when it began.
    since_tb: u64,
    lost_writes: u32,
}

/// What was begun and isn't over.
#[derive(Clone, Copy)]
enum State {
    Idle,
    Waiting(Work),
    /// A thread is at it.
    Working,
    /// The same, for a host that is gone.
    Forgotten,
}

static STATE: Lock<State> = Lock::new(State::Idle);

/// OPAL_FLASH_READ: number of the flash, offset, buffer, length, token. ASYNC_COMPLETION: a message with the
/// token tells when it is over. BUSY: another is under way.
pub fn read(id: u64, at_bytes: u64, buffer: u64, len_bytes: u64, token: u64) -> Answer {
    slice(buffer, len_bytes)?;
    begin(id, Kind::Read, at_bytes, buffer, len_bytes, token)
}

/// OPAL_FLASH_WRITE: the same, to flash.
pub fn write(id: u64, at_bytes: u64, buffer: u64, len_bytes: u64, token: u64) -> Answer {
    slice(buffer, len_bytes)?;
    begin(id, Kind::Write, at_bytes, buffer, len_bytes, token)
}

/// OPAL_FLASH_ERASE: number of the flash, offset, length, token. Offset and length are multiples of a block.
pub fn erase(id: u64, at_bytes: u64, len_bytes: u64, token: u64) -> Answer {
    let block_bytes = flash::flash().map_or(1, |open| open.block_bytes);
    if !(at_bytes | len_bytes).is_multiple_of(block_bytes) {
        return Err(Status::Parameter);
    }
    begin(id, Kind::Erase, at_bytes, 0, len_bytes, token)
}

fn begin(id: u64, kind: Kind, at_bytes: u64, buffer: u64, left_bytes: u64, token: u64) -> Answer {
    let open = flash::flash().ok_or(Status::Unsupported)?;
    let end_bytes = at_bytes.checked_add(left_bytes).ok_or(Status::Parameter)?;
    if id != FLASH_ID || end_bytes > open.len_bytes {
        return Err(Status::Parameter);
    }
    let mut work = Work {
        kind,
        at_bytes,
        buffer,
        left_bytes,
        token,
        since_tb: op::time_tb(),
        lost_writes: open.flash.lost_writes(),
    };
    {
        let mut state = STATE.lock();
        let State::Idle = *state else {
            return Err(Status::Busy);
        };
        *state = State::Working;
    }
    let done = advance(open, &mut work);
    leave(work, done != Ok(false));
    match done {
        Ok(true) => DONE,
        Ok(false) => Err(Status::AsyncCompletion),
        Err(why) => Err(failed(&why)),
    }
}

/// Puts what is left back. False: the host that asked for it is gone.
fn leave(work: Work, over: bool) -> bool {
    let mut state = STATE.lock();
    let wanted = matches!(*state, State::Working);
    *state = match wanted && !over {
        true => State::Waiting(work),
        false => State::Idle,
    };
    wanted
}

/// Goes on with what is under way.
pub fn look() {
    let Some(open) = flash::flash() else { return };
    let mut work = {
        let mut state = STATE.lock();
        let State::Waiting(work) = *state else { return };
        *state = State::Working;
        work
    };
    let done = advance(open, &mut work);
    let over = done != Ok(false);
    if leave(work, over) && over {
        let status = match done {
            Ok(_) => Status::Success,
            Err(why) => failed(&why),
        };
        let params = [work.token, i64::from(status) as u64];
        message::send(Message::new(KIND_ASYNC_COMPLETION, &params));
    }
}

/// Whether something is under way.
pub fn is_busy() -> bool {
    // Hosts ask often, and most machines have none.
    flash::flash().is_some() && matches!(*STATE.lock(), State::Waiting(_) | State::Working)
}

/// Another host begins: what the last one has begun is given up.
pub fn forget() {
    let mut state = STATE.lock();
    *state = match *state {
        State::Working | State::Forgotten => State::Forgotten,
        State::Idle | State::Waiting(_) => State::Idle,
    };
}

/// Works for a slice of time, or to the end: true.
fn advance(open: &Open, work: &mut Work) -> Result<bool, FlashError> {
    let begun_tb = op::time_tb();
    loop {
        let now_tb = op::time_tb();
        if work.left_bytes == 0 && is_kept(open, work)? {
            return Ok(true);
        }
        let done_bytes = step(open, work)?;
        if done_bytes > 0 {
            work.since_tb = now_tb;
        } else if now_tb.wrapping_sub(work.since_tb) > PATIENCE_TB {
            return Err(FlashError::Bmc(HiomapError::Late));
        }
        work.at_bytes += done_bytes;
        work.buffer += done_bytes;
        work.left_bytes -= done_bytes;
        if now_tb.wrapping_sub(begun_tb) >= SLICE_TB {
            return Ok(false);
        }
    }
}

/// A few bytes more; how many.
fn step(open: &Open, work: &Work) -> Result<u64, FlashError> {
    const ERASED: [u8; STEP_BYTES as usize] = [0xff; STEP_BYTES as usize];
    let len_bytes = work.left_bytes.min(STEP_BYTES);
    if len_bytes == 0 {
        return Ok(0);
    }
    let (flash, at_bytes) = (&open.flash, work.at_bytes);
    let done_bytes = match work.kind {
        Kind::Erase => flash.try_put(at_bytes, &ERASED[..len_bytes as usize])?,
        Kind::Read => flash.try_read(at_bytes, buffer(work, len_bytes))?,
        Kind::Write => flash.try_put(at_bytes, buffer(work, len_bytes))?,
    };
    Ok(done_bytes as u64)
}

/// Whether all that was written is in the flash itself.
fn is_kept(open: &Open, work: &Work) -> Result<bool, FlashError> {
    if let Kind::Read = work.kind {
        return Ok(true);
    }
    let flushed = open.flash.try_flush()?;
    match open.flash.lost_writes() == work.lost_writes {
        true => Ok(flushed),
        false => Err(FlashError::Bmc(HiomapError::Lost)),
    }
}

/// The next part of the host's buffer, which was found to be its memory when the call came.
fn buffer(work: &Work, len_bytes: u64) -> &'static mut [u8] {
    slice(work.buffer, len_bytes).unwrap_or_default()
}

fn failed(why: &FlashError) -> Status {
    log::warn!("catnap: {why}");
    Status::Hardware
}

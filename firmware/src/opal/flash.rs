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
use skiboot_compat::message::{KIND_ASYNC_COMPLETION, Message};
use skiboot_compat::status::Status;

/// How long a call keeps the machine: 5 ms.
const SLICE_TB: u64 = TB_HZ / 200;
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
    };
    {
        let mut state = STATE.lock();
        let State::Idle = *state else {
            return Err(Status::Busy);
        };
        *state = State::Working;
    }
    let done = advance(open, &mut work);
    let over = done.is_err() || work.left_bytes == 0;
    leave(work, over);
    match done {
        Ok(()) if over => DONE,
        Ok(()) => Err(Status::AsyncCompletion),
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
    let over = done.is_err() || work.left_bytes == 0;
    if leave(work, over) && over {
        let status = match done {
            Ok(()) => Status::Success,
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

/// Works for a slice of time, or to the end.
fn advance(open: &Open, work: &mut Work) -> Result<(), FlashError> {
    const ERASED: [u8; STEP_BYTES as usize] = [0xff; STEP_BYTES as usize];
    let begun_tb = op::time_tb();
    while work.left_bytes > 0 && op::time_tb().wrapping_sub(begun_tb) < SLICE_TB {
        let len_bytes = work.left_bytes.min(STEP_BYTES);
        match work.kind {
            Kind::Erase => open
                .flash
                .write(work.at_bytes, &ERASED[..len_bytes as usize])?,
            Kind::Read => open.flash.read(work.at_bytes, buffer(work, len_bytes))?,
            Kind::Write => open.flash.write(work.at_bytes, buffer(work, len_bytes))?,
        }
        work.at_bytes += len_bytes;
        work.buffer += len_bytes;
        work.left_bytes -= len_bytes;
    }
    Ok(())
}

/// The next part of the host's buffer, which was found to be its memory when the call came.
fn buffer(work: &Work, len_bytes: u64) -> &'static mut [u8] {
    slice(work.buffer, len_bytes).unwrap_or_default()
}

fn failed(why: &FlashError) -> Status {
    log::warn!("catnap: {why}");
    Status::Hardware
}

//! Messages between the host and the BMC.
use super::answer::{Answer, DONE};
use super::event_bits;
use super::host_memory::{fetch, slice, store};
use crate::machine;
use asm::op;
use platform::lpc::bmc::{self, Message, Refusal};
use skiboot_compat::ipmi::{HEADER_LEN, INTERFACE, VERSION};
use skiboot_compat::status::Status;

/// The event that tells of a response: the highest, as OPAL leaves it to the firmware which.
pub const EVENT: u64 = 1 << EVENT_NUMBER;
pub const EVENT_NUMBER: u32 = 63;

/// Goes on with what is under way.
pub fn look() {
    let Some(machine) = machine::machine().filter(|machine| machine.has_bmc()) else {
        return;
    };
    event_bits::update(EVENT, bmc::look(machine, op::time_tb()));
}

/// OPAL_IPMI_SEND: interface, message, its length. BUSY: another is under way.
pub fn send(interface: u64, message_at: u64, len_bytes: u64) -> Answer {
    let machine = machine::machine().filter(|machine| machine.has_bmc());
    let machine = machine.ok_or(Status::Unsupported)?;
    let too_long = len_bytes > (HEADER_LEN + platform::lpc::bt::MESSAGE_BYTES) as u64;
    if interface != INTERFACE || len_bytes < HEADER_LEN as u64 || too_long {
        return Err(Status::Parameter);
    }
    let &mut [VERSION, function, command, ref data @ ..] = slice(message_at, len_bytes)? else {
        return Err(Status::Parameter);
    };
    let message = Message::new(function, command, data).ok_or(Status::Parameter)?;
    match bmc::send(machine, message, op::time_tb()) {
        Ok(()) => DONE,
        Err(Refusal::Busy) => Err(Status::Busy),
        Err(Refusal::NoBmc) => Err(Status::Unsupported),
    }
}

/// OPAL_IPMI_RECV: interface, buffer, address of its length, which becomes the response's. EMPTY:
/// there is none. RESOURCE: the buffer is too short, and the response is kept.
pub fn receive(interface: u64, buffer_at: u64, len_at: u64) -> Answer {
    if interface != INTERFACE {
        return Err(Status::Parameter);
    }
    let buffer = slice(buffer_at, u64::from_be_bytes(fetch(len_at)?))?;
    let len = |response: &Message| HEADER_LEN + response.data().len();
    look();
    let response = bmc::receive(|response| len(response) <= buffer.len()).ok_or(Status::Empty)?;
    let room = buffer.get_mut(..len(&response)).ok_or(Status::Resource)?;
    room[..HEADER_LEN].copy_from_slice(&[VERSION, response.function, response.command]);
    room[HEADER_LEN..].copy_from_slice(response.data());
    event_bits::update(EVENT, false);
    store(len_at, (len(&response) as u64).to_be_bytes())?;
    DONE
}

//! Messages between the host and the BMC.
use super::event_bits;
use super::host_memory::{fetch, slice, store, stored};
use crate::machine;
use asm::op;
use hcalls::Status;
use platform::lpc::bmc::{self, Message, Refusal};
use skiboot_compat::ipmi::{HEADER_LEN, INTERFACE, VERSION};

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
pub fn send(interface: u64, message_at: u64, len_bytes: u64) -> Status {
    let Some(machine) = machine::machine().filter(|machine| machine.has_bmc()) else {
        return Status::Unsupported;
    };
    let too_long = len_bytes > (HEADER_LEN + platform::lpc::bt::MESSAGE_BYTES) as u64;
    if interface != INTERFACE || len_bytes < HEADER_LEN as u64 || too_long {
        return Status::Parameter;
    }
    let Some(&mut [VERSION, function, command, ref data @ ..]) = slice(message_at, len_bytes)
    else {
        return Status::Parameter;
    };
    let Some(message) = Message::new(function, command, data) else {
        return Status::Parameter;
    };
    match bmc::send(machine, message, op::time_tb()) {
        Ok(()) => Status::Success,
        Err(Refusal::Busy) => Status::Busy,
        Err(Refusal::NoBmc) => Status::Unsupported,
    }
}

/// OPAL_IPMI_RECV: interface, buffer, address of its length, which becomes the response's. EMPTY:
/// there is none. RESOURCE: the buffer is too short, and the response is kept.
pub fn receive(interface: u64, buffer_at: u64, len_at: u64) -> Status {
    let Some(room_bytes) = fetch(len_at).map(u64::from_be_bytes) else {
        return Status::Parameter;
    };
    let Some(buffer) = slice(buffer_at, room_bytes).filter(|_| interface == INTERFACE) else {
        return Status::Parameter;
    };
    let len = |response: &Message| HEADER_LEN + response.data().len();
    look();
    let Some(response) = bmc::receive(|response| len(response) <= buffer.len()) else {
        return Status::Empty;
    };
    let Some(room) = buffer.get_mut(..len(&response)) else {
        return Status::Resource;
    };
    room[..HEADER_LEN].copy_from_slice(&[VERSION, response.function, response.command]);
    room[HEADER_LEN..].copy_from_slice(response.data());
    event_bits::update(EVENT, false);
    stored(store(len_at, (len(&response) as u64).to_be_bytes()))
}

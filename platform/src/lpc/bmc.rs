//! The BMC: power off and reboot, messages of the host, and questions about its flash, by IPMI over its BT
//! interface.
//!
//! One request is under way at a time. The host's are answered when somebody looks: at its
//! interrupt, or when it polls.
mod power;

pub use power::{BmcError, Power, power};

use crate::cpu::lock::Lock;
use crate::lpc::LpcError;
use crate::lpc::bt::{Bt, MESSAGE_BYTES};
use crate::lpc::bus::{self, Bus};
use crate::tree::Machine;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

/// What makes a request's network function its response's.
const RESPONSE: u8 = 1 << 2;
/// Network function "application", and the commands that read and set what interrupts (sections 22.2
/// and 22.1): responses do with the lowest bit.
const APPLICATION_REQUEST: u8 = 0x06 << 2;
const GET_GLOBAL_ENABLES: u8 = 0x2f;
const SET_GLOBAL_ENABLES: u8 = 0x2e;
const RESPONSES_INTERRUPT: u8 = 1 << 0;
/// Looks at a BMC that is set up while the machine boots; it goes on later if they don't suffice.
const BOOT_LOOKS: u32 = 100;
/// Network function and command of the protocol by which the BMC shows its flash through a window.
pub const HIOMAP_FUNCTION: u8 = 0x3a << 2;
pub const HIOMAP_COMMAND: u8 = 0x5a;
/// Completion code: the BMC didn't answer in time.
const TIMED_OUT: u8 = 0xc3;
/// How long a request may take before the BMC counts as dead: 10 s.
const PATIENCE_TB: u64 = 10 * hcalls::trace::TB_HZ;
fn bt(machine: &Machine, bus: &Bus) -> Option<Bt> {
    Some(Bt::new(bus.lpc?, machine.lpc?.bt_port?))
}

/// A number for a request, which its response has, too: so that a late one isn't taken for another's.
fn next_sequence() -> u8 {
    static LAST: AtomicU8 = AtomicU8::new(0);
    LAST.fetch_add(1, Relaxed).wrapping_add(1)
}

/// A message between host and BMC.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Network function and LUN.
    pub function: u8,
    pub command: u8,
    data: [u8; MESSAGE_BYTES],
    len: usize,
}

impl Message {
    /// `None`: there are more data than the interface takes.
    #[must_use]
    pub fn new(function: u8, command: u8, data: &[u8]) -> Option<Self> {
        let mut message = Self {
            function,
            command,
            data: [0; MESSAGE_BYTES],
            len: data.len(),
        };
        // Function, sequence and command go along.
        if data.len() > MESSAGE_BYTES - 3 {
            return None;
        }
        message.data[..data.len()].copy_from_slice(data);
        Some(message)
    }

    /// A request's parameters; a response's completion code and parameters.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data[..self.len]
    }
}

/// Who asks, each with a mailbox.
struct Mailboxes {
    /// And the firmware, until it has set up interrupts.
    host: Mailbox,
    flash: Mailbox,
}

/// A request that is under way, if there is one.
enum Mailbox {
    Empty,
    Waiting {
        request: Message,
        /// The firmware's own, which sets up interrupts.
        own: bool,
        /// With which sequence number.
        sent: Option<u8>,
        since_tb: u64,
    },
    Answered(Message),
}

static MAILBOXES: Lock<Mailboxes> = Lock::new(Mailboxes {
    host: Mailbox::Empty,
    flash: Mailbox::Empty,
});

/// A message of a host's may have moved the window to the flash.
static WINDOW_MOVED: AtomicBool = AtomicBool::new(false);

/// Why a message isn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoBmc,
    /// Another is under way.
    Busy,
}

impl Mailbox {
    fn waiting(request: Message, own: bool, since_tb: u64) -> Self {
        Mailbox::Waiting {
            request,
            own,
            sent: None,
            since_tb,
        }
    }

    /// A request of the host's is under way.
    fn waits_for_host(&self) -> bool {
        matches!(self, Mailbox::Waiting { own: false, .. })
    }

    /// Puts a request of the host's in, unless another is under way. A response that nobody has fetched is
    /// dropped: who asks again has given it up, or was another host.
    fn put(&mut self, request: Message, now_tb: u64) -> Result<(), Refusal> {
        if let Mailbox::Waiting { .. } = self {
            return Err(Refusal::Busy);
        }
        *self = Self::waiting(request, false, now_tb);
        Ok(())
    }

    /// What a host has left behind is nobody's. Its answer, should it come, has a number that no later
    /// request has.
    fn forget_hosts(&mut self) {
        match self {
            Mailbox::Waiting { own: true, .. } => {}
            _ => *self = Mailbox::Empty,
        }
    }
}

/// Sends a message of the host's. Its response is for [`look`] and [`receive`].
///
/// # Errors
/// See [`Refusal`].
pub fn send(machine: &Machine, request: Message, now_tb: u64) -> Result<(), Refusal> {
    if !machine.has_bmc() {
        return Err(Refusal::NoBmc);
    }
    let mut boxes = MAILBOXES.lock();
    // What is under way may be over by now, though nobody has looked. If it is the host's, it hasn't
    // had a chance to fetch the response, which its next request will drop.
    let asked_before = boxes.host.waits_for_host();
    proceed(machine, &mut boxes, now_tb);
    if asked_before {
        return Err(Refusal::Busy);
    }
    boxes.host.put(request, now_tb)?;
    proceed(machine, &mut boxes, now_tb);
    Ok(())
}

/// Another host begins: what the last one has asked for is forgotten.
pub fn forget_hosts() {
    MAILBOXES.lock().host.forget_hosts();
}

/// Goes on with a message that is under way; whether there is a response to fetch.
pub fn look(machine: &Machine, now_tb: u64) -> bool {
    let mut boxes = MAILBOXES.lock();
    proceed(machine, &mut boxes, now_tb);
    matches!(boxes.host, Mailbox::Answered(_))
}

/// Asks the BMC about its flash, or looks for the answer to what was asked before. `None`: it isn't there yet. One
/// that takes too long is an answer that says so.
pub fn ask(machine: &Machine, request: &Message, now_tb: u64) -> Option<Message> {
    let mut boxes = MAILBOXES.lock();
    if let Mailbox::Empty = boxes.flash {
        boxes.flash = Mailbox::waiting(*request, false, now_tb);
    }
    proceed(machine, &mut boxes, now_tb);
    let Mailbox::Answered(answer) = boxes.flash else {
        return None;
    };
    boxes.flash = Mailbox::Empty;
    Some(answer)
}

/// Whether the BMC has an event to tell of. A bus that fails has none.
pub fn has_event(machine: &Machine) -> bool {
    let bus = bus::lock();
    bt(machine, &bus).is_some_and(|bt| bt.has_event().unwrap_or(false))
}

/// Whether a host has sent a message since the last look that may have moved the window to the flash.
pub fn has_moved_window() -> bool {
    WINDOW_MOVED.load(Relaxed) && WINDOW_MOVED.swap(false, Relaxed)
}

/// Fetches the response, if `fits` says so.
pub fn receive(fits: impl FnOnce(&Message) -> bool) -> Option<Message> {
    let mut boxes = MAILBOXES.lock();
    let Mailbox::Answered(response) = boxes.host else {
        return None;
    };
    if fits(&response) {
        boxes.host = Mailbox::Empty;
    }
    Some(response)
}

/// Has responses interrupt: at the interface, and by two requests of the firmware's own to the BMC.
pub fn enable_interrupts(machine: &Machine, now_tb: u64) {
    let enabled = match bt(machine, &bus::lock()) {
        Some(bt) => bt.interrupt().is_ok(),
        None => false,
    };
    let request = Message::new(APPLICATION_REQUEST, GET_GLOBAL_ENABLES, &[]);
    let Some(request) = request.filter(|_| enabled) else {
        return;
    };
    let mut boxes = MAILBOXES.lock();
    boxes.host = own(request, now_tb);
    for _ in 0..BOOT_LOOKS {
        proceed(machine, &mut boxes, now_tb);
        if matches!(boxes.host, Mailbox::Empty) {
            break;
        }
    }
}

fn own(request: Message, since_tb: u64) -> Mailbox {
    Mailbox::waiting(request, true, since_tb)
}

/// What follows a response to a request of the firmware's own. A BMC that refuses is polled.
fn next_of_own(response: &Message, now_tb: u64) -> Mailbox {
    match (response.command, response.data()) {
        (GET_GLOBAL_ENABLES, &[0, enables, ..]) => {
            let enables = [enables | RESPONSES_INTERRUPT];
            match Message::new(APPLICATION_REQUEST, SET_GLOBAL_ENABLES, &enables) {
                Some(request) => own(request, now_tb),
                None => Mailbox::Empty,
            }
        }
        _ => Mailbox::Empty,
    }
}

/// Fetches a response, sends what is waiting, and gives up what takes too long.
fn proceed(machine: &Machine, boxes: &mut Mailboxes, now_tb: u64) {
    if !boxes.host.waits() && !boxes.flash.waits() {
        return;
    }
    let bus = bus::lock();
    let Some(bt) = bt(machine, &bus) else {
        return;
    };
    let is_asked = boxes.host.is_sent() || boxes.flash.is_sent();
    let received = is_asked.then(|| try_receive(&bt).unwrap_or(None)).flatten();
    let may_move = boxes.host.is_hiomap();
    boxes.host.proceed(received.as_ref(), now_tb);
    if may_move && !boxes.host.waits() {
        WINDOW_MOVED.store(true, Relaxed);
    }
    boxes.flash.proceed(received.as_ref(), now_tb);
    for mailbox in [&mut boxes.host, &mut boxes.flash] {
        // The interface takes one request after the other.
        if !is_asked && let Mailbox::Waiting { request, sent, .. } = mailbox {
            *sent = try_send(&bt, request).unwrap_or(None);
            break;
        }
    }
}

impl Mailbox {
    fn waits(&self) -> bool {
        matches!(self, Mailbox::Waiting { .. })
    }

    fn is_hiomap(&self) -> bool {
        // The lowest two bits of a network function are a logical unit.
        matches!(self, Mailbox::Waiting { request, .. }
            if request.function & !3 == HIOMAP_FUNCTION && request.command == HIOMAP_COMMAND)
    }

    fn is_sent(&self) -> bool {
        matches!(self, Mailbox::Waiting { sent: Some(_), .. })
    }

    /// Takes its response, or gives it up.
    fn proceed(&mut self, received: Option<&(u8, Message)>, now_tb: u64) {
        let Mailbox::Waiting {
            request,
            own,
            sent,
            since_tb,
        } = self
        else {
            return;
        };
        let (function, command) = (request.function | RESPONSE, request.command);
        let response = received.filter(|(answered, response)| {
            *sent == Some(*answered) && (response.function, response.command) == (function, command)
        });
        let too_late = now_tb.wrapping_sub(*since_tb) > PATIENCE_TB;
        let given_up = || too_late.then(|| Message::new(function, command, &[TIMED_OUT]))?;
        let Some(response) = response.map(|&(_, response)| response).or_else(given_up) else {
            return;
        };
        *self = match own {
            true => next_of_own(&response, now_tb),
            false => Mailbox::Answered(response),
        };
    }
}

/// The sequence number with which it was sent, if it was.
fn try_send(bt: &Bt, request: &Message) -> Result<Option<u8>, LpcError> {
    if !bt.is_ready()? {
        return Ok(None);
    }
    let sequence = next_sequence();
    let mut bytes = [0; MESSAGE_BYTES];
    bytes[..3].copy_from_slice(&[request.function, sequence, request.command]);
    let len = 3 + request.len;
    bytes[3..len].copy_from_slice(request.data());
    bt.send(&bytes[..len])?;
    Ok(Some(sequence))
}

/// A response with its sequence number; what is none is dropped.
fn try_receive(bt: &Bt) -> Result<Option<(u8, Message)>, LpcError> {
    if !bt.has_response()? {
        return Ok(None);
    }
    let mut bytes = [0; MESSAGE_BYTES];
    let len = bt.receive(&mut bytes)?.min(MESSAGE_BYTES);
    bt.interrupt()?;
    Ok(match bytes[..len] {
        [function, answered, command, ref data @ ..] => {
            Message::new(function, command, data).map(|message| (answered, message))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests;

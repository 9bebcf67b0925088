//! The BMC: power off and reboot, and messages of the host's, by IPMI over its BT interface.
//!
//! One request is under way at a time. The host's are answered when somebody looks: at its
//! interrupt, or when it polls.
use crate::cpu::lock::Lock;
use crate::lpc::LpcError;
use crate::lpc::bt::{Bt, MESSAGE_BYTES};
use crate::lpc::bus::{self, Bus};
use crate::tree::Machine;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use thiserror::Error;

/// Network function "chassis" on LUN 0, its response, and the command "chassis control" (IPMI
/// specification v2.0, section 28.3).
const CHASSIS_REQUEST: u8 = 0x00 << 2;
const CHASSIS_RESPONSE: u8 = 0x01 << 2;
const CHASSIS_CONTROL: u8 = 0x02;
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
/// Completion code: the BMC didn't answer in time.
const TIMED_OUT: u8 = 0xc3;
/// Completion codes that say "not now" (IPMI specification v2.0, table 5-2): node busy, timeout,
/// duplicated request, repository or firmware being updated, initialisation under way.
const PASSING: [u8; 6] = [0xc0, TIMED_OUT, 0xcf, 0xd0, 0xd1, 0xd2];
/// How long to leave a BMC alone that has said so: 0.1 s.
const RETRY_TB: u64 = 51_200_000;

/// How long a request may take before the BMC counts as dead: 10 s.
const PATIENCE_TB: u64 = 10 * hcalls::trace::TB_HZ;
/// A response: network function, sequence, command, completion code.
const HEADER_LEN: usize = 4;

/// What the BMC is asked to do with the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Power {
    Off = 0x00,
    /// Reset without taking the power away. (QEMU's BMC refuses a power cycle, 0x02.)
    Reset = 0x03,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BmcError {
    #[error("{0}")]
    Lpc(#[from] LpcError),
    #[error("BMC is not ready for a request: control {0:#04x}")]
    Busy(u8),
    #[error("BMC does not answer: control {0:#04x}")]
    Silent(u8),
    #[error("BMC does not answer what it was asked: {0:02x?}")]
    Answer([u8; HEADER_LEN]),
    #[error("BMC refuses: completion code {0:#04x}")]
    Refused(u8),
}

/// Asks the machine's BMC. False if there is none. The machine goes on for a while after an
/// answer of true, so the caller should stop its threads and wait. `now_tb` is the time base.
///
/// # Errors
/// The BMC doesn't answer or refuses.
pub fn power(machine: &Machine, wanted: Power, now_tb: fn() -> u64) -> Result<bool, BmcError> {
    // The last thing that this machine does: a lock that is never given back doesn't keep it.
    // SAFETY: nobody goes on with the bus.
    let bus = unsafe { bus::lock_or_break(now_tb) };
    match bt(machine, &bus) {
        Some(bt) => chassis_control(&bt, wanted, now_tb).map(|()| true),
        None => Ok(false),
    }
}

fn bt(machine: &Machine, bus: &Bus) -> Option<Bt> {
    Some(Bt::new(bus.lpc?, machine.lpc?.bt_port?))
}

/// Asks until it is done, refused for good, or the time is up: nobody can repeat this.
fn chassis_control(bt: &Bt, wanted: Power, now_tb: fn() -> u64) -> Result<(), BmcError> {
    let limit_tb = now_tb().wrapping_add(PATIENCE_TB);
    let is_over = || now_tb().wrapping_sub(limit_tb) as i64 >= 0;
    loop {
        let code = ask_once(bt, wanted, now_tb)?;
        if let Some(verdict) = verdict(code, is_over()) {
            return verdict;
        }
        pause(now_tb);
    }
}

/// What a completion code comes to; nothing if it is to be asked once more.
fn verdict(code: u8, is_over: bool) -> Option<Result<(), BmcError>> {
    match code {
        0 => Some(Ok(())),
        _ if PASSING.contains(&code) && !is_over => None,
        _ => Some(Err(BmcError::Refused(code))),
    }
}

fn pause(now_tb: fn() -> u64) {
    let until_tb = now_tb().wrapping_add(RETRY_TB);
    while (now_tb().wrapping_sub(until_tb) as i64) < 0 {}
}

/// The completion code. Late answers to what was asked before are dropped.
fn ask_once(bt: &Bt, wanted: Power, now_tb: fn() -> u64) -> Result<u8, BmcError> {
    let sequence = next_sequence();
    wait(bt, now_tb, |bt| bt.is_ready())?.map_err(BmcError::Busy)?;
    bt.send(&[CHASSIS_REQUEST, sequence, CHASSIS_CONTROL, wanted as u8])?;
    let limit_tb = now_tb().wrapping_add(PATIENCE_TB);
    loop {
        wait(bt, now_tb, |bt| bt.has_response())?.map_err(BmcError::Silent)?;
        let mut response = [0; HEADER_LEN];
        let len = bt.receive(&mut response)?;
        match response {
            [CHASSIS_RESPONSE, answered, CHASSIS_CONTROL, code]
                if len >= HEADER_LEN && answered == sequence =>
            {
                return Ok(code);
            }
            other if now_tb().wrapping_sub(limit_tb) as i64 >= 0 => {
                return Err(BmcError::Answer(other));
            }
            _ => {}
        }
    }
}

/// A number for a request, which its response has, too: so that a late one isn't taken for another's.
fn next_sequence() -> u8 {
    static LAST: AtomicU8 = AtomicU8::new(0);
    LAST.fetch_add(1, Relaxed).wrapping_add(1)
}

/// Waits for a state; the inner error is what CONTROL was at last.
fn wait(
    bt: &Bt,
    now_tb: fn() -> u64,
    is_reached: impl Fn(&Bt) -> Result<bool, LpcError>,
) -> Result<Result<(), u8>, LpcError> {
    let limit_tb = now_tb() + PATIENCE_TB;
    while now_tb() < limit_tb {
        if is_reached(bt)? {
            return Ok(Ok(()));
        }
    }
    bt.control().map(Err)
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

/// The request that is under way, if there is one.
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

static MAILBOX: Lock<Mailbox> = Lock::new(Mailbox::Empty);

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
    let mut mailbox = MAILBOX.lock();
    // What is under way may be over by now, though nobody has looked. If it is the host's, it hasn't
    // had a chance to fetch the response, which its next request will drop.
    let asked_before = mailbox.waits_for_host();
    proceed(machine, &mut mailbox, now_tb);
    if asked_before {
        return Err(Refusal::Busy);
    }
    mailbox.put(request, now_tb)?;
    proceed(machine, &mut mailbox, now_tb);
    Ok(())
}

/// Another host begins: what the last one has asked for is forgotten.
pub fn forget_hosts() {
    MAILBOX.lock().forget_hosts();
}

/// Goes on with a message that is under way; whether there is a response to fetch.
pub fn look(machine: &Machine, now_tb: u64) -> bool {
    let mut mailbox = MAILBOX.lock();
    proceed(machine, &mut mailbox, now_tb);
    matches!(*mailbox, Mailbox::Answered(_))
}

/// Fetches the response, if `fits` says so.
pub fn receive(fits: impl FnOnce(&Message) -> bool) -> Option<Message> {
    let mut mailbox = MAILBOX.lock();
    let Mailbox::Answered(response) = *mailbox else {
        return None;
    };
    if fits(&response) {
        *mailbox = Mailbox::Empty;
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
    let mut mailbox = MAILBOX.lock();
    *mailbox = own(request, now_tb);
    for _ in 0..BOOT_LOOKS {
        proceed(machine, &mut mailbox, now_tb);
        if matches!(*mailbox, Mailbox::Empty) {
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

/// Sends what is waiting, fetches its response, or gives it up.
fn proceed(machine: &Machine, mailbox: &mut Mailbox, now_tb: u64) {
    let Mailbox::Waiting {
        request,
        own,
        sent,
        since_tb,
    } = mailbox
    else {
        return;
    };
    let bus = bus::lock();
    let Some(bt) = bt(machine, &bus) else {
        return;
    };
    let response = match *sent {
        None => {
            *sent = try_send(&bt, request).unwrap_or(None);
            None
        }
        Some(sequence) => try_receive(&bt, request, sequence).unwrap_or(None),
    };
    let too_late = now_tb.wrapping_sub(*since_tb) > PATIENCE_TB;
    let given_up = || {
        let (function, command) = (request.function | RESPONSE, request.command);
        too_late.then(|| Message::new(function, command, &[TIMED_OUT]))?
    };
    if let Some(response) = response.or_else(given_up) {
        *mailbox = match own {
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

/// The response to `request`; others are dropped.
fn try_receive(bt: &Bt, request: &Message, sequence: u8) -> Result<Option<Message>, LpcError> {
    if !bt.has_response()? {
        return Ok(None);
    }
    let mut bytes = [0; MESSAGE_BYTES];
    let len = bt.receive(&mut bytes)?.min(MESSAGE_BYTES);
    bt.interrupt()?;
    Ok(match bytes[..len] {
        [function, answered, command, ref data @ ..]
            if function == request.function | RESPONSE
                && answered == sequence
                && command == request.command =>
        {
            Message::new(function, command, data)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests;

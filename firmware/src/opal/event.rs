//! What the host should know of: event bits, and the interrupt that tells of new ones.
//!
//! An event bit is a level: it is set for as long as there is something to fetch. Whatever the
//! firmware has to do now and then is done when a host asks for events, or tells of an interrupt.
use super::host_memory::store;
use super::{event_bits, ipmi, message};
use crate::smt::exported;
use hcalls::Status;
use platform::chip::psi::{self, MASKED};
use platform::lpc::console;
use skiboot_compat::console::{EVENT_CONSOLE_INPUT, EVENT_MESSAGE};

/// Looks after the devices and answers all events.
fn look() -> u64 {
    event_bits::update(EVENT_CONSOLE_INPUT, console::has_input());
    event_bits::update(EVENT_MESSAGE, message::is_pending());
    ipmi::look();
    exported::look();
    event_bits::all()
}

/// OPAL_POLL_EVENTS: address of an event mask, or 0.
pub fn poll(events_at: u64) -> Status {
    let events = look();
    match events_at == 0 || store(events_at, events.to_be_bytes()).is_some() {
        true => Status::Success,
        false => Status::Parameter,
    }
}

/// OPAL_HANDLE_INTERRUPT: interrupt, address of an event mask or 0. An interrupt that stays on
/// and has nobody who could end it is masked.
pub fn handle_interrupt(isn: u64, events_at: u64) -> Status {
    let Some(source) = psi::source(isn) else {
        return Status::Parameter;
    };
    if source != psi::EXTERNAL
        && let Some(bridge) = super::xive::bridge()
    {
        let mut xive = bridge.xive(source);
        if xive.priority != MASKED {
            xive.priority = MASKED;
            bridge.set_xive(source, xive);
            log::info!("interrupt {isn:#x} is masked: nobody knows it");
        }
    }
    poll(events_at)
}

//! What the host should know of: event bits, and the interrupt that tells of new ones.
//!
//! An event bit is a level: it is set for as long as there is something to fetch. Whatever the
//! firmware has to do now and then is done when a host asks for events, or tells of an interrupt.
use super::answer::{Answer, DONE};
use super::host_memory::store;
use super::{event_bits, flash, ipmi, message};
use crate::smt::vcore_table;
use platform::chip::interrupts::{self, Device, MASKED};
use platform::chip::psi;
use platform::lpc::console;
use skiboot_compat::console::{EVENT_CONSOLE_INPUT, EVENT_MESSAGE};
use skiboot_compat::status::Status;

/// Looks after the devices and answers all events.
fn look() -> u64 {
    event_bits::update(EVENT_CONSOLE_INPUT, console::has_input());
    flash::look();
    // Linux asks again at once while this is set, which brings flash on.
    event_bits::update(EVENT_MESSAGE, message::is_pending() || flash::is_busy());
    ipmi::look();
    vcore_table::look();
    event_bits::all()
}

/// OPAL_POLL_EVENTS: address of an event mask, or 0.
pub fn poll(events_at: u64) -> Answer {
    let events = look();
    if events_at != 0 {
        store(events_at, events.to_be_bytes())?;
    }
    DONE
}

/// OPAL_HANDLE_INTERRUPT: interrupt, address of an event mask or 0. An interrupt that stays on
/// and has nobody who could end it is masked.
pub fn handle_interrupt(isn: u64, events_at: u64) -> Answer {
    let source = interrupts::find(isn).ok_or(Status::Parameter)?;
    let Device::Psi(_) = source.device else {
        // Those of PCI devices are their drivers'.
        return Err(Status::Parameter);
    };
    if source.number != psi::EXTERNAL {
        let mut route = source.route();
        if route.priority != MASKED {
            route.priority = MASKED;
            source.set_route(route);
            log::info!("interrupt {isn:#x} is masked: nobody knows it");
        }
    }
    poll(events_at)
}

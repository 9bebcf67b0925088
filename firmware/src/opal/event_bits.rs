//! The bits of OPAL's events. Each is a level: it is set for as long as there is something to fetch.
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

static EVENTS: AtomicU64 = AtomicU64::new(0);

/// Sets or clears an event.
pub fn update(event: u64, on: bool) {
    match on {
        true => EVENTS.fetch_or(event, Relaxed),
        false => EVENTS.fetch_and(!event, Relaxed),
    };
}

/// A host begins: it finds the events that are there still.
pub fn forget() {
    EVENTS.store(0, Relaxed);
}

/// All that are set.
pub fn all() -> u64 {
    EVENTS.load(Relaxed)
}

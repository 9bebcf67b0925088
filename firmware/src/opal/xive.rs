//! Whom an interrupt goes to: GET_XIVE and SET_XIVE.
use super::host_memory::{store, stored};
use crate::smt::cores;
use hcalls::Status;
use platform::chip::psi::{self, Psi, Xive};
use spin::Once;

static BRIDGE: Once<Psi> = Once::new();

/// The bridge with the machine's interrupts, if there is one.
pub fn bridge() -> Option<&'static Psi> {
    BRIDGE.get()
}

/// From now on the host can have the bridge's interrupts.
pub fn init(bridge: Psi) {
    BRIDGE.call_once(|| bridge);
}

/// OPAL_SET_XIVE: interrupt, server number times four, priority. A thread that naps for the
/// firmware gets none: it would wake in the host's vectors.
pub fn set(isn: u64, server: u64, priority: u64) -> Status {
    let (Some(source), Some(bridge)) = (psi::source(isn), bridge()) else {
        return Status::Parameter;
    };
    let (Ok(server), Ok(priority)) = (u16::try_from(server), u8::try_from(priority)) else {
        return Status::Parameter;
    };
    if priority != psi::MASKED && !cores::is_hosts(u32::from(server >> 2)) {
        return Status::Parameter;
    }
    bridge.set_xive(source, Xive { server, priority });
    Status::Success
}

/// OPAL_GET_XIVE: interrupt, addresses of server number times four (two bytes) and priority.
pub fn get(isn: u64, server_at: u64, priority_at: u64) -> Status {
    let (Some(source), Some(bridge)) = (psi::source(isn), bridge()) else {
        return Status::Parameter;
    };
    let xive = bridge.xive(source);
    stored(
        store(server_at, xive.server.to_be_bytes())
            .and_then(|()| store(priority_at, [xive.priority])),
    )
}

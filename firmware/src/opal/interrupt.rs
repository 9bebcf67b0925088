//! Whom an interrupt goes to: GET_XIVE and SET_XIVE, for every source in [`platform::chip::interrupts`].
use super::answer::{Answer, DONE};
use super::host_memory::store;
use crate::smt::cores;
use platform::chip::interrupts::{self, MASKED, Route, Source};
use platform::cpu::xics;
use skiboot_compat::status::Status;

fn source(isn: u64) -> Result<Source, Status> {
    interrupts::find(isn).ok_or(Status::Parameter)
}

/// OPAL_SET_XIVE: interrupt, server number times four, priority. A thread that naps for the
/// firmware gets none: it would wake in the host's vectors. Priority 0 is the firmware's own.
pub fn set(isn: u64, server: u64, priority: u64) -> Answer {
    let source = source(isn)?;
    let server = u16::try_from(server).map_err(|_| Status::Parameter)?;
    let priority = u8::try_from(priority).map_err(|_| Status::Parameter)?;
    if priority == xics::FIRMWARE_PRIORITY {
        return Err(Status::Parameter);
    }
    if priority != MASKED && !cores::is_hosts(u32::from(server >> 2)) {
        return Err(Status::Parameter);
    }
    source.set_route(Route { server, priority });
    DONE
}

/// OPAL_GET_XIVE: interrupt, addresses of server number times four (two bytes) and priority.
pub fn get(isn: u64, server_at: u64, priority_at: u64) -> Answer {
    let route = source(isn)?.route();
    store(server_at, route.server.to_be_bytes())?;
    store(priority_at, [route.priority])?;
    DONE
}

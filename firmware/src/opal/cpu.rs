//! OPAL's START_CPU, QUERY_CPU_STATUS and RETURN_CPU.
use super::answer::{Answer, DONE};
use super::host_memory::store;
use crate::call_faults::leaves_no_lock;
use crate::smt::check;
use crate::smt::cores::{self, Core};
use crate::smt::host_threads::{START, park};
use crate::trace::{self, Whom};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use hcalls::run::CoreState;
use hcalls::trace::Event;
use platform::cpu::thread;
use skiboot_compat::calls::Token;
use skiboot_compat::cpu::{THREAD_INACTIVE, THREAD_STARTED, THREAD_UNAVAILABLE};
use skiboot_compat::status::Status;
use vcore::full_barrier;

/// The core and thread with that server number.
#[inline(always)]
fn thread_of(server: u64) -> Result<(&'static Core, usize), Status> {
    let thread = thread::with_pir(server).ok_or(Status::Parameter)?;
    Ok((cores::of(thread), thread.ptid()))
}

/// OPAL_START_CPU: server number, real address. Refused on a secondary that the firmware holds.
pub fn start(server: u64, address: u64) -> Answer {
    let (core, ptid) = thread_of(server)?;
    let pc = check::host_ram(address, 4, 4).ok_or(Status::Parameter)?;
    if ptid != 0 && core.state() != CoreState::Released {
        return Err(Status::WrongState);
    }
    let me = 1 << ptid;
    if core.holders.with_host.fetch_or(me, Acquire) & me != 0 {
        return Err(Status::WrongState);
    }
    // `take_back` looks for the bit once it has said that it claims: one of the two sees the other.
    full_barrier();
    let claimed = core.holders.claiming.load(Relaxed) || core.state() != CoreState::Released;
    if ptid != 0 && claimed {
        core.holders.with_host.fetch_and(!me, Release);
        return Err(Status::WrongState);
    }
    core.holders.host_starts[ptid].store(pc | START, Release);
    // Thread 0 of a held core naps under the firmware's HRMOR; threads of others are parked, awake.
    if core.state() != CoreState::Released {
        core.send_ipi(ptid);
    }
    DONE
}

/// OPAL_RETURN_CPU: the calling thread comes back to the firmware.
pub fn give_back() -> Answer {
    let thread = thread::current();
    let core = cores::of(thread);
    let whole_core = core.state() != CoreState::Released;
    thread::take_from_host(whole_core);
    if whole_core {
        core.holders.ends_for_host();
    }
    core.holders
        .with_host
        .fetch_and(!(1 << thread.ptid()), Release);
    leaves_no_lock(Token::ReturnCpu);
    if !whole_core {
        park(core, thread);
    }
    trace::note(Event::Nap, || (Whom::NOBODY, 0));
    thread::idle()
}

/// OPAL_QUERY_CPU_STATUS: server number, address of a byte.
pub fn query_status(server: u64, status_at: u64) -> Answer {
    let (core, ptid) = thread_of(server)?;
    let started = core.holders.with_host.load(Acquire) & 1 << ptid != 0;
    let startable = ptid == 0 || core.state() == CoreState::Released;
    let status = match (started, startable) {
        (true, _) => THREAD_STARTED,
        (false, true) => THREAD_INACTIVE,
        (false, false) => THREAD_UNAVAILABLE,
    };
    store(status_at, [status])?;
    DONE
}

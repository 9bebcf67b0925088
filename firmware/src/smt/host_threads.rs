//! Which threads the host has: how it begins, and how a thread waits for it and goes to it.
use super::cores::{self, Core};
use crate::trace::{self, Whom};
use alloc::vec::Vec;
use asm::op;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use hcalls::run::CoreState;
use hcalls::trace::Event;
use platform::cpu::thread::{self, HostStart, Thread};
use spin::Once;
use vcore::Slots;

/// How long the boot waits for all threads to be parked: 10 s.
const BOOT_PATIENCE_TB: u64 = 10 * hcalls::trace::TB_HZ;

/// Set in a host start, so that address 0 is one, too.
pub const START: u64 = 1 << 63;
/// The host start of [`FIRST_START`].
const FIRST: u64 = u64::MAX;
/// How the host begins, on its first thread.
static FIRST_START: Once<HostStart> = Once::new();

/// The core on whose thread 0 the host begins: the machine's first, so that it finds the same machine
/// whichever thread was elected at reset. Only if that core is fenced is it the boot thread's.
fn hosts_first_core() -> &'static Core {
    let first = &cores::all()[0];
    match first.state() {
        CoreState::Fenced => cores::of(thread::current()),
        CoreState::Held | CoreState::Released => first,
    }
}

/// The PIR of the host's first thread; for the boot thread to ask.
pub fn hosts_first_pir() -> u32 {
    hosts_first_core().pir()
}

/// The boot thread's last: the host begins. Unless that's on the boot thread itself, this one is then
/// as if the host had returned it.
pub fn begin_host(start: HostStart) -> ! {
    let (me, first) = (thread::current(), hosts_first_core());
    let mine = cores::of(me);
    first.holders.with_host.fetch_or(1, Release);
    if core::ptr::eq(mine, first) {
        thread::give_to_host(&start, first.holders.begins_for_host())
    }
    FIRST_START.call_once(|| start);
    first.holders.host_starts[0].store(FIRST, Release);
    if first.state() == CoreState::Held {
        first.icp(0).send_ipi();
    }
    if mine.state() == CoreState::Released {
        park(mine, me);
    }
    thread::idle()
}

/// Gives the calling thread to the host, if the host has asked for it.
pub fn start_if_asked(core: &Core, thread: &Thread) {
    let start = core.holders.host_starts[thread.ptid()].swap(0, Acquire);
    if start == FIRST {
        thread::give_to_host(FIRST_START.wait(), core.holders.begins_for_host())
    }
    if start & START != 0 {
        trace::note(Event::ToHost, || (Whom::NOBODY, 0));
        let args = [u64::from(thread.pir), 0, 0, 0, 0, 0, 0];
        let start = HostStart {
            pc: start & !START,
            args,
        };
        thread::give_to_host(&start, core.holders.begins_for_host())
    }
}

/// A thread of a core that the host has: awake, since a nap would end in the host's vectors.
pub fn park(core: &Core, thread: &Thread) {
    let me = 1 << thread.ptid();
    core.holders.parked.fetch_or(me, Release);
    while core.holders.parks.load(Acquire) {
        op::relax();
        if core.holders.host_starts[thread.ptid()].load(Relaxed) != 0 {
            op::unrelax();
            unpark(core, thread);
            start_if_asked(core, thread);
        }
    }
    op::unrelax();
    unpark(core, thread);
}

/// If something else has woken the thread before, the IPI that called it here has come meanwhile. It must
/// reach neither its nap, which may be under the host's vectors, nor the host.
fn unpark(core: &Core, thread: &Thread) {
    thread.icp.take_ipi();
    core.holders
        .parked
        .fetch_and(!(1 << thread.ptid()), Release);
}

/// Waits until `done`, but not for ever.
pub fn wait_until(patience_tb: u64, done: impl Fn() -> bool) -> bool {
    let limit_tb = op::time_tb() + patience_tb;
    while !done() && op::time_tb() < limit_tb {
        op::relax();
    }
    op::unrelax();
    done()
}

/// Gives every thread of the machine to the host, which is about to be entered on the calling
/// one: all others leave their nap, under the firmware's vectors, and wait for OPAL_START_CPU awake.
pub fn release_all(me: &Thread) {
    let mine = |core: &Core| core::ptr::eq(core, cores::of(me));
    let others = |core: &Core| match mine(core) {
        true => core.thread_mask() & !(1 << me.ptid()),
        false => core.thread_mask(),
    };
    let held = |core: &&Core| core.state() == CoreState::Held;
    let called: Vec<&Core> = cores::all().iter().filter(held).collect();
    for core in &called {
        core.set_state(CoreState::Released);
        core.holders.parks.store(true, Release);
        Slots(others(core)).for_each(|ptid| core.send_ipi(ptid));
    }
    for core in called {
        let parked = || core.holders.parked.load(Acquire) == others(core);
        if !wait_until(BOOT_PATIENCE_TB, parked) {
            let missing = others(core) & !core.holders.parked.load(Acquire);
            core.call_off(missing);
            let pir = core.pir();
            log::error!("core {pir:#x}: threads {missing:#04x} don't come for the host");
        }
    }
}

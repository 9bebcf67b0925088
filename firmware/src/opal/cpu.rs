//! Who has which thread: OPAL's START_CPU, QUERY_CPU_STATUS and RETURN_CPU, and CORE_CLAIM.
use super::host_memory::store;
use crate::smt::calls::{Args, wrong};
use crate::smt::check;
use crate::smt::cores::{self, Core};
use crate::smt::kicked;
use crate::smt::objects::Vcore;
use crate::trace::{self, Whom};
use crate::vcore::{Slots, full_barrier};
use alloc::vec::Vec;
use asm::op;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use hcalls::Status;
use hcalls::run::{ClaimAction, CoreState};
use hcalls::trace::Event;
use platform::thread::{self, HostStart, Thread};
use platform::world;
use skiboot_compat::calls::Token;
use skiboot_compat::cpu::{THREAD_INACTIVE, THREAD_STARTED, THREAD_UNAVAILABLE};
use spin::Once;

/// How long CORE_CLAIM waits for threads to answer: 4 s. An emulator with more threads than
/// processors can take a good part of it.
const PATIENCE_TB: u64 = 4 * 512_000_000;
/// How long the boot waits for all threads to be parked: 10 s.
const BOOT_PATIENCE_TB: u64 = 10 * 512_000_000;

/// The core and thread with that server number.
fn thread_of(server: u64) -> Option<(&'static Core, usize)> {
    cores::all().iter().find_map(|core| {
        let ptid = server.wrapping_sub(u64::from(core.pir.load(Relaxed)));
        (ptid < u64::from(core.threads.load(Relaxed))).then_some((core, ptid as usize))
    })
}

/// OPAL_START_CPU: server number, real address. Refused on a secondary that the firmware holds.
pub fn start(server: u64, address: u64) -> Status {
    let Some((core, ptid)) = thread_of(server) else {
        return Status::Parameter;
    };
    let Some(pc) = check::host_ram(address, 4, 4) else {
        return Status::Parameter;
    };
    if ptid != 0 && core.state() != CoreState::Released {
        return Status::WrongState;
    }
    let me = 1 << ptid;
    if core.with_host.fetch_or(me, Acquire) & me != 0 {
        return Status::WrongState;
    }
    // `take_back` looks for the bit once it has said that it claims: one of the two sees the other.
    full_barrier();
    let claimed = core.claiming.load(Relaxed) != 0 || core.state() != CoreState::Released;
    if ptid != 0 && claimed {
        core.with_host.fetch_and(!me, Release);
        return Status::WrongState;
    }
    core.host_starts[ptid].store(pc | START, Release);
    // Thread 0 of a held core naps under the firmware's HRMOR; threads of others are parked, awake.
    if core.state() != CoreState::Released {
        core.send_ipi(ptid);
    }
    Status::Success
}

/// Set in a host start, so that address 0 is one, too.
const START: u64 = 1 << 63;
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
    hosts_first_core().pir.load(Relaxed)
}

/// The boot thread's last: the host begins. Unless that's on the boot thread itself, this one is then
/// as if the host had returned it.
pub fn begin_host(start: HostStart) -> ! {
    let (me, first) = (thread::current(), hosts_first_core());
    let mine = cores::of(me);
    first.with_host.fetch_or(1, Release);
    if core::ptr::eq(mine, first) {
        thread::give_to_host(&start, first.begins_for_host())
    }
    FIRST_START.call_once(|| start);
    first.host_starts[0].store(FIRST, Release);
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
    let start = core.host_starts[thread.ptid()].swap(0, Acquire);
    if start == FIRST {
        thread::give_to_host(FIRST_START.wait(), core.begins_for_host())
    }
    if start & START != 0 {
        trace::note(Event::ToHost, || (Whom::NOBODY, 0));
        let args = [u64::from(thread.pir), 0, 0, 0, 0, 0, 0];
        let start = HostStart {
            pc: start & !START,
            args,
        };
        thread::give_to_host(&start, core.begins_for_host())
    }
}

/// A thread of a core that the host has: awake, since a nap would end in the host's vectors.
pub fn park(core: &Core, thread: &Thread) {
    let me = 1 << thread.ptid();
    core.parked.fetch_or(me, Release);
    while core.parks.load(Acquire) != 0 {
        op::relax();
        if core.host_starts[thread.ptid()].load(Relaxed) != 0 {
            op::unrelax();
            core.parked.fetch_and(!me, Release);
            start_if_asked(core, thread);
        }
    }
    op::unrelax();
    core.parked.fetch_and(!me, Release);
}

/// OPAL_RETURN_CPU: the calling thread comes back to the firmware.
pub fn give_back() -> Status {
    let thread = thread::current();
    let core = cores::of(thread);
    let whole_core = core.state() != CoreState::Released;
    thread::take_from_host(whole_core);
    if whole_core {
        core.ends_for_host();
    }
    core.with_host.fetch_and(!(1 << thread.ptid()), Release);
    super::leaves_no_lock(Token::ReturnCpu);
    if !whole_core {
        park(core, thread);
    }
    trace::note(Event::Nap, || (Whom::NOBODY, 0));
    thread::idle()
}

/// OPAL_QUERY_CPU_STATUS: server number, address of a byte.
pub fn query_status(server: u64, status_at: u64) -> Status {
    let Some((core, ptid)) = thread_of(server) else {
        return Status::Parameter;
    };
    let started = core.with_host.load(Acquire) & 1 << ptid != 0;
    let startable = ptid == 0 || core.state() == CoreState::Released;
    let status = match (started, startable) {
        (true, _) => THREAD_STARTED,
        (false, true) => THREAD_INACTIVE,
        (false, false) => THREAD_UNAVAILABLE,
    };
    match store(status_at, [status]) {
        Some(()) => Status::Success,
        None => Status::Parameter,
    }
}

/// CORE_CLAIM: core's PIR, action → state, lost threads, and the vcore of the run that ends with a fence,
/// with its exited, did-not-run and ceded masks. Status may be asked from anywhere; claiming and
/// releasing is for the core's own thread 0.
pub fn claim(args: &mut Args) -> Status {
    let Some(core) = u32::try_from(args[0]).ok().and_then(cores::by_pir) else {
        return wrong(args, 1);
    };
    let Ok(action) = ClaimAction::try_from(args[1]) else {
        return wrong(args, 2);
    };
    let thread = thread::current();
    let own = core::ptr::eq(cores::of(thread), core) && thread.ptid() == 0;
    args[3] = 0;
    let status = match (action, core.state()) {
        (ClaimAction::Status, _)
        | (ClaimAction::Claim, CoreState::Held)
        | (ClaimAction::Release, CoreState::Released) => Status::Success,
        _ if !own => Status::WrongState,
        (ClaimAction::Release, CoreState::Held) => release(core),
        (ClaimAction::Release, CoreState::Fenced) => Status::WrongState,
        (ClaimAction::Claim, CoreState::Released) => take_back(core),
        (ClaimAction::Claim, CoreState::Fenced) => end_fence(core, args),
    };
    args[1] = core.state() as u64;
    status
}

/// Waits until `done`, but not for ever.
fn wait_until(patience_tb: u64, done: impl Fn() -> bool) -> bool {
    let limit_tb = op::time_tb() + patience_tb;
    while !done() && op::time_tb() < limit_tb {
        op::relax();
    }
    op::unrelax();
    done()
}

fn secondaries(core: &Core) -> u8 {
    core.thread_mask() & !1
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
        core.parks.store(1, Release);
        Slots(others(core)).for_each(|ptid| core.send_ipi(ptid));
    }
    for core in called {
        let parked = || core.parked.load(Acquire) == others(core);
        if !wait_until(BOOT_PATIENCE_TB, parked) {
            let missing = others(core) & !core.parked.load(Acquire);
            core.call_off(missing);
            let pir = core.pir.load(Relaxed);
            log::error!("core {pir:#x}: threads {missing:#04x} don't come for the host");
        }
    }
}

/// The secondaries leave their nap, under the firmware's vectors, and wait for the host awake. They
/// are the host's when all do: a thread that began to run it before would take its vectors along.
fn release(core: &Core) -> Status {
    let all = secondaries(core);
    core.parks.store(1, Release);
    // SAFETY: thread 0 of this core, whose siblings are the firmware's; all are awake afterwards,
    // or nap again.
    let answered = unsafe {
        world::with_firmware_vectors(|| {
            Slots(all).for_each(|ptid| core.send_ipi(ptid));
            let answered = wait_until(PATIENCE_TB, || core.parked.load(Acquire) == all);
            if !answered {
                core.call_off(all & !core.parked.load(Acquire));
                core.parks.store(0, Release);
                wait_until(PATIENCE_TB, || core.parked.load(Acquire) == 0);
            }
            answered
        })
    };
    if !answered {
        return Status::Hardware;
    }
    core.set_state(CoreState::Released);
    Status::Success
}

/// The secondaries go back to their nap; all must have been returned.
fn take_back(core: &Core) -> Status {
    let all = secondaries(core);
    core.claiming.store(1, Relaxed);
    full_barrier();
    let with_host = core.with_host.load(Acquire) & all != 0;
    let status = if with_host || core.parked.load(Acquire) != all {
        Status::Busy
    } else {
        core.forget_partitions();
        core.set_state(CoreState::Held);
        core.parks.store(0, Release);
        match wait_until(PATIENCE_TB, || core.parked.load(Acquire) == 0) {
            true => Status::Success,
            false => {
                core.set_state(CoreState::Fenced);
                Status::Partial
            }
        }
    };
    core.claiming.store(0, Release);
    status
}

/// Asks the threads that never came back once more (B31).
fn end_fence(core: &Core, args: &mut Args) -> Status {
    let owing = core.owing.load(Acquire);
    if owing == 0 {
        return Status::Hardware;
    }
    // SAFETY: the address was put there from a vcore of the static table.
    let vcore = unsafe { &*(owing as *const Vcore) };
    vcore.entry.request();
    // SAFETY: thread 0 of this core; threads that answer do so under the firmware's vectors.
    let back = unsafe {
        world::with_firmware_vectors(|| {
            world::expire_hdec();
            let lost = vcore.entry.snapshot().outstanding();
            Slots(lost & !1).for_each(|ptid| core.send_ipi(ptid));
            let back = wait_until(PATIENCE_TB, || vcore.entry.snapshot().outstanding() == 0);
            core.call_off(vcore.entry.snapshot().outstanding() & !1);
            back
        })
    };
    if !back {
        args[2] = u64::from(vcore.entry.snapshot().outstanding());
        return Status::Partial;
    }
    let told = core.fates.told();
    vcore.core.store(0, Relaxed);
    let kicked = kicked::end(vcore, core, told.exited(), told.ceded());
    args[3] = vcore.handle();
    args[4] = u64::from(told.exited() | kicked);
    args[5] = u64::from(told.did_not_run() & !kicked);
    args[6] = u64::from(told.ceded() & !kicked);
    core.owing.store(0, Relaxed);
    core.set_state(CoreState::Held);
    log::info!("core {:#x} is whole again", core.pir.load(Relaxed));
    Status::Success
}

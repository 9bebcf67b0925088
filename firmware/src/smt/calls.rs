//! Each call of [`hcalls`], from its arguments to its status. `args` are r3–r10; results replace
//! r4–r9. Every argument is checked before anything changes.
use super::check;
use super::cores::{self, Core};
use super::objects::{self, MAX_LPID, MAX_PARTITIONS, MAX_VCORES, MAX_VCORES_PER_PARTITION};
use super::objects::{PARTITIONS, Refusal, Vcore};
use crate::args::{Args, wrong};
use crate::trace::{self, Whom};
use crate::vcore::entry::Request;
use crate::vcore::roster::{Change, State};
use crate::vcore::{Mask, Slots, full_barrier, start};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, Release};
use hcalls::query::{self, Query};
use hcalls::run::{JOINED_SHIFT, KICK_GUEST, QUEUED_SHIFT, SET_COMPLETE, VcpuState};
use hcalls::stats::{StatsAction, VcoreStats};
use hcalls::trace::Event;
use hcalls::{MAX_THREADS, Status};
use platform::cpu::lock::LowPriority;
use platform::memory::real;
use spin::RelaxStrategy;
use zerocopy::big_endian::U64;

/// A run lasts at most as long as HDEC's 32 bits can count twice over; longer deadlines are legal.
const MAX_RUN_TB: u64 = u64::MAX >> 1;

/// SMT_QUERY: index → answer.
pub fn smt_query(args: &mut Args) -> Status {
    let Ok(index) = Query::try_from(args[0]) else {
        return wrong(args, 1);
    };
    let threads = check::threads_per_core() as u64;
    args[1] = match index {
        Query::Versions => u64::from(hcalls::VERSION) << 32 | u64::from(hcalls::VERSION),
        Query::Features => features(),
        Query::Threads => threads,
        Query::Widths => widths(threads),
        Query::PageBytes => hcalls::page::PAGE_BYTES as u64,
        Query::MaxPartitions => MAX_PARTITIONS as u64,
        Query::MaxVcores => MAX_VCORES as u64,
        Query::MaxVcpuId => MAX_VCORES_PER_PARTITION as u64 * threads,
        Query::MaxLpid => u64::from(MAX_LPID),
        Query::MaxRunTb => MAX_RUN_TB,
        Query::RealModeSizes => check::real_mode_sizes().fold(0, |sizes, (size, _)| sizes | size),
    };
    Status::Success
}

/// What this firmware can do, published in the tree as well.
pub fn features() -> u64 {
    query::FEATURE_RMOR
        | query::FEATURE_VRMA
        | query::FEATURE_LITTLE_ENDIAN
        | query::FEATURE_PTID_ALIGNED
        | query::FEATURE_EAGER
        | query::FEATURE_CEDE
        | query::FEATURE_STATS
        | trace_feature()
        | MITIGATIONS.load(Relaxed)
}

/// The trace needs memory that a machine of many threads may not have.
fn trace_feature() -> u64 {
    #[cfg(target_arch = "powerpc64")]
    let exists = trace::switch::exists();
    #[cfg(not(target_arch = "powerpc64"))]
    let exists = false;
    if exists { query::FEATURE_TRACE } else { 0 }
}

/// Feature bits of the mitigations that are on (L9).
static MITIGATIONS: AtomicU64 = AtomicU64::new(0);

/// Switches the mitigations on, for good.
///
/// # Safety
/// No thread is in a guest or on its way there.
#[cfg(target_arch = "powerpc64")]
pub unsafe fn mitigate() {
    // SAFETY: the caller's promise.
    unsafe { asm::mitigations::switch_on() }
    let on = query::FEATURE_L1D_FLUSH | query::FEATURE_LINK_STACK_FLUSH;
    MITIGATIONS.store(on, Relaxed);
}

/// Bit n for each width 2^n up to a core's threads.
pub fn widths(threads: u64) -> u64 {
    (2 << threads.trailing_zeros()) - 1
}

/// PARTITION_CREATE: address of a `PartitionConfig` → handle.
pub fn partition_create(args: &mut Args) -> Status {
    let settings = match check::partition(args[0]) {
        Ok(settings) => settings,
        Err(check::Refusal::Version) => return Status::Unsupported,
        Err(refusal) => {
            log::warn!("PARTITION_CREATE refused: {refusal:?}");
            return wrong(args, 1);
        }
    };
    match PARTITIONS.lock().create(settings) {
        Ok(handle) => {
            args[1] = handle;
            Status::Success
        }
        Err(Refusal::Full) => Status::Resource,
        Err(_) => Status::Busy,
    }
}

/// PARTITION_DESTROY: handle, or all ones for every partition.
pub fn partition_destroy(args: &mut Args) -> Status {
    let mut partitions = PARTITIONS.lock();
    let result = match args[0] {
        u64::MAX => partitions.destroy_all(),
        handle => partitions.destroy(handle),
    };
    match result {
        Ok(()) => Status::Success,
        Err(Refusal::Busy) => Status::Busy,
        Err(_) => wrong(args, 1),
    }
}

/// VCPU_CREATE: partition, vcpu id, page → vcore, slot.
pub fn vcpu_create(args: &mut Args) -> Status {
    let Some(page) = check::vcpu_page(args[2]) else {
        return wrong(args, 3);
    };
    match PARTITIONS.lock().create_vcpu(args[0], args[1], page) {
        Ok((vcore, slot)) => {
            args[1] = vcore;
            args[2] = slot as u64;
            Status::Success
        }
        Err(Refusal::NoSuch) => wrong(args, 1),
        Err(Refusal::PastLimit) => wrong(args, 2),
        Err(Refusal::Full) => Status::Resource,
        Err(Refusal::Taken | Refusal::Busy) => Status::Busy,
    }
}

/// VCPU_DESTROY: vcore, slot.
pub fn vcpu_destroy(args: &mut Args) -> Status {
    let Some(vcore) = objects::vcore(args[0]) else {
        return wrong(args, 1);
    };
    let slot = args[1];
    if slot >= MAX_THREADS as u64 || vcore.roster.snapshot().present() & 1 << slot == 0 {
        return wrong(args, 2);
    }
    match PARTITIONS.lock().destroy_vcpu(args[0], slot as usize) {
        Ok(()) => Status::Success,
        Err(Refusal::Busy) => Status::Busy,
        Err(_) => wrong(args, 1),
    }
}

/// VCPU_SET_STATE: vcore, slot mask, state → joined and queued masks, "the set is complete".
pub fn vcpu_set_state(args: &mut Args) -> Status {
    let Some(vcore) = objects::vcore(args[0]) else {
        return wrong(args, 1);
    };
    let mask = args[1];
    if mask == 0 || mask & !u64::from(vcore.roster.snapshot().present()) != 0 {
        return wrong(args, 2);
    }
    let state = match VcpuState::try_from(args[2]) {
        Ok(VcpuState::Runnable) => State::Runnable,
        Ok(VcpuState::Blocked) => State::Blocked,
        Ok(VcpuState::Busy) => State::Busy,
        Err(_) => return wrong(args, 3),
    };
    let Some(change) = vcore.roster.set_state(mask as Mask, state) else {
        return Status::Busy;
    };
    let joined = if change.running {
        join(vcore, &change)
    } else {
        0
    };
    let queued = change.queued & !joined;
    let complete = if change.complete { SET_COMPLETE } else { 0 };
    args[1] = u64::from(joined) << JOINED_SHIFT | u64::from(queued) << QUEUED_SHIFT | complete;
    Status::Success
}

/// Starts vcpus on free threads of the core that runs their vcore (B26); answers which. One that
/// was kicked before must not run (B12): the vcore comes out, and the run's end answers the kick.
fn join(vcore: &'static Vcore, change: &Change) -> Mask {
    let kicked = vcore.roster.snapshot().kicked() & change.queued;
    if kicked != 0 {
        bring_out(vcore);
    }
    let mut joined = 0;
    for slot in Slots(change.queued & !kicked) {
        if let Some(ptid) = reserve(vcore, change, slot) {
            start_joiner(vcore, slot, ptid);
            joined |= 1 << slot;
        }
    }
    vcore.roster.joined();
    joined
}

/// A thread of the running core for `slot`, or none.
fn reserve(vcore: &Vcore, change: &Change, slot: usize) -> Option<usize> {
    while !vcore.entry.is_open(change.generation) {
        LowPriority::relax();
    }
    // The core is written before the word is opened. It is 0 again if the run is over.
    let threads = cores::at(vcore.core.load(Relaxed)).map_or(0, Core::thread_mask);
    let aligned = vcore.rules.aligned.load(Relaxed) != 0;
    vcore.entry.reserve(aligned.then_some(slot), threads)
}

/// The thread is reserved; it gets its letter and its IPI. Thread 0 is the runner's, who looks
/// into its mailbox while it waits.
fn start_joiner(vcore: &'static Vcore, slot: usize, ptid: usize) {
    let core = running_on(vcore);
    let letter = core::ptr::from_ref(vcore) as u64 | slot as u64;
    core.seating.join(ptid, letter);
    trace::note(Event::Join, || {
        (Whom::vcpu(vcore.handle(), slot), ptid as u32)
    });
    if ptid != 0 {
        core.send_ipi(ptid);
    }
}

/// VCORE_KICK: vcore, slot mask (0 for all), cause → slots that left the queue at once, or, with
/// [`KICK_GUEST`], slots that are in no run.
pub fn vcore_kick(args: &mut Args) -> Status {
    let Some(vcore) = objects::vcore(args[0]) else {
        return wrong(args, 1);
    };
    let (mask, cause) = (args[1], args[2]);
    let present = vcore.roster.snapshot().present();
    if mask & !u64::from(present) != 0 {
        return wrong(args, 2);
    }
    let mask = if mask == 0 { present } else { mask as Mask };
    trace::note(Event::Kick, || {
        let cause = (cause as u32) << 8;
        (Whom::vcore(vcore.handle()), cause | u32::from(mask))
    });
    let told = match cause & KICK_GUEST {
        0 => kick_for_host(vcore, mask, cause),
        _ => Some(poke(vcore, mask)),
    };
    let Some(told) = told else {
        return wrong(args, 2);
    };
    vcore.counters.kicks.fetch_add(1, Relaxed);
    args[1] = u64::from(told);
    Status::Success
}

/// Answers who left the queue at once; none if a vcpu has gone.
fn kick_for_host(vcore: &Vcore, mask: Mask, cause: u64) -> Option<Mask> {
    // Before the kick: whoever answers it finds its cause.
    for slot in Slots(mask) {
        vcore.causes[slot].fetch_or(cause, Release);
    }
    let kick = vcore.roster.kick(mask)?;
    // Those are answered by this call; another's kick may wait already.
    for slot in Slots(kick.interrupted) {
        vcore.causes[slot].fetch_and(!cause, Relaxed);
    }
    if kick.running {
        bring_out(vcore);
    }
    Some(kick.interrupted)
}

/// Has those vcpus that are in a guest look for what waits for them (L5); answers who is in no run.
fn poke(vcore: &'static Vcore, mask: Mask) -> Mask {
    // A run that begins meanwhile either is found below, or its threads see what the host has left.
    full_barrier();
    let absent = Slots(mask).filter(|&slot| !poke_one(vcore, slot));
    absent.fold(0, |absent, slot| absent | 1 << slot)
}

/// False: the vcpu is in no run.
fn poke_one(vcore: &'static Vcore, slot: usize) -> bool {
    let letter = core::ptr::from_ref(vcore) as u64 | slot as u64;
    loop {
        let before = vcore.entry.snapshot();
        let core = cores::at(vcore.core.load(Relaxed)).filter(|_| before.outstanding() != 0);
        let ptid = core.and_then(|core| core.seating.find(letter));
        match (vcore.entry.poke(before, ptid), core) {
            (None, _) => LowPriority::relax(),
            (Some(Request::Wake(ptid)), Some(core)) => {
                core.send_ipi(ptid);
                return true;
            }
            (Some(request), _) => return request == Request::Noted,
        }
    }
}

/// Everybody out of a vcore, as if every vcpu were kicked.
pub fn bring_out_all(vcore: &Vcore) {
    if vcore.roster.kick(0).is_some_and(|kick| kick.running) {
        bring_out(vcore);
    }
}

/// Everybody out of a vcore whose roster says that a vcpu in the queue was kicked (B17): either
/// the run's word is open and is asked here, or the runner sees the kick itself.
fn bring_out(vcore: &Vcore) {
    if let Some(ptid) = start::bring_out(&vcore.entry) {
        running_on(vcore).send_ipi(ptid);
    }
}

/// The core that runs a vcore whose entry word is open.
fn running_on(vcore: &Vcore) -> &'static Core {
    cores::at(vcore.core.load(Relaxed)).expect("its word is open")
}

/// SMT_STATS: vcore, address of a `VcoreStats`, action.
pub fn smt_stats(args: &mut Args) -> Status {
    let Some(vcore) = objects::vcore(args[0]) else {
        return wrong(args, 1);
    };
    let len_bytes = size_of::<VcoreStats>() as u64;
    let Some(real) = check::host_ram(args[1], len_bytes, 8) else {
        return wrong(args, 2);
    };
    let Ok(action) = StatsAction::try_from(args[2]) else {
        return wrong(args, 3);
    };
    let out = real::ptr(real).cast::<U64>();
    let stats = vcore.stats(action == StatsAction::Reset);
    for (place, value) in stats.into_iter().enumerate() {
        // SAFETY: `place` is below the number of the structure's fields, all in the host's RAM.
        unsafe { out.add(place).write_volatile(U64::new(value)) };
    }
    Status::Success
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;

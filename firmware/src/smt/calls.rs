//! Each call of [`hcalls`], from its arguments to its answer. Every argument is checked before anything
//! changes.
use super::check;
use super::cores::{self, Core};
use super::objects::{self, MAX_LPID, MAX_PARTITIONS, MAX_VCORES, MAX_VCORES_PER_PARTITION};
use super::objects::{PARTITIONS, Refusal, Settings, Vcore};
use super::run::seat::letter;
use crate::args::{Answer, Args, DONE, Refused, one};
use crate::trace::{self, Whom};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, Release};
use hcalls::query::{self, Query};
use hcalls::registers::{
    SmtQuery, SmtStats, StateSet, VcoreDoorbells, VcoreKick, VcpuCreate, VcpuPlace, VcpuSetState,
};
use hcalls::run::{DoorbellsAction, KICK_GUEST, VcpuState};
use hcalls::stats::{StatsAction, VcoreStats};
use hcalls::trace::Event;
use hcalls::{MAX_THREADS, Status};
use platform::cpu::lock;
use platform::memory::real;
use vcore::entry::Request;
use vcore::roster::{Change, State};
use vcore::{Mask, Slots, full_barrier, start};
use zerocopy::big_endian::U64;

/// A run lasts at most as long as HDEC's 32 bits can count twice over; longer deadlines are legal.
const MAX_RUN_TB: u64 = u64::MAX >> 1;

/// SMT_QUERY: index → answer.
pub fn smt_query(args: &Args) -> Answer {
    let SmtQuery { query } = SmtQuery::from_registers(args)?;
    let threads = check::threads_per_core() as u64;
    Ok(one(match query {
        Query::Versions => u64::from(hcalls::LOWEST_VERSION) << 32 | u64::from(hcalls::VERSION),
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
    }))
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
        | query::FEATURE_REFLECT
        | query::FEATURE_TABLE
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

/// The vcore that argument 1 names.
fn vcore(handle: u64) -> Result<&'static Vcore, Refused> {
    objects::vcore(handle).ok_or(Refused::Argument(1))
}

/// Why an object wasn't made, changed or ended. `number` is that of the handle.
pub(super) fn refused(refusal: Refusal, number: u64) -> Refused {
    match refusal {
        Refusal::NoSuch => Refused::Argument(number),
        Refusal::PastLimit | Refusal::Fixed => Refused::Argument(2),
        Refusal::Full => Refused::As(Status::Resource),
        Refusal::Taken | Refusal::Busy => Refused::As(Status::Busy),
    }
}

/// PARTITION_CREATE: address of a `PartitionConfig` → handle.
pub fn partition_create(args: &Args) -> Answer {
    let settings = settings(args[0], "PARTITION_CREATE", 1)?;
    let handle = PARTITIONS.lock().create(settings);
    Ok(one(handle.map_err(|refusal| refused(refusal, 1))?))
}

/// A configuration for the call of that name, whose address is argument `number`.
fn settings(address: u64, call: &str, number: u64) -> Result<Settings, Refused> {
    check::partition(address).map_err(|refusal| match refusal {
        check::Refusal::Version => Refused::As(Status::Unsupported),
        refusal => {
            log::warn!("{call} refused: {refusal:?}");
            Refused::Argument(number)
        }
    })
}

/// PARTITION_UPDATE: handle, address of a `PartitionConfig`.
pub fn partition_update(args: &Args) -> Answer {
    let [partition, address, ..] = *args;
    let settings = settings(address, "PARTITION_UPDATE", 2)?;
    let updated = PARTITIONS.lock().update(partition, settings);
    updated.map_err(|refusal| refused(refusal, 1))?;
    DONE
}

/// PARTITION_DESTROY: handle, or all ones for every partition.
pub fn partition_destroy(args: &Args) -> Answer {
    let mut partitions = PARTITIONS.lock();
    let result = match args[0] {
        u64::MAX => partitions.destroy_all(),
        handle => partitions.destroy(handle),
    };
    result.map_err(|refusal| refused(refusal, 1))?;
    DONE
}

/// VCPU_CREATE: partition, vcpu id, page → vcore, slot.
pub fn vcpu_create(args: &Args) -> Answer {
    let asked = VcpuCreate::from_registers(args);
    let page = check::vcpu_page(asked.page).ok_or(Refused::Argument(3))?;
    let made = PARTITIONS
        .lock()
        .create_vcpu(asked.partition, asked.id, page);
    let (vcore, slot) = made.map_err(|refusal| refused(refusal, 1))?;
    let slot = slot as u64;
    Ok(VcpuPlace { vcore, slot }.to_results())
}

/// VCPU_DESTROY: vcore, slot.
pub fn vcpu_destroy(args: &Args) -> Answer {
    let asked = VcpuPlace::from_registers(args);
    let present = vcore(asked.vcore)?.roster.snapshot().present();
    if asked.slot >= MAX_THREADS as u64 || present & 1 << asked.slot == 0 {
        return Err(Refused::Argument(2));
    }
    let gone = PARTITIONS
        .lock()
        .destroy_vcpu(asked.vcore, asked.slot as usize);
    gone.map_err(|refusal| refused(refusal, 1))?;
    DONE
}

/// VCPU_SET_STATE: vcore, slot mask, state → joined and queued masks, "the set is complete".
pub fn vcpu_set_state(args: &Args) -> Answer {
    let asked = VcpuSetState::from_registers(args)?;
    let vcore = vcore(asked.vcore)?;
    let mask = asked.slots;
    if mask == 0 || mask & !u64::from(vcore.roster.snapshot().present()) != 0 {
        return Err(Refused::Argument(2));
    }
    let state = match asked.state {
        VcpuState::Runnable => State::Runnable,
        VcpuState::Blocked => State::Blocked,
        VcpuState::Busy => State::Busy,
    };
    let change = vcore.roster.set_state(mask as Mask, state);
    let change = change.ok_or(Status::Busy)?;
    let joined = if change.running {
        join(vcore, &change)
    } else {
        0
    };
    let set = StateSet {
        joined: joined.into(),
        queued: (change.queued & !joined).into(),
        complete: change.complete,
    };
    Ok(set.to_registers())
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
        lock::relax();
    }
    // The core is written before the word is opened. It is 0 again if the run is over.
    let threads = cores::at(vcore.core.load(Relaxed)).map_or(0, Core::thread_mask);
    let aligned = vcore.rules.aligned.load(Relaxed);
    vcore.entry.reserve(aligned.then_some(slot), threads)
}

/// The thread is reserved; it gets its letter and its IPI. Thread 0 is the runner's, who looks
/// into its mailbox while it waits.
fn start_joiner(vcore: &'static Vcore, slot: usize, ptid: usize) {
    let core = running_on(vcore);
    core.run.seating.join(ptid, letter(vcore, slot));
    trace::note(Event::Join, || {
        (Whom::vcpu(vcore.handle(), slot), ptid as u32)
    });
    if ptid != 0 {
        core.send_ipi(ptid);
    }
}

/// VCORE_KICK: vcore, slot mask (0 for all), cause → slots that left the queue at once, or, with
/// [`KICK_GUEST`], slots that are in no run.
pub fn vcore_kick(args: &Args) -> Answer {
    let asked = VcoreKick::from_registers(args);
    let vcore = vcore(asked.vcore)?;
    let present = vcore.roster.snapshot().present();
    let mask = match asked.slots {
        0 => present,
        slots if slots & !u64::from(present) == 0 => slots as Mask,
        _ => return Err(Refused::Argument(2)),
    };
    let cause = asked.cause;
    trace::note(Event::Kick, || {
        let cause = (cause as u32) << 8;
        (Whom::vcore(vcore.handle()), cause | u32::from(mask))
    });
    let told = match cause & KICK_GUEST {
        0 => kick_for_host(vcore, mask, cause).ok_or(Refused::Argument(2))?,
        _ => poke(vcore, mask),
    };
    vcore.counters.kicks.fetch_add(1, Relaxed);
    Ok(one(told.into()))
}

/// Answers who left the queue at once; none if a vcpu has gone.
pub(super) fn kick_for_host(vcore: &Vcore, mask: Mask, cause: u64) -> Option<Mask> {
    // Before the kick: whoever answers it finds its cause.
    for slot in Slots(mask) {
        vcore.causes[slot].fetch_or(cause, Release);
    }
    let kick = vcore.roster.kick(mask);
    // Those are answered by this call, or one has just been destroyed; another's kick may wait already.
    let answered = kick.as_ref().map_or(mask, |kick| kick.interrupted);
    for slot in Slots(answered) {
        vcore.causes[slot].fetch_and(!cause, Relaxed);
    }
    let kick = kick?;
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
    let letter = letter(vcore, slot);
    loop {
        let before = vcore.entry.snapshot();
        let core = cores::at(vcore.core.load(Relaxed)).filter(|_| before.outstanding() != 0);
        let ptid = core.and_then(|core| core.run.seating.find(letter));
        match (vcore.entry.poke(before, ptid), core) {
            (None, _) => lock::relax(),
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

/// VCORE_DOORBELLS: vcore, action, slot mask → slots whose doorbells were rung and not heard.
pub fn vcore_doorbells(args: &Args) -> Answer {
    let asked = VcoreDoorbells::from_registers(args)?;
    let vcore = vcore(asked.vcore)?;
    let slots = match asked.action {
        DoorbellsAction::Tell => 0,
        DoorbellsAction::Set => asked.slots,
    };
    let may = vcore.rules.aligned.load(Relaxed);
    if slots != 0 && (!may || slots & !u64::from(vcore.roster.snapshot().present()) != 0) {
        return Err(Refused::Argument(3));
    }
    // A run has them in the core.
    if !vcore.roster.hold() {
        return Err(Refused::As(Status::Busy));
    }
    let before = vcore.doorbells.load(Relaxed);
    if asked.action == DoorbellsAction::Set {
        vcore.doorbells.store(slots, Relaxed);
    }
    vcore.roster.joined();
    Ok(one(before))
}

/// SMT_STATS: vcore, address of a `VcoreStats`, action.
pub fn smt_stats(args: &Args) -> Answer {
    let asked = SmtStats::from_registers(args)?;
    let vcore = vcore(asked.vcore)?;
    let len_bytes = size_of::<VcoreStats>() as u64;
    let real = check::host_ram(asked.address, len_bytes, 8).ok_or(Refused::Argument(2))?;
    let out = real::ptr(real).cast::<U64>();
    let stats = vcore.stats(asked.action == StatsAction::Reset);
    for (place, value) in stats.into_iter().enumerate() {
        // SAFETY: `place` is below the number of the structure's fields, all in the host's RAM.
        unsafe { out.add(place).write_volatile(U64::new(value)) };
    }
    DONE
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;

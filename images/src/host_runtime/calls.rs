//! catnap's calls, one function each. They check nothing: that is the firmware's part, and the
//! tests want to see it done.
use core::fmt;

use hcalls::exit::ExitReason;
use hcalls::page::VcpuPage;
use hcalls::partition::PartitionConfig;
use hcalls::query::Query;
use hcalls::run::{ClaimAction, CoreState, FIRST_SLOT_SHIFT, JOINED_SHIFT, NO_DECREMENTER};
use hcalls::run::{QUEUED_SHIFT, RUNG_SHIFT, SET_COMPLETE, VcpuState};
use hcalls::stats::{StatsAction, VcoreStats};
use hcalls::trace::TraceAction;
use hcalls::{Status, Token};

use super::opal::{self, Answer};

/// A partition's handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition(pub u64);

/// A vcore's handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vcore(pub u64);

/// Any other status than success, with what else the call told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// As in r3: a [`Status`], unless the firmware is broken or of another kind.
    pub status: i64,
    /// r4: for `Parameter` the number of the wrong argument, 1 for r3.
    pub argument: u64,
    /// r5: for `Partial` the mask of the threads that never came back.
    pub threads: u64,
}

impl Refusal {
    /// Whether this is the refusal that `status` means.
    pub fn is(&self, status: Status) -> bool {
        self.status == status as i64
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Status::try_from(self.status) {
            Ok(Status::Parameter) => write!(f, "Parameter (argument {})", self.argument),
            Ok(Status::Partial) => write!(f, "Partial (threads {:#x})", self.threads),
            Ok(status) => write!(f, "{status:?}"),
            Err(_) => write!(f, "unknown status {}", self.status),
        }
    }
}

/// What a call returns.
pub type Result<T> = core::result::Result<T, Refusal>;

fn accepted(answer: Answer) -> Result<[u64; 6]> {
    let Answer { status, results } = answer;
    if status == Status::Success as i64 {
        Ok(results)
    } else {
        Err(Refusal {
            status,
            argument: results[0],
            threads: results[1],
        })
    }
}

fn call(token: Token, args: &[u64]) -> Result<[u64; 6]> {
    // SAFETY: callers here pass addresses of structures that live as long as the call, or that
    // stay in RAM for good (vcpu pages); the firmware checks that they lie in RAM at all.
    accepted(unsafe { opal::call(token.into(), args) })
}

/// SMT_QUERY.
pub fn smt_query(query: u64) -> Result<u64> {
    call(Token::SmtQuery, &[query]).map(|results| results[0])
}

/// The highest interface version, if the firmware speaks this crate's.
pub fn speaks_our_version() -> Result<bool> {
    let versions = smt_query(Query::Versions.into())?;
    let (lowest, highest) = (versions >> 32, versions & 0xffff_ffff);
    Ok((lowest..=highest).contains(&hcalls::VERSION.into()))
}

/// CORE_CLAIM: the state of the core with thread `pir`, after `action`.
pub fn core_claim(pir: u64, action: ClaimAction) -> Result<CoreState> {
    let results = call(Token::CoreClaim, &[pir, action.into()])?;
    Ok(CoreState::try_from(results[0]).expect("a core's state"))
}

/// The run that has ended with a core's fence. Masks are those of [`Run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fenced {
    pub vcore: Vcore,
    pub exited: u64,
    pub did_not_run: u64,
    pub ceded: u64,
}

/// CORE_CLAIM of the fenced core with thread `pir`; none: it wasn't fenced.
pub fn end_fence(pir: u64) -> Result<Option<Fenced>> {
    let results = call(Token::CoreClaim, &[pir, ClaimAction::Claim.into()])?;
    let [_, _, vcore, exited, did_not_run, ceded, ..] = results;
    Ok((vcore != 0).then_some(Fenced {
        vcore: Vcore(vcore),
        exited,
        did_not_run,
        ceded,
    }))
}

/// PARTITION_CREATE.
pub fn partition_create(config: &PartitionConfig) -> Result<Partition> {
    let address = core::ptr::from_ref(config).expose_provenance() as u64;
    call(Token::PartitionCreate, &[address]).map(|results| Partition(results[0]))
}

/// PARTITION_DESTROY, with all its vcores and vcpus.
pub fn partition_destroy(partition: Partition) -> Result<()> {
    call(Token::PartitionDestroy, &[partition.0]).map(drop)
}

/// PARTITION_DESTROY of every partition that there is.
pub fn partition_destroy_all() -> Result<()> {
    call(Token::PartitionDestroy, &[u64::MAX]).map(drop)
}

/// VCPU_CREATE: the vcore that the vcpu belongs to, and its slot there.
///
/// # Safety
/// The page stays the vcpu's alone until VCPU_DESTROY or PARTITION_DESTROY.
pub unsafe fn vcpu_create(
    partition: Partition,
    id: u64,
    page: *mut VcpuPage,
) -> Result<(Vcore, u64)> {
    let page = page.expose_provenance() as u64;
    call(Token::VcpuCreate, &[partition.0, id, page]).map(|results| (Vcore(results[0]), results[1]))
}

/// VCPU_DESTROY.
pub fn vcpu_destroy(vcore: Vcore, slot: u64) -> Result<()> {
    call(Token::VcpuDestroy, &[vcore.0, slot]).map(drop)
}

/// How a run ended. Masks have bit n for slot n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Came out with something for the host to do; the reason is in their pages. Who is in none of
    /// the masks ran, and stays in the queue.
    pub exited: u64,
    /// Never entered; they stay queued.
    pub did_not_run: u64,
    /// Wait in H_CEDE.
    pub ceded: u64,
    /// Their doorbells were rung, and they haven't heard it yet.
    pub rung: u64,
    pub first_slot: u64,
    pub first_reason: ExitReason,
    /// When the first guest decrementer of those that ran expires.
    pub decrementer_tb: Option<u64>,
    pub generation: u64,
}

/// VCORE_RUN on this core until `deadline_tb` at the latest.
///
/// # Safety
/// The guest's memory and the vcpu pages of the vcore are in nobody's hands here: no reference to
/// them is alive.
pub unsafe fn vcore_run(
    vcore: Vcore,
    runnable: u64,
    blocked: u64,
    deadline_tb: u64,
    flags: u64,
) -> Result<Run> {
    let [
        exited,
        did_not_run,
        ceded,
        first,
        decrementer_tb,
        generation,
    ] = call(
        Token::VcoreRun,
        &[vcore.0, runnable, blocked, deadline_tb, flags],
    )?;
    let reason = (first as u32).try_into();
    Ok(Run {
        exited,
        did_not_run,
        ceded: ceded & 0xff,
        rung: ceded >> RUNG_SHIFT,
        first_slot: first >> FIRST_SLOT_SHIFT,
        first_reason: reason.expect("an exit reason"),
        decrementer_tb: (decrementer_tb != NO_DECREMENTER).then_some(decrementer_tb),
        generation,
    })
}

/// What VCPU_SET_STATE did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// Slots that run at once, since their vcore does.
    pub joined: u64,
    /// Slots that wait for the next run.
    pub queued: u64,
    /// The vcore can run now.
    pub complete: bool,
}

/// VCPU_SET_STATE.
pub fn vcpu_set_state(vcore: Vcore, slots: u64, state: VcpuState) -> Result<Set> {
    let packed = call(Token::VcpuSetState, &[vcore.0, slots, state.into()])?[0];
    Ok(Set {
        joined: packed >> JOINED_SHIFT & 0xff,
        queued: packed >> QUEUED_SHIFT & 0xff,
        complete: packed & SET_COMPLETE != 0,
    })
}

/// VCORE_KICK: brings `slots` (0: all) out with reason Kick; `cause` is for the trace. The answer
/// is a mask of those that left the queue at once, since their vcore wasn't running.
pub fn vcore_kick(vcore: Vcore, slots: u64, cause: u64) -> Result<u64> {
    call(Token::VcoreKick, &[vcore.0, slots, cause]).map(|results| results[0])
}

/// SMT_STATS.
pub fn smt_stats(vcore: Vcore, action: StatsAction) -> Result<VcoreStats> {
    let mut stats: VcoreStats = zerocopy::FromZeros::new_zeroed();
    let address = core::ptr::from_mut(&mut stats).expose_provenance() as u64;
    call(Token::SmtStats, &[vcore.0, address, action.into()])?;
    Ok(stats)
}

/// What SMT_TRACE tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceBlock {
    pub on: bool,
    /// Real address and length of the block that [`hcalls::trace::Trace`] reads.
    pub address: u64,
    pub len_bytes: u64,
}

/// SMT_TRACE.
pub fn smt_trace(action: TraceAction) -> Result<TraceBlock> {
    let [on, address, len_bytes, ..] = call(Token::SmtTrace, &[action.into()])?;
    Ok(TraceBlock {
        on: on != 0,
        address,
        len_bytes,
    })
}

/// Any call with any arguments, for tests of what is refused.
///
/// # Safety
/// As for [`opal::call`].
pub unsafe fn raw(token: u64, args: &[u64]) -> Result<[u64; 6]> {
    // SAFETY: the caller's promise.
    accepted(unsafe { opal::call(token, args) })
}

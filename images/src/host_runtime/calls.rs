//! catnap's calls, one function each. They check nothing: that is the firmware's part, and the
//! tests want to see it done.
use core::fmt;
use core::ops::Range;

use hcalls::page::VcpuPage;
use hcalls::partition::PartitionConfig;
use hcalls::query::Query;
use hcalls::registers::{CoreClaim, CoreClaimed, SmtStats, SmtTrace};
pub use hcalls::registers::{FencedRun, StateSet, TraceBlock, VcoreRan as Run};
use hcalls::registers::{PartitionMemory, PartitionUnmap, PartitionUnmapped};
use hcalls::registers::{VcoreDoorbells, VcoreKick, VcoreRun, VcpuCreate, VcpuPlace, VcpuSetState};
use hcalls::run::{ClaimAction, CoreState, DoorbellsAction, VcpuState};
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
    claimed(pir, action).map(|claimed| claimed.state)
}

fn claimed(pir: u64, action: ClaimAction) -> Result<CoreClaimed> {
    let results = call(Token::CoreClaim, &CoreClaim { pir, action }.to_registers())?;
    Ok(CoreClaimed::from_registers(&results).expect("a core's state"))
}

/// CORE_CLAIM of the fenced core with thread `pir`: the run that has ended with the fence; none: it
/// wasn't fenced.
pub fn end_fence(pir: u64) -> Result<Option<FencedRun>> {
    claimed(pir, ClaimAction::Claim).map(|claimed| claimed.ended)
}

/// PARTITION_CREATE.
pub fn partition_create(config: &PartitionConfig) -> Result<Partition> {
    let address = core::ptr::from_ref(config).expose_provenance() as u64;
    call(Token::PartitionCreate, &[address]).map(|results| Partition(results[0]))
}

/// PARTITION_UPDATE.
pub fn partition_update(partition: Partition, config: &PartitionConfig) -> Result<()> {
    let address = core::ptr::from_ref(config).expose_provenance() as u64;
    call(Token::PartitionUpdate, &[partition.0, address]).map(drop)
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
    let asked = VcpuCreate {
        partition: partition.0,
        id,
        page: page.expose_provenance() as u64,
    };
    let results = call(Token::VcpuCreate, &asked.to_registers())?;
    let VcpuPlace { vcore, slot } = VcpuPlace::from_results(&results);
    Ok((Vcore(vcore), slot))
}

/// VCPU_DESTROY.
pub fn vcpu_destroy(vcore: Vcore, slot: u64) -> Result<()> {
    let vcore = vcore.0;
    call(
        Token::VcpuDestroy,
        &VcpuPlace { vcore, slot }.to_registers(),
    )
    .map(drop)
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
    let asked = VcoreRun {
        vcore: vcore.0,
        runnable,
        blocked,
        deadline_tb,
        flags,
    };
    let results = call(Token::VcoreRun, &asked.to_registers())?;
    Ok(Run::from_registers(&results).expect("an exit reason"))
}

/// VCPU_SET_STATE.
pub fn vcpu_set_state(vcore: Vcore, slots: u64, state: VcpuState) -> Result<StateSet> {
    let vcore = vcore.0;
    let asked = VcpuSetState {
        vcore,
        slots,
        state,
    };
    let results = call(Token::VcpuSetState, &asked.to_registers())?;
    Ok(StateSet::from_registers(&results))
}

/// VCORE_KICK: brings `slots` (0: all) out with reason Kick; `cause` is for the trace. The answer
/// is a mask of those that left the queue at once, since their vcore wasn't running.
pub fn vcore_kick(vcore: Vcore, slots: u64, cause: u64) -> Result<u64> {
    let vcore = vcore.0;
    let asked = VcoreKick {
        vcore,
        slots,
        cause,
    };
    call(Token::VcoreKick, &asked.to_registers()).map(|results| results[0])
}

/// PARTITION_MEMORY.
pub fn partition_memory(asked: &PartitionMemory) -> Result<()> {
    call(Token::PartitionMemory, &asked.to_registers()).map(drop)
}

/// PARTITION_UNMAP of all that the table has for some memory.
pub fn partition_unmap(partition: Partition, memory: Range<u64>) -> Result<()> {
    let mut asked = PartitionUnmap {
        partition: partition.0,
        start: memory.start,
        len_bytes: memory.end - memory.start,
        first: 0,
    };
    loop {
        let results = call(Token::PartitionUnmap, &asked.to_registers())?;
        asked.first = PartitionUnmapped::from_results(&results).next;
        if asked.first == 0 {
            return Ok(());
        }
    }
}

/// VCORE_DOORBELLS: the mask of slots as it was before.
pub fn vcore_doorbells(vcore: Vcore, action: DoorbellsAction, slots: u64) -> Result<u64> {
    let vcore = vcore.0;
    let asked = VcoreDoorbells {
        vcore,
        action,
        slots,
    };
    call(Token::VcoreDoorbells, &asked.to_registers()).map(|results| results[0])
}

/// SMT_STATS.
pub fn smt_stats(vcore: Vcore, action: StatsAction) -> Result<VcoreStats> {
    let mut stats: VcoreStats = zerocopy::FromZeros::new_zeroed();
    let address = core::ptr::from_mut(&mut stats).expose_provenance() as u64;
    let vcore = vcore.0;
    let asked = SmtStats {
        vcore,
        address,
        action,
    };
    call(Token::SmtStats, &asked.to_registers())?;
    Ok(stats)
}

/// SMT_TRACE.
pub fn smt_trace(action: TraceAction) -> Result<TraceBlock> {
    let results = call(Token::SmtTrace, &SmtTrace { action }.to_registers())?;
    Ok(TraceBlock::from_registers(&results))
}

/// Any call with any arguments, for tests of what is refused.
///
/// # Safety
/// As for [`opal::call`].
pub unsafe fn raw(token: u64, args: &[u64]) -> Result<[u64; 6]> {
    // SAFETY: the caller's promise.
    accepted(unsafe { opal::call(token, args) })
}

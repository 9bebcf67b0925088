//! Each call's arguments and results by name, and the registers that they go by.
//!
//! Hosts turn arguments into registers and registers into results; the firmware does the opposite. What is
//! read here has its type, but may still mean nothing: a handle of no vcore, say.
use crate::query::Query;
use crate::run::{ClaimAction, CoreState};
use crate::stats::StatsAction;
use crate::trace::TraceAction;

mod memory;
mod run;
mod vcpu;

pub use memory::{PartitionMemory, PartitionUnmap, PartitionUnmapped};
pub use run::{VcoreRan, VcoreRun};
pub use vcpu::{StateSet, VcoreDoorbells, VcoreKick, VcpuCreate, VcpuPlace, VcpuSetState};

/// r3–r10 at a call.
pub type Arguments = [u64; 8];
/// r4–r9 on return.
pub type Results = [u64; 6];

/// The argument that is wrong, 1 for r3. Its number is in r4 when the status is PARAMETER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong(pub u64);

/// Slots' masks lie in eight bits of a register.
const SLOTS: u64 = 0xff;

const fn arguments<const N: usize>(given: [u64; N]) -> Arguments {
    let mut all = [0; 8];
    let mut at = 0;
    while at < N {
        all[at] = given[at];
        at += 1;
    }
    all
}

const fn results<const N: usize>(given: [u64; N]) -> Results {
    let mut all = [0; 6];
    let mut at = 0;
    while at < N {
        all[at] = given[at];
        at += 1;
    }
    all
}

/// SMT_QUERY. The answer is in r4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmtQuery {
    pub query: Query,
}

impl SmtQuery {
    pub fn to_registers(self) -> Arguments {
        arguments([self.query.into()])
    }

    /// # Errors
    /// No such question.
    pub fn from_registers(given: &Arguments) -> Result<Self, Wrong> {
        let query = Query::try_from(given[0]).map_err(|_| Wrong(1))?;
        Ok(Self { query })
    }
}

/// CORE_CLAIM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreClaim {
    /// Of the core's thread 0.
    pub pir: u64,
    pub action: ClaimAction,
}

impl CoreClaim {
    pub fn to_registers(self) -> Arguments {
        arguments([self.pir, self.action.into()])
    }

    /// # Errors
    /// No such action.
    pub fn from_registers(given: &Arguments) -> Result<Self, Wrong> {
        let action = ClaimAction::try_from(given[1]).map_err(|_| Wrong(2))?;
        let pir = given[0];
        Ok(Self { pir, action })
    }
}

/// What CORE_CLAIM answers, with every status but PARAMETER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreClaimed {
    pub state: CoreState,
    /// With PARTIAL from a fenced core: the threads that still don't answer.
    pub lost: u64,
    /// The run that has ended with the core's fence.
    pub ended: Option<FencedRun>,
}

/// A run that has ended with its core's fence. Masks are those of [`VcoreRan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FencedRun {
    pub vcore: u64,
    pub exited: u64,
    pub did_not_run: u64,
    pub ceded: u64,
}

impl CoreClaimed {
    pub fn to_registers(self) -> Results {
        let (state, lost) = (self.state.into(), self.lost);
        match self.ended {
            None => results([state, lost]),
            Some(run) => [
                state,
                lost,
                run.vcore,
                run.exited,
                run.did_not_run,
                run.ceded,
            ],
        }
    }

    /// None: no firmware answers so.
    pub fn from_registers(given: &Results) -> Option<Self> {
        let [state, lost, vcore, exited, did_not_run, ceded] = *given;
        let run = FencedRun {
            vcore,
            exited,
            did_not_run,
            ceded,
        };
        Some(Self {
            state: state.try_into().ok()?,
            lost,
            ended: (vcore != 0).then_some(run),
        })
    }
}

/// SMT_STATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmtStats {
    pub vcore: u64,
    /// Real address of a [`crate::stats::VcoreStats`].
    pub address: u64,
    pub action: StatsAction,
}

impl SmtStats {
    pub fn to_registers(self) -> Arguments {
        arguments([self.vcore, self.address, self.action.into()])
    }

    /// # Errors
    /// No such action.
    pub fn from_registers(given: &Arguments) -> Result<Self, Wrong> {
        let [vcore, address, action, ..] = *given;
        let action = StatsAction::try_from(action).map_err(|_| Wrong(3))?;
        Ok(Self {
            vcore,
            address,
            action,
        })
    }
}

/// SMT_TRACE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmtTrace {
    pub action: TraceAction,
}

impl SmtTrace {
    pub fn to_registers(self) -> Arguments {
        arguments([self.action.into()])
    }

    /// # Errors
    /// No such action.
    pub fn from_registers(given: &Arguments) -> Result<Self, Wrong> {
        let action = TraceAction::try_from(given[0]).map_err(|_| Wrong(1))?;
        Ok(Self { action })
    }
}

/// What SMT_TRACE answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceBlock {
    pub on: bool,
    /// Real address and length of the block that [`crate::trace::Trace`] reads.
    pub address: u64,
    pub len_bytes: u64,
}

impl TraceBlock {
    pub const fn to_registers(self) -> Results {
        results([self.on as u64, self.address, self.len_bytes])
    }

    pub const fn from_registers(given: &Results) -> Self {
        let [on, address, len_bytes, ..] = *given;
        Self {
            on: on != 0,
            address,
            len_bytes,
        }
    }
}

#[cfg(test)]
mod tests;

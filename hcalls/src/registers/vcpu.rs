//! Calls about vcpus that don't run them.
use super::{Arguments, Results, SLOTS, Wrong, arguments, results};
use crate::run::{DoorbellsAction, JOINED_SHIFT, QUEUED_SHIFT, SET_COMPLETE, VcpuState};

/// VCPU_CREATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuCreate {
    pub partition: u64,
    pub id: u64,
    /// Real address.
    pub page: u64,
}

impl VcpuCreate {
    pub const fn to_registers(self) -> Arguments {
        arguments([self.partition, self.id, self.page])
    }

    pub const fn from_registers(given: &Arguments) -> Self {
        let [partition, id, page, ..] = *given;
        Self {
            partition,
            id,
            page,
        }
    }
}

/// One vcpu: what VCPU_CREATE answers, and VCPU_DESTROY takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuPlace {
    pub vcore: u64,
    pub slot: u64,
}

impl VcpuPlace {
    pub const fn to_registers(self) -> Arguments {
        arguments([self.vcore, self.slot])
    }

    pub const fn from_registers(given: &Arguments) -> Self {
        let [vcore, slot, ..] = *given;
        Self { vcore, slot }
    }

    pub const fn to_results(self) -> Results {
        results([self.vcore, self.slot])
    }

    pub const fn from_results(given: &Results) -> Self {
        let [vcore, slot, ..] = *given;
        Self { vcore, slot }
    }
}

/// VCPU_SET_STATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuSetState {
    pub vcore: u64,
    pub slots: u64,
    pub state: VcpuState,
}

impl VcpuSetState {
    pub fn to_registers(self) -> Arguments {
        arguments([self.vcore, self.slots, self.state.into()])
    }

    /// # Errors
    /// No such state.
    pub fn from_registers(given: &Arguments) -> Result<Self, Wrong> {
        let [vcore, slots, state, ..] = *given;
        let state = VcpuState::try_from(state).map_err(|_| Wrong(3))?;
        Ok(Self {
            vcore,
            slots,
            state,
        })
    }
}

/// What VCPU_SET_STATE did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateSet {
    /// Slots that run at once, since their vcore does.
    pub joined: u64,
    /// Slots that wait for the next run.
    pub queued: u64,
    /// The vcore can run now (B9).
    pub complete: bool,
}

impl StateSet {
    pub const fn to_registers(self) -> Results {
        let complete = if self.complete { SET_COMPLETE } else { 0 };
        results([self.joined << JOINED_SHIFT | self.queued << QUEUED_SHIFT | complete])
    }

    pub const fn from_registers(given: &Results) -> Self {
        Self {
            joined: given[0] >> JOINED_SHIFT & SLOTS,
            queued: given[0] >> QUEUED_SHIFT & SLOTS,
            complete: given[0] & SET_COMPLETE != 0,
        }
    }
}

/// VCORE_KICK. The answer, a mask of slots, is in r4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcoreKick {
    pub vcore: u64,
    /// 0: all.
    pub slots: u64,
    /// [`crate::run::KICK_GUEST`], or what the caller likes.
    pub cause: u64,
}

impl VcoreKick {
    pub const fn to_registers(self) -> Arguments {
        arguments([self.vcore, self.slots, self.cause])
    }

    pub const fn from_registers(given: &Arguments) -> Self {
        let [vcore, slots, cause, ..] = *given;
        Self {
            vcore,
            slots,
            cause,
        }
    }
}

/// VCORE_DOORBELLS. The answer, a mask of slots as it was before, is in r4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcoreDoorbells {
    pub vcore: u64,
    pub action: DoorbellsAction,
    /// For [`DoorbellsAction::Set`]; else 0.
    pub slots: u64,
}

impl VcoreDoorbells {
    pub fn to_registers(self) -> Arguments {
        arguments([self.vcore, self.action.into(), self.slots])
    }

    /// # Errors
    /// No such action.
    pub fn from_registers(given: &Arguments) -> Result<Self, Wrong> {
        let [vcore, action, slots, ..] = *given;
        let action = DoorbellsAction::try_from(action).map_err(|_| Wrong(2))?;
        Ok(Self {
            vcore,
            action,
            slots,
        })
    }
}

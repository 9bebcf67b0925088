//! VCORE_RUN.
use super::{Arguments, Results, SLOTS, arguments};
use crate::exit::ExitReason;
use crate::run::{FIRST_SLOT_SHIFT, NO_DECREMENTER, RUNG_SHIFT};

/// VCORE_RUN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcoreRun {
    pub vcore: u64,
    /// Slots that become runnable, and blocked, with this call.
    pub runnable: u64,
    pub blocked: u64,
    pub deadline_tb: u64,
    /// `RUN_…` of [`crate::run`].
    pub flags: u64,
}

impl VcoreRun {
    pub const fn to_registers(self) -> Arguments {
        let Self {
            vcore,
            runnable,
            blocked,
            deadline_tb,
            flags,
        } = self;
        arguments([vcore, runnable, blocked, deadline_tb, flags])
    }

    #[inline(always)]
    pub const fn from_registers(given: &Arguments) -> Self {
        let [vcore, runnable, blocked, deadline_tb, flags, ..] = *given;
        Self {
            vcore,
            runnable,
            blocked,
            deadline_tb,
            flags,
        }
    }
}

/// How a run has ended. Masks have bit n for slot n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcoreRan {
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
    /// When the first guest decrementer of those that have ceded expires.
    pub decrementer_tb: Option<u64>,
    /// How many runs of the vcore were counted before.
    pub generation: u64,
}

impl VcoreRan {
    pub fn to_registers(self) -> Results {
        [
            self.exited,
            self.did_not_run,
            self.ceded | self.rung << RUNG_SHIFT,
            self.first_slot << FIRST_SLOT_SHIFT | u64::from(u32::from(self.first_reason)),
            self.decrementer_tb.unwrap_or(NO_DECREMENTER),
            self.generation,
        ]
    }

    /// None: no firmware answers so.
    pub fn from_registers(given: &Results) -> Option<Self> {
        let [
            exited,
            did_not_run,
            ceded,
            first,
            decrementer_tb,
            generation,
        ] = *given;
        Some(Self {
            exited,
            did_not_run,
            ceded: ceded & SLOTS,
            rung: ceded >> RUNG_SHIFT & SLOTS,
            first_slot: first >> FIRST_SLOT_SHIFT,
            first_reason: (first as u32).try_into().ok()?,
            decrementer_tb: (decrementer_tb != NO_DECREMENTER).then_some(decrementer_tb),
            generation,
        })
    }
}

//! The run that a core's threads are in, or were in last.
use super::outcomes::Outcomes;
use super::record::RunnersOwn;
use hcalls::run::FIRST_SLOT_SHIFT;
use vcore::Seating;
use vcore::sync::{AtomicBool, AtomicU8, AtomicU16, AtomicU64};

/// In [`PresentRun::at_leaving`].
pub const POLLING: u16 = 0xff;
pub const TRACED: u16 = 1 << 8;
/// In [`PresentRun::untouched`].
pub const UNTOUCHED: u8 = 1;
pub const ENTRY_TRACED: u8 = 2;

/// No thread left first yet.
pub const NOBODY: u64 = u64::MAX << FIRST_SLOT_SHIFT;

#[derive(Debug)]
#[repr(C)]
pub struct PresentRun {
    /// Who is called to run which vcpu. A letter is the vcore's address with the slot below it.
    pub seating: Seating,
    /// What became of the vcpus.
    pub outcomes: Outcomes,
    /// What threads that leave have to see to, if it isn't 0. [`POLLING`]: one bit per ptid that waits
    /// for its guest to enable interrupts, where the machine has no mediated external exception: the
    /// core's HDEC then ticks. [`TRACED`]: the run is traced.
    pub at_leaving: AtomicU16,
    /// A sibling has rung thread 0's doorbell, or is about to.
    pub rung: AtomicBool,
    /// An interrupt of the host's ends the run.
    pub interrupted: AtomicBool,
    /// A system reset has struck a thread in the firmware, and no run has told of it yet.
    pub struck: AtomicBool,
    /// [`UNTOUCHED`]: the host vouches for the vcpu pages (`RUN_UNTOUCHED`). In a traced run
    /// [`ENTRY_TRACED`] is added.
    pub untouched: AtomicU8,
    /// The host vouches for its floating-point registers (`RUN_FP_CLEAN`).
    pub fp_clean: AtomicBool,
    /// Thread 0 has the host's values in the registers that a run without `RUN_SPRS_LOST` keeps for
    /// it: a guest's have to be loaded.
    pub hosts_sprs: AtomicBool,
    /// Who left first and why, as VCORE_RUN answers it.
    pub first: AtomicU64,
    /// When the run is to end.
    pub deadline_tb: AtomicU64,
    pub record: RunnersOwn,
}

impl PresentRun {
    pub(super) const fn new() -> Self {
        Self {
            seating: Seating::new(),
            outcomes: Outcomes::new(),
            at_leaving: AtomicU16::new(0),
            rung: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            struck: AtomicBool::new(false),
            untouched: AtomicU8::new(0),
            fp_clean: AtomicBool::new(false),
            hosts_sprs: AtomicBool::new(false),
            first: AtomicU64::new(0),
            deadline_tb: AtomicU64::new(0),
            record: RunnersOwn::new(),
        }
    }
}

//! What a run leaves with its core while guests have the core's threads.
use crate::smt::objects::Vcore;
use core::cell::UnsafeCell;
use hcalls::run::RUN_KEEP_SLB;
use platform::cpu::guest::SavedSlb;
use platform::cpu::world::Host;
use vcore::Mask;

/// The host's SLB was kept.
pub const KEEPS_SLB: u8 = RUN_KEEP_SLB as u8;
/// The run is traced.
pub const RUN_TRACED: u8 = 1 << 4;
/// A doorbell was rung that its vcpu hasn't heard.
pub const RUNG: u8 = 1 << 5;
/// An IPI was taken that may have been the host's as well: it gets one.
pub const OWES_IPI: u8 = 1 << 6;
/// [`super::PresentRun::interrupted`] is to be taken back.
pub const INTERRUPTED: u8 = 1 << 7;

/// What a run keeps until its end: thread 0 leaves it here while a guest has its stack.
#[derive(Debug)]
pub struct Running {
    pub vcore: Option<&'static Vcore>,
    pub host: Host,
    /// The host's SLB, if it is kept.
    pub slb: SavedSlb,
    /// What is owed to the host beside its answer: [`KEEPS_SLB`], [`RUNG`], [`OWES_IPI`],
    /// [`INTERRUPTED`].
    pub afterwards: u8,
    /// Slots whose doorbell was rung and not heard.
    pub rung: Mask,
    /// The call's arguments, which its results replace.
    pub args: usize,
    /// Threads called when the run began.
    pub called: Mask,
    pub started_tb: u64,
    /// The run's number, as the host is told it.
    pub generation: u64,
}

impl Running {
    /// The arguments of the call that has begun the run.
    #[expect(clippy::mut_from_ref, reason = "they lie elsewhere")]
    #[inline(always)]
    pub fn args(&self) -> &mut [u64; 8] {
        // SAFETY: `run` has set the address, of arguments in the frame of the host's call, which
        // ends with the run; only thread 0 has the record.
        unsafe { &mut *core::ptr::with_exposed_provenance_mut(self.args) }
    }
}

/// A core's [`Running`], which its thread 0 alone may touch.
#[derive(Debug)]
pub struct RunnersOwn(UnsafeCell<Running>);

// SAFETY: only one thread of all ever reaches the content, as `get` demands.
unsafe impl Sync for RunnersOwn {}

impl RunnersOwn {
    pub(super) const fn new() -> Self {
        Self(UnsafeCell::new(Running {
            vcore: None,
            host: Host::new(),
            slb: SavedSlb::new(),
            afterwards: 0,
            rung: 0,
            args: 0,
            called: 0,
            started_tb: 0,
            generation: 0,
        }))
    }

    /// # Safety
    /// The caller is this core's thread 0, and holds no other reference to it.
    #[expect(
        clippy::mut_from_ref,
        reason = "the caller's promise makes it the only one"
    )]
    #[inline(always)]
    pub unsafe fn get(&self) -> &mut Running {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.0.get() }
    }
}

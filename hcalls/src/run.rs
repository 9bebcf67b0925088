//! VCORE_RUN, VCPU_SET_STATE, VCORE_KICK and CORE_CLAIM: their flags and packed results.
use crate::bit;
use num_enum::{IntoPrimitive, TryFromPrimitive};

/// VCORE_RUN r7: the host needs its own SLB back. Without it the SLB comes back empty.
pub const RUN_KEEP_SLB: u64 = bit(0);
/// VCORE_RUN r7: the host's FP/VMX/VSX registers hold nothing that a guest may not see.
pub const RUN_FP_CLEAN: u64 = bit(1);
/// VCORE_RUN r7: since they last came out, the host has written nothing but `gpr`, `pc`, `msr`, `cr`,
/// `lr`, `ctr`, `xer`, SRR0, SRR1, `dec_expires_tb`, `ppr` and `mmcr0` in the pages of the vcpus that
/// run, and on this thread none of the registers that a run loses. A thread that still holds a
/// vcpu's other registers then doesn't load them again.
pub const RUN_UNTOUCHED: u64 = bit(2);
/// VCORE_RUN r7: the host has nothing in SPRG0-3, FSCR, DSCR, TAR, PSPB, UAMOR, AMR, IAMR, PID and
/// VRSAVE that it needs back: this run loses them, too. With [`RUN_UNTOUCHED`] it has not written
/// them on this thread since the last run that lost them, either.
pub const RUN_SPRS_LOST: u64 = bit(3);
/// All flags of this version; any other is refused.
pub const RUN_FLAGS: u64 = RUN_KEEP_SLB | RUN_FP_CLEAN | RUN_UNTOUCHED | RUN_SPRS_LOST;

/// A vcpu's state (B7), VCPU_SET_STATE r5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u64)]
pub enum VcpuState {
    /// Ready to enter its guest.
    Runnable = 0,
    /// Idle: does not hold back its siblings.
    Blocked = 1,
    /// The host does work for it.
    Busy = 2,
}

/// What became of each vcpu that VCPU_SET_STATE made runnable: masks of slots in r4.
pub const JOINED_SHIFT: u32 = 0;
pub const QUEUED_SHIFT: u32 = 8;
/// VCPU_SET_STATE r4: every vcpu is now runnable or blocked, at least one is runnable, and the
/// vcore isn't running: run it (B9).
pub const SET_COMPLETE: u64 = bit(16);

/// VCORE_RUN r6: slots whose doorbell was rung and not heard yet, above those that have ceded; one
/// of them that has ceded is to run again.
pub const RUNG_SHIFT: u32 = 8;
/// VCORE_RUN r7: the slot that left first in the upper half, its [`crate::ExitReason`] below.
pub const FIRST_SLOT_SHIFT: u32 = 32;
/// VCORE_RUN r8 when no vcpu that ran has a decrementer to wait for.
pub const NO_DECREMENTER: u64 = u64::MAX;

/// VCORE_KICK r5: something waits for the guest (`pending` in the pages). Those vcpus of the mask that
/// are in the guest look for it, and go on there; nobody comes out (L5). The other bits of a cause are
/// the caller's own.
pub const KICK_GUEST: u64 = bit(63);

/// CORE_CLAIM r4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u64)]
pub enum ClaimAction {
    /// Only tell: r4 = a [`CoreState`].
    Status = 0,
    /// The firmware takes the core's secondaries; ends a fence when they all answer.
    Claim = 1,
    /// The host gets them: START_CPU starts them, VCORE_RUN is refused there.
    Release = 2,
}

/// Who has a core's secondaries, CORE_CLAIM's r4 on return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u64)]
pub enum CoreState {
    /// The firmware: vcores can run.
    Held = 0,
    /// The host.
    Released = 1,
    /// A thread never came back; CORE_CLAIM tries again to get it.
    Fenced = 2,
}

/// VCORE_DOORBELLS r4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u64)]
pub enum DoorbellsAction {
    /// Nothing is changed.
    Tell = 0,
    /// Those of the mask are rung, and no others.
    Set = 1,
}

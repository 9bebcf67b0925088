//! Why a vcpu came out of its guest.
use num_enum::{IntoPrimitive, TryFromPrimitive};

/// The reason in a vcpu page's firmware line, and in VCORE_RUN's r7.
///
/// The interrupt vector that brought the thread out stands beside it as the page's `trap`
/// (Power ISA 2.07 Book III-S 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u32)]
pub enum ExitReason {
    /// Has not run since the run began (trap 0).
    None = 0,
    /// `sc 1` that the host has to serve: number in GPR3 (vector 0xc00).
    Hypercall = 1,
    /// The run's deadline came (0x980).
    Deadline = 2,
    /// A host interrupt is pending on the runner and was left unread (0x500).
    External = 3,
    /// Hypervisor data storage: HDAR, HDSISR (0xe00).
    DataStorage = 4,
    /// Hypervisor instruction storage: HSRR1 (0xe20).
    InstructionStorage = 5,
    /// Hypervisor emulation assistance: HEIR (0xe40).
    EmulationAssist = 6,
    /// A program interrupt that the machine gave to the hypervisor (0x700).
    Program = 7,
    /// Hypervisor facility unavailable: HFSCR's cause field (0xf80).
    FacilityUnavailable = 8,
    /// Machine check (0x200): DSISR, DAR as the machine left them in the firmware line.
    MachineCheck = 9,
    /// Hypervisor maintenance: HMER (0xe60).
    Maintenance = 10,
    /// System reset (0x100).
    SystemReset = 11,
    /// VCORE_KICK asked for it.
    Kick = 12,
    /// Every vcpu of the vcore that ran has ceded; this one was among them.
    Ceded = 13,
    /// Pulled out since a sibling left; nothing to serve, still runnable.
    Pulled = 14,
    /// Another interrupt that the guest should not have caused; the vector is in `trap`.
    Unexpected = 15,
}

//! Machine state register bits (Power ISA 2.07 Book III-S 3.2.1) and what SRR1 adds to them.
use crate::{ibm, ibm_field};

/// 64-bit mode.
pub const SF: u64 = ibm(0);
/// Hypervisor state.
pub const HV: u64 = ibm(3);
/// Transaction state.
pub const TS: u64 = ibm_field(29, 30);
/// Transactional memory available.
pub const TM: u64 = ibm(31);
/// Vector (VMX) available.
pub const VEC: u64 = ibm(38);
/// VSX available.
pub const VSX: u64 = ibm(40);
/// External interrupts enabled.
pub const EE: u64 = ibm(48);
/// Problem state.
pub const PR: u64 = ibm(49);
/// Floating point available.
pub const FP: u64 = ibm(50);
/// Machine checks enabled.
pub const ME: u64 = ibm(51);
/// Instruction relocation.
pub const IR: u64 = ibm(58);
/// Data relocation.
pub const DR: u64 = ibm(59);
/// Recoverable interrupt.
pub const RI: u64 = ibm(62);
/// Little-endian.
pub const LE: u64 = ibm(63);

/// What the firmware itself runs with: 64-bit, hypervisor, real mode, big-endian.
pub const FIRMWARE: u64 = SF | HV | ME | RI;
/// What a guest may run with: never in hypervisor state, nor with transactional memory. ME comes with it.
pub const GUEST: u64 = !(HV | TS | TM | SRR1_CAUSE);
/// SRR1 and HSRR1 bits that tell of the interrupt and are no part of the MSR (6.2.1).
pub const SRR1_CAUSE: u64 = ibm_field(33, 36) | ibm_field(42, 47);
/// SRR1 at 0x100: woken from a power-saving mode, and how much was lost (6.5.1).
pub const SRR1_WOKEN: u64 = ibm_field(46, 47);

/// Whether a system reset has ended the nap of which this is SRR1: bits 42:45 are 0b0100 (6.5.1).
#[must_use]
pub const fn woken_by_reset(srr1: u64) -> bool {
    srr1 & ibm_field(42, 45) == ibm(43)
}

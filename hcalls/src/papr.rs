//! The PAPR hypercalls (`sc 1`, number in r3) that catnap serves without leaving the vcore.
//! PAPR 14.11.

/// Give up the thread until an interrupt, a prod or the decrementer; MSR\[EE\] is set on return.
pub const H_CEDE: u64 = 0xe0;
/// Yield to the vcpu whose id is in r4, as long as its yield count is the one in r5. r4 = [`ANYONE`]:
/// yield to whoever has work.
pub const H_CONFER: u64 = 0xe4;
/// Wake the vcpu whose id is in r4, or let its next H_CEDE return at once.
pub const H_PROD: u64 = 0xe8;

/// No vcpu in particular, for H_CONFER.
pub const ANYONE: u64 = u64::MAX;

pub const H_SUCCESS: u64 = 0;
pub const H_FUNCTION: u64 = -2i64 as u64;
pub const H_PARAMETER: u64 = -4i64 as u64;

//! The PAPR hypercalls (`sc 1`, number in r3) that catnap serves without leaving the vcore.
//! PAPR 14.11.
use crate::ibm;

/// Give up the thread until an interrupt, a prod or the decrementer; MSR\[EE\] is set on return.
pub const H_CEDE: u64 = 0xe0;
/// Yield to the vcpu whose id is in r4, as long as its yield count is the one in r5. r4 = [`ANYONE`]:
/// yield to whoever has work.
pub const H_CONFER: u64 = 0xe4;
/// Wake the vcpu whose id is in r4, or let its next H_CEDE return at once.
pub const H_PROD: u64 = 0xe8;

/// Calls on the guest's page table: PAPR 14.5.4.1. Taken out; put in; told; C or R cleared; protection
/// changed; up to four taken out.
pub const H_REMOVE: u64 = 0x04;
pub const H_ENTER: u64 = 0x08;
pub const H_READ: u64 = 0x0c;
pub const H_CLEAR_MOD: u64 = 0x10;
pub const H_CLEAR_REF: u64 = 0x14;
pub const H_PROTECT: u64 = 0x18;
pub const H_BULK_REMOVE: u64 = 0x124;

/// Their flags: this place and no other of its group; four entries; the page has to be this; bits that must
/// not be set; the page is to be cleared, or copied to, first.
pub const H_EXACT: u64 = ibm(24);
pub const H_READ_4: u64 = ibm(26);
pub const H_AVPN: u64 = ibm(32);
pub const H_ANDCOND: u64 = ibm(33);
pub const H_ZERO_PAGE: u64 = ibm(48);
pub const H_COPY_PAGE: u64 = ibm(49);

/// No vcpu in particular, for H_CONFER.
pub const ANYONE: u64 = u64::MAX;

pub const H_SUCCESS: u64 = 0;
pub const H_FUNCTION: u64 = -2i64 as u64;
pub const H_PARAMETER: u64 = -4i64 as u64;
/// All places of the group, or the one that was asked for, are taken.
pub const H_PTEG_FULL: u64 = -6i64 as u64;
/// The entry isn't there, or isn't the one that was meant.
pub const H_NOT_FOUND: u64 = -7i64 as u64;

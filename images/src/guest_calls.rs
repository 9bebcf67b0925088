//! The hypercalls between these images: `sc 1` with the number in r3, arguments from r4 on, and
//! the result in r3. The host serves them; those that catnap serves are in [`hcalls::papr`].

/// PAPR 14.11's terminal output: r4 = terminal (0), r5 = number of bytes, up to 16, r6 and r7 =
/// the bytes, the first one leftmost in r6.
pub const H_PUT_TERM_CHAR: u64 = 0x58;

// PAPR leaves 0xf000–0xfffc to the platform's own calls; numbers are multiples of 4.

/// This vcpu has done its work: r4 = guest real address of the 32 bytes of its digest. It is not
/// run again.
pub const H_DONE: u64 = 0xf800;
/// An interrupt came that the guest has no use for: r4 = vector, r5 = SRR0, r6 = SRR1, r7 = DAR,
/// r8 = DSISR.
pub const H_UNEXPECTED: u64 = 0xf804;
/// The guest's code has failed: r4 = line in its source file, 0 if unknown.
pub const H_PANIC: u64 = 0xf808;
/// A behaviour guest tells where it is: r4 = step, r5–r8 as that guest says.
pub const H_REPORT: u64 = 0xf80c;

/// The answer to a hypercall from problem state.
pub const H_PRIVILEGE: u64 = -3i64 as u64;
/// Most bytes of one H_PUT_TERM_CHAR.
pub const TERM_BYTES: usize = 16;
/// Bytes of a digest (SHA-256).
pub const DIGEST_BYTES: usize = 32;

//! The first instructions: the boot thread's entry, other cores' entry, the call into OPAL, and
//! the interrupt vectors.

/// Real addresses of the vectors that [`install_vectors`] fills.
const VECTORS_BYTES: usize = 0x1000;

/// In r1–r9's places: what goes into a call of OPAL and what comes out.
#[derive(Default)]
#[repr(C)]
pub struct CallRegisters {
    /// In: arguments. Out: `[0]` is the status, `[1..7]` are further results.
    pub r3_to_r10: [u64; 8],
    pub token: u64,
    pub opal_base: u64,
    pub opal_entry: u64,
}

/// How many registers [`FOUND`] names.
const FOUND_LEN: usize = 35;
/// Registers that a thread notes in its first instructions; the MSR is the last.
pub const FOUND: [&str; FOUND_LEN] = [
    "LPCR", "HRMOR", "LPIDR", "PCR", "HFSCR", "DEC", "HDEC", "DAWRX", "CIABR", "MMCR0", "AMOR",
    "PPR", "CTRL", "HMEER", "DPDES", "HSPRG0", "SPRG0", "SPRG1", "SPRG2", "SPRG3", "FSCR", "DSCR",
    "TAR", "PID", "UAMOR", "AMR", "IAMR", "VRSAVE", "SRR0", "SRR1", "DAR", "DSISR", "XER", "HMER",
    "MSR",
];

#[cfg_attr(not(target_arch = "powerpc64"), path = "entry/elsewhere.rs")]
mod machine;
#[cfg(target_arch = "powerpc64")]
mod vectors;

pub use machine::*;

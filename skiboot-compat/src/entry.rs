//! What a host finds in its registers when it is entered (ePAPR 1.1 section 5.4, OPAL API
//! "boot"): r3 = the tree, r4 = r5 = 0, r6 = [`R6`], r7 = length of the memory that is mapped,
//! r8 = OPAL's base address, r9 = OPAL's entry.

/// "ePAP".
pub const R6: u64 = 0x6550_4150;
/// Real addresses in which kernels expect their file.
pub const KERNEL_BASE: u64 = 0x2000_0000;

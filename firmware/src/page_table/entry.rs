//! The bits of a page table entry (Power ISA 2.07 Book III-S 5.7.7.1).
use asm::{ibm, ibm_field};

/// The first doubleword: the segment's size.
pub const SEGMENT_SIZE: u64 = ibm_field(0, 1);
/// The page is larger than 4 KiB.
pub const LARGE: u64 = ibm(61);
/// The entry is in its secondary group.
pub const SECONDARY: u64 = ibm(62);
/// The hardware may use it.
pub const VALID: u64 = ibm(63);
/// Four bits of software's own.
pub const SOFTWARE: u64 = ibm_field(57, 60);
/// Of these, as Linux's hypervisor has them (`HPTE_V_ABSENT` of its `asm/book3s/64/mmu-hash.h`): the guest has
/// the entry, and the host what is missing for it to be valid.
pub const ABSENT: u64 = ibm(58);
/// And `HPTE_V_HVLOCK`: the host is changing the entry. Meanwhile it may have neither of the others, though
/// the guest has it.
pub const LOCKED: u64 = ibm(57);

/// What of the first doubleword says which page it is for, and in which of its groups.
pub const IDENTITY: u64 = !(SOFTWARE | VALID);

//! What a machine check of a guest was about: SRR1 and DSISR as POWER8 sets them (POWER8 User's Manual,
//! "Machine Check Interrupt").

use crate::ibm;

/// SRR1: a load or store has failed, and DSISR tells why. Otherwise SRR1\[43:45\] tells of a fetch.
const LOAD_OR_STORE: u64 = ibm(42);
const FETCH_SHIFT: u32 = 63 - 45;
/// DSISR.
const MEMORY: u64 = ibm(48);
const TABLE_WALK: u64 = ibm(49);
const ERAT: u64 = ibm(52) | ibm(54);
const TLB: u64 = ibm(53);
const SLB: u64 = ibm(55) | ibm(56) | ibm(57);

/// Where the error was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The data or instruction itself could not be had.
    Memory,
    /// An entry of the page table could not be had.
    TableWalk,
    /// The segment lookaside buffer has an entry with a wrong parity, or two for one address.
    Slb,
    /// Two entries for one address where translations are cached for a thread.
    Erat,
    /// The same where they are cached for a core.
    Tlb,
    /// Not told, or in no way that is known here.
    Unknown,
}

impl Place {
    /// The place, by the registers as the interrupt has left them.
    #[must_use]
    pub const fn of(srr1: u64, dsisr: u64) -> Self {
        if srr1 & LOAD_OR_STORE != 0 {
            return Self::of_load(dsisr);
        }
        match srr1 >> FETCH_SHIFT & 7 {
            1 => Self::Memory,
            2 | 3 => Self::Slb,
            4 => Self::Erat,
            5 => Self::Tlb,
            6 => Self::TableWalk,
            _ => Self::Unknown,
        }
    }

    const fn of_load(dsisr: u64) -> Self {
        // More than one bit: what has to be cleared up comes first.
        if dsisr & TLB != 0 {
            Self::Tlb
        } else if dsisr & SLB != 0 {
            Self::Slb
        } else if dsisr & ERAT != 0 {
            Self::Erat
        } else if dsisr & TABLE_WALK != 0 {
            Self::TableWalk
        } else if dsisr & MEMORY != 0 {
            Self::Memory
        } else {
            Self::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_told_by_dsisr() {
        let places = [
            (0x8000, Place::Memory),
            (0x4000, Place::TableWalk),
            (0x0800, Place::Erat),
            (0x0400, Place::Tlb),
            (0x0200, Place::Erat),
            (0x0100, Place::Slb),
            (0x0080, Place::Slb),
            (0x0040, Place::Slb),
            (0, Place::Unknown),
            (0x0c80, Place::Tlb),
            (0x8100, Place::Slb),
        ];
        for (dsisr, place) in places {
            // A fetch's field means nothing then.
            assert_eq!(Place::of(0x20_0000 | 5 << 18, dsisr), place, "{dsisr:#x}");
        }
    }

    #[test]
    fn fetches_are_told_by_srr1() {
        let places = [
            (1, Place::Memory),
            (2, Place::Slb),
            (3, Place::Slb),
            (4, Place::Erat),
            (5, Place::Tlb),
            (6, Place::TableWalk),
            (0, Place::Unknown),
            (7, Place::Unknown),
        ];
        for (field, place) in places {
            // An old DSISR means nothing then.
            let srr1 = 0x8000_0000_0000_1032 | field << 18;
            assert_eq!(Place::of(srr1, 0x0400), place, "{field}");
        }
    }
}

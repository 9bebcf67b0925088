//! From an effective address and its segment to where its entry is, and what that looks like.
use super::entry::{AVPN, LARGE, SEGMENT_SIZE};

/// Where the VSID begins in the SLB entry of a segment of 256 MiB, and of one of 1 TiB
/// (Power ISA 2.07 Book III-S 5.7.6.1).
const VSID_SHIFT: u32 = 12;
const VSID_SHIFT_1T: u32 = 24;
/// Segments of 1 TiB.
const SIZE_1T: u64 = 1 << 62;
/// The page's number within its segment goes on below the VSID, both in an SLB entry and in the first doubleword
/// of a page table entry, with the effective address's bits shifted right by so many: of 256 MiB and of 1 TiB.
const PAGE_SHIFT: u32 = 16;
/// A segment of 1 TiB hashes its VSID with itself, shifted left by so many (5.7.7.3).
const HASH_SHIFT_1T: u32 = 25;

/// A page's entry, as one looks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sought {
    /// Names the primary group; its complement the secondary one.
    pub hash: u64,
    /// The first doubleword in the primary group, without the bits that aren't part of the name.
    pub identity: u64,
}

/// L and LP of an SLB entry (POWER8 User's Manual, "Segment Lookaside Buffer").
const SIZE: u64 = L | 3 << 4;
const L: u64 = 1 << 8;

impl Sought {
    /// The entry of effective `address` in a segment, given as `slbmte` takes it; none for pages and segments of
    /// sizes that POWER8 hasn't.
    #[inline(always)]
    #[must_use]
    pub fn new(segment: u64, address: u64) -> Option<Self> {
        let (vsid_shift, within) = match segment & SEGMENT_SIZE {
            0 => (VSID_SHIFT, address & ((1 << 28) - 1)),
            SIZE_1T => (VSID_SHIFT_1T, address & ((1 << 40) - 1)),
            _ => return None,
        };
        let vsid = (segment & !SEGMENT_SIZE) >> vsid_shift;
        let folded = match vsid_shift {
            VSID_SHIFT_1T => vsid ^ vsid << HASH_SHIFT_1T,
            _ => vsid,
        };
        let above = segment >> vsid_shift << vsid_shift;
        let name = above | within >> PAGE_SHIFT;
        // What is below the page's number isn't part of the name.
        let (page_shift, identity) = match segment & SIZE {
            0 => (12, name & AVPN),
            L => (24, name & !0xff | LARGE),
            0x110 => (16, name & AVPN | LARGE),
            0x120 => (34, name & !0x3_ffff | LARGE),
            _ => return None,
        };
        Some(Self {
            hash: folded ^ within >> page_shift,
            identity,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LP_64K: u64 = 1 << 4;
    const T1: u64 = 1 << 62;

    /// Worked out by hand from the formulas of 5.7.7.3.
    #[test]
    fn places_and_names_are_the_isas() {
        let of = |segment, address| {
            let it = Sought::new(segment, address).unwrap();
            (it.hash, it.identity)
        };
        // 4 KiB pages, 256 MiB: VSID 0x123, page 0xabcd.
        assert_eq!(
            of(0x123 << 12, 0xc000_0000_0abc_d123),
            (0x123 ^ 0xabcd, (0x123 << 12) | 0xa80)
        );
        // 64 KiB.
        assert_eq!(
            of(0x123 << 12 | L | LP_64K, 0x0abc_d123),
            (0x123 ^ 0xabc, (0x123 << 12) | 0xa80 | LARGE)
        );
        // 16 MiB, 1 TiB: the virtual real mode area's segment.
        let vrma = 0x1ff_ffff_u64;
        assert_eq!(
            of(T1 | vrma << 24 | L, 5 << 24),
            (vrma ^ vrma << 25 ^ 5, 0x4001_ffff_ff00_0504)
        );
        // The highest address of a segment of 1 TiB with pages of 16 GiB.
        assert_eq!(
            of(T1 | 1 << 24 | L | 2 << 4, u64::MAX),
            (1 ^ 1 << 25 ^ 0x3f, T1 | 1 << 24 | 0xfc_0000 | LARGE)
        );
    }

    #[test]
    fn what_no_machine_has_isnt_sought() {
        for segment in [2 << 62, 3 << 62, LP_64K, 3 << 4, L | 3 << 4] {
            assert_eq!(Sought::new(segment, 0), None, "{segment:#x}");
        }
    }
}

//! From an effective address and its segment to where its entry is, and what that looks like.
use super::entry::{LARGE, SEGMENT_SIZE};

/// The VSID of a segment of 256 MiB, and of one of 1 TiB, begins here in the SLB entry; the page number
/// within it goes on below (Power ISA 2.07 Book III-S 5.7.6.1).
const SEGMENTS: [(u32, u32); 2] = [(12, 28), (24, 40)];
/// The virtual address's bits from here up are in the first doubleword of a page table entry ...
const ABBREVIATED: u32 = 23;
/// ... shifted right by so many.
const AVPN_SHIFT: u32 = 16;
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

/// The shift of the base page size by L and LP of an SLB entry; none for sizes that POWER8 hasn't
/// (POWER8 User's Manual, "Segment Lookaside Buffer").
#[inline(always)]
fn page_shift(segment: u64) -> Option<u32> {
    Some(match segment >> 6 & 4 | segment >> 4 & 3 {
        0 => 12,
        4 => 24,
        5 => 16,
        6 => 34,
        _ => return None,
    })
}

impl Sought {
    /// The entry of effective `address` in a segment, given as `slbmte` takes it.
    #[inline(always)]
    #[must_use]
    pub fn new(segment: u64, address: u64) -> Option<Self> {
        let page_shift = page_shift(segment)?;
        let (vsid_shift, segment_shift) = *SEGMENTS.get((segment >> 62) as usize)?;
        let vsid = (segment & !SEGMENT_SIZE) >> vsid_shift;
        let offset = address & ((1 << segment_shift) - 1);
        let folded = match vsid_shift {
            24 => vsid ^ vsid << HASH_SHIFT_1T,
            _ => vsid,
        };
        let page = vsid << (segment_shift - AVPN_SHIFT) | offset >> AVPN_SHIFT;
        let lowest = page_shift.max(ABBREVIATED) - AVPN_SHIFT;
        let large = if page_shift > 12 { LARGE } else { 0 };
        Some(Self {
            hash: folded ^ offset >> page_shift,
            identity: segment & SEGMENT_SIZE | page >> lowest << lowest | large,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const L: u64 = 1 << 8;
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

//! Sizes of pages, and how `tlbie` names one (Power ISA 2.07 Book III-S 5.9.3.3).
use super::entry::{AVPN, LARGE, SECONDARY};

/// What an entry's L and LP say of sizes that are served; `shift` is of the segment's pages and of this one.
#[inline(always)]
pub const fn shift(first: u64, second: u64) -> Option<u32> {
    if first & LARGE == 0 {
        return Some(12);
    }
    match second >> 12 & 0xff {
        0 => Some(24),
        lp if lp & 0xf == 1 => Some(16),
        _ => None,
    }
}

/// LP lies in bits 44 to 51, of which a page's size leaves some to its address.
const LP: u64 = 0xff << 12;
/// The bits of the virtual page that an entry's place has and its first doubleword hasn't.
const FROM_PLACE: u64 = 0x7ff;

/// RB for the page of this entry, which is in the table at `index`.
#[inline(always)]
pub const fn tlbie_rb(first: u64, second: u64, index: u64, shift: u32) -> u64 {
    let segment_size = first >> 62;
    let group = if first & SECONDARY == 0 {
        index >> 3
    } else {
        !(index >> 3)
    };
    // The hash undone: it is the segment's number and the page's, one on the other.
    let vsid = if segment_size & 1 == 0 {
        first >> 12
    } else {
        first >> 24
    };
    let page = (group ^ vsid) & FROM_PLACE;
    let name = (first & AVPN) << 16 | segment_size << 8;
    if shift == 12 {
        return name | page << 12;
    }
    let within = (1 << shift) - 1;
    let upper = (name | page << shift & 0x7f_f000) & !within | segment_size << 8;
    // Lowest bits of the virtual page number: AVAL.
    let lower = page << (shift - 12) & 0xfe;
    upper | lower | second & LP & within | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_power8s() {
        assert_eq!(shift(0, 0xff << 12), Some(12));
        assert_eq!(shift(LARGE, 0xf1 << 12), Some(16));
        assert_eq!(shift(LARGE, 0), Some(24));
        for lp in [0x10, 0x20, 2, 3, 7, 8, 0x38] {
            assert_eq!(shift(LARGE, lp << 12), None, "{lp:#x}");
        }
    }

    /// Worked out by hand: VSID 0x123, pages 0xabcd of 4 KiB and 0xabc of 64 KiB, a table of 2^11 groups.
    #[test]
    fn a_page_is_named_from_either_group() {
        let first = 0x123 << 12 | 0xa80;
        let hash = 0x123 ^ 0xabcd_u64;
        let name = 0x123 << 28 | 0xabc_d000;
        assert_eq!(tlbie_rb(first, 0, (hash & 0x7ff) << 3 | 5, 12), name);
        let other = first | SECONDARY;
        assert_eq!(tlbie_rb(other, 0, (!hash & 0x7ff) << 3, 12), name);
        let hash = 0x123 ^ 0xabc_u64;
        assert_eq!(
            tlbie_rb(first | LARGE, 0x7_1000, (hash & 0x7ff) << 3, 16),
            0x123 << 28 | 0xabc_0000 | 0x1000 | 0xc0 | 1
        );
        // A segment of 1 TiB, and a page of 16 MiB in it.
        let vrma = 1 << 62 | 0x1ff_ffff << 24 | 0x500;
        let hash = 0x1ff_ffff ^ 5_u64;
        assert_eq!(
            tlbie_rb(vrma | LARGE, 0, (hash & 0x7ff) << 3, 24),
            0x1ff_ffff << 40 | 5 << 24 | 1 << 8 | 1
        );
    }
}

//! The machine's free memory, handed out for good: a host that lives as long as its guests needs
//! no way to give memory back.
use alloc::vec::Vec;
use core::ops::Range;

/// Ranges of real addresses that nobody uses, in ascending order.
pub struct Ram {
    free: Vec<Range<u64>>,
}

impl Ram {
    /// All of `ram` but what is in `reserved`.
    pub fn new(ram: &[Range<u64>], reserved: &[Range<u64>]) -> Self {
        let mut free = ram.to_vec();
        free.sort_by_key(|range| range.start);
        let mut ram = Self { free };
        for range in reserved {
            ram.remove(range);
        }
        ram
    }

    /// Takes the lowest `len_bytes` that begin at a multiple of `align_bytes`, a power of two.
    pub fn take(&mut self, len_bytes: u64, align_bytes: u64) -> Option<Range<u64>> {
        assert!(align_bytes.is_power_of_two());
        let fit = |free: &Range<u64>| {
            let start = free.start.checked_next_multiple_of(align_bytes)?;
            let end = start.checked_add(len_bytes)?;
            (end <= free.end).then_some(start..end)
        };
        let range = self.free.iter().find_map(fit)?;
        self.remove(&range);
        Some(range)
    }

    /// Whether all of `range` is free.
    pub fn is_free(&self, range: &Range<u64>) -> bool {
        self.free
            .iter()
            .any(|free| free.start <= range.start && range.end <= free.end)
    }

    fn remove(&mut self, gone: &Range<u64>) {
        if gone.is_empty() {
            return;
        }
        let around = |free: Range<u64>| {
            let below = free.start..free.end.min(gone.start);
            let above = free.start.max(gone.end)..free.end;
            [below, above]
        };
        self.free = core::mem::take(&mut self.free)
            .into_iter()
            .flat_map(around)
            .filter(|range| !range.is_empty())
            .collect();
    }
}

#[cfg(test)]
#[expect(
    clippy::single_range_in_vec_init,
    reason = "lists of ranges, some of length 1"
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn skips_what_is_reserved() {
        let mut ram = Ram::new(&[0..0x10000], &[0..0x1000, 0x3000..0x5000]);
        assert_eq!(ram.take(0x1000, 0x1000), Some(0x1000..0x2000));
        assert_eq!(ram.take(0x2000, 0x1000), Some(0x5000..0x7000));
        assert_eq!(ram.take(0x1000, 0x1000), Some(0x2000..0x3000));
        assert_eq!(ram.take(0x4000, 0x4000), Some(0x8000..0xc000));
        assert_eq!(ram.take(0x8000, 0x1000), None);
    }

    #[test]
    fn reserved_ranges_may_overlap_and_lie_outside() {
        let ram = Ram::new(
            &[0x1000..0x9000],
            &[0..0x2000, 0x1800..0x3000, 0x8000..u64::MAX],
        );
        assert!(ram.is_free(&(0x3000..0x8000)));
        assert!(!ram.is_free(&(0x2fff..0x3001)));
        assert!(!ram.is_free(&(0x7000..0x8001)));
    }

    #[test]
    fn no_address_overflows() {
        let mut ram = Ram::new(&[u64::MAX - 10..u64::MAX], &[]);
        assert_eq!(ram.take(1, 0x1000), None);
        assert_eq!(ram.take(u64::MAX, 1), None);
    }

    proptest! {
        #[test]
        fn nothing_is_given_twice(sizes in proptest::collection::vec((1u64..0x3000, 0u32..14), 1..40)) {
            let reserved = [0x4000..0x4800, 0x9000..0xa001];
            let mut ram = Ram::new(&[0..0x20000], &reserved);
            let mut given: Vec<Range<u64>> = reserved.to_vec();
            for (len, shift) in sizes {
                let Some(range) = ram.take(len, 1 << shift) else { continue };
                prop_assert_eq!(range.end - range.start, len);
                prop_assert_eq!(range.start % (1 << shift), 0);
                prop_assert!(range.end <= 0x20000);
                for other in &given {
                    prop_assert!(range.end <= other.start || other.end <= range.start);
                }
                given.push(range);
            }
        }
    }
}

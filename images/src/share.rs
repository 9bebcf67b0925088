//! How the input is divided: a share for each guest, a slice of it for each of its vcpus.
use core::ops::Range;

/// `len * index / parts`, which a product of two 64-bit numbers could overflow.
fn cut(len: u64, index: u64, parts: u64) -> u64 {
    (len / parts) * index + (len % parts) * index / parts
}

/// Slice `index` of the `parts` slices of a share of `len` bytes, `[len*i/n, len*(i+1)/n)`.
///
/// The slices cover the share in order and without overlap, and differ by at most one byte. With
/// fewer bytes than parts some of them are empty.
pub fn slice(len: u64, index: u64, parts: u64) -> Range<u64> {
    assert!(index < parts && parts < 1 << 31, "slice {index} of {parts}");
    cut(len, index, parts)..cut(len, index + 1, parts)
}

/// The share of guest `index` when `len` bytes are divided by the guests' numbers of vcpus.
pub fn share(len: u64, vcpus: &[u64], index: usize) -> Range<u64> {
    let total: u64 = vcpus.iter().sum();
    let before: u64 = vcpus[..index].iter().sum();
    assert!(total < 1 << 31, "{total} vcpus");
    cut(len, before, total)..cut(len, before + vcpus[index], total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_divided_into_empty_slices() {
        assert_eq!(slice(0, 0, 8), 0..0);
        assert_eq!(slice(0, 7, 8), 0..0);
    }

    #[test]
    fn three_bytes_for_eight() {
        let ends: Vec<u64> = (0..8).map(|i| slice(3, i, 8).end).collect();
        assert_eq!(ends, [0, 0, 1, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn shares_follow_the_number_of_vcpus() {
        let vcpus = [1, 2, 4, 8];
        assert_eq!(share(150, &vcpus, 0), 0..10);
        assert_eq!(share(150, &vcpus, 3), 70..150);
    }

    proptest! {
        #[test]
        fn slices_cover_and_are_even(len: u64, parts in 1u64..300) {
            let mut at = 0;
            for index in 0..parts {
                let slice = slice(len, index, parts);
                prop_assert_eq!(slice.start, at);
                let size = slice.end - slice.start;
                prop_assert!(size == len / parts || size == len / parts + 1);
                at = slice.end;
            }
            prop_assert_eq!(at, len);
        }

        #[test]
        fn shares_cover(len: u64, vcpus in proptest::collection::vec(1u64..9, 1..20)) {
            let mut at = 0;
            for index in 0..vcpus.len() {
                let share = share(len, &vcpus, index);
                prop_assert_eq!(share.start, at);
                at = share.end;
            }
            prop_assert_eq!(at, len);
        }
    }
}

//! Which core runs which guest.
use alloc::vec::Vec;

/// The core, from 0, of each guest: the widest first, forth and back over the cores, so that each
/// core gets about the same number of vcpus.
pub fn place(vcpus: &[u64], cores: usize) -> Vec<usize> {
    let mut widest_first: Vec<usize> = (0..vcpus.len()).collect();
    widest_first.sort_by_key(|&guest| core::cmp::Reverse(vcpus[guest]));
    let mut core_of = alloc::vec![0; vcpus.len()];
    for (turn, &guest) in widest_first.iter().enumerate() {
        let (round, step) = (turn / cores, turn % cores);
        core_of[guest] = if round % 2 == 0 {
            step
        } else {
            cores - 1 - step
        };
    }
    core_of
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_guests_on_two_cores() {
        assert_eq!(place(&[1, 2, 4, 8], 2), [0, 1, 1, 0]);
    }

    #[test]
    fn all_on_the_only_core() {
        assert_eq!(place(&[8, 8, 1], 1), [0, 0, 0]);
    }

    #[test]
    fn fewer_guests_than_cores() {
        assert_eq!(place(&[4], 3), [0]);
    }

    #[test]
    fn third_round_goes_forth_again() {
        assert_eq!(place(&[8; 6], 2), [0, 1, 1, 0, 0, 1]);
    }
}

//! Letters, seats and who was called, thread by thread.
extern crate std;
use super::*;
use std::vec::Vec;

/// Letters differ, and none is 0.
fn letter(slot: usize) -> u64 {
    0x1000 + slot as u64
}

fn letters(slots: &[usize]) -> impl Iterator<Item = u64> {
    slots.iter().map(|slot| letter(*slot))
}

fn seats(seating: &Seating) -> Vec<u64> {
    (0..THREADS).map(|ptid| seating.seat(ptid)).collect()
}

#[test]
fn packed_vcpus_get_the_lowest_threads_in_turn() {
    for len in 0..=THREADS {
        let slots: Vec<usize> = (0..len).rev().collect();
        let seating = Seating::new();
        let taken = seating.assign_packed(letters(&slots));
        assert_eq!(u32::from(taken), (1 << len) - 1);
        assert_eq!(seating.taken(), taken);
        for (ptid, slot) in slots.into_iter().enumerate() {
            assert_eq!(seating.seat(ptid), letter(slot));
            assert_eq!(seating.find(letter(slot)), Some(ptid));
            assert_eq!(seating.take_letter(ptid), letter(slot));
        }
        assert!((0..THREADS).all(|ptid| !seating.has_letter(ptid)));
    }
}

#[test]
fn aligned_vcpus_get_the_thread_of_their_slot() {
    for mask in 0..=u8::MAX {
        let seating = Seating::new();
        let slots = (0..THREADS).rev().filter(|slot| mask >> slot & 1 != 0);
        let taken = seating.assign_aligned(slots.map(|slot| (slot, letter(slot))));
        assert_eq!((taken, seating.taken()), (mask, mask));
        for ptid in 0..THREADS {
            let has = mask >> ptid & 1 != 0;
            assert_eq!(seating.has_letter(ptid), has);
            assert_eq!(seating.find(letter(ptid)), has.then_some(ptid));
            let wanted = if has { letter(ptid) } else { 0 };
            assert_eq!(
                (seating.seat(ptid), seating.take_letter(ptid)),
                (wanted, wanted)
            );
        }
    }
}

#[test]
fn a_letter_is_taken_once_and_can_be_put_back() {
    let seating = Seating::new();
    seating.assign_packed(letters(&[5, 2]));
    // Both ways to take one differ in their order among other accesses alone.
    for take in [Seating::take_letter, Seating::take_letter_behind_barrier] {
        for (ptid, slot) in [5, 2].into_iter().enumerate() {
            assert_eq!(take(&seating, ptid), letter(slot));
            assert!(!seating.has_letter(ptid));
            assert_eq!(take(&seating, ptid), 0);
            seating.put_back(ptid);
            assert!(seating.has_letter(ptid));
        }
    }
}

#[test]
fn late_joiners_are_added_to_who_is_there() {
    let seating = Seating::new();
    seating.assign_packed(letters(&[0, 1]));
    seating.take_letter(0);
    let mut taken = 0b11;
    for ptid in [7, 2, 6] {
        assert_eq!(seating.find(letter(ptid)), None);
        seating.join(ptid, letter(ptid));
        taken |= 1 << ptid;
        assert_eq!(seating.taken(), taken);
        assert_eq!(seating.find(letter(ptid)), Some(ptid));
        assert_eq!(seating.take_letter(ptid), letter(ptid));
    }
    // Who was there still is.
    assert!(!seating.has_letter(0) && seating.has_letter(1));
    assert_eq!(seats(&seating)[..2], [letter(0), letter(1)]);
}

/// Seats of the last run are still there; a vcpu is found in the present one alone.
#[test]
fn only_this_runs_seats_are_found() {
    let seating = Seating::new();
    seating.assign_packed(letters(&[0, 1, 2, 3]));
    (0..THREADS).for_each(|ptid| {
        seating.take_letter(ptid);
    });
    seating.assign_packed(letters(&[3]));
    assert_eq!(
        seats(&seating)[..4],
        [letter(3), letter(1), letter(2), letter(3)]
    );
    assert_eq!(seating.find(letter(3)), Some(0));
    for slot in [0, 1, 2, 4] {
        assert_eq!(seating.find(letter(slot)), None);
    }
    // It has moved to a thread that is behind an old seat of its own.
    seating.assign_aligned([(3, letter(3))].into_iter());
    assert_eq!(seating.find(letter(3)), Some(3));
}

//! Steps that need both words, as one thread alone can see them. What comes of two at once the explorations see.
use super::*;
use crate::roster::State;

/// A roster of three whose slots 0 and 1 are in the queue and run; the run's number.
fn running() -> (Roster, Generation) {
    let roster = Roster::new();
    assert!((0..3).all(|slot| roster.add(slot)));
    roster.set_state(0b11, State::Runnable).unwrap();
    let generation = roster.begin(0, 0, true).unwrap().generation();
    (roster, generation)
}

#[test]
fn a_run_is_opened_for_those_with_seats() {
    let (roster, generation) = running();
    let entry = Entry::new();
    assert_eq!(open(&roster, &entry, generation, 0b11), None);
    let now = entry.snapshot();
    assert!(!now.leaving());
    assert_eq!((now.outstanding(), now.generation()), (0b11, generation));
}

/// The kicker found no word to ask (B12, B17).
#[test]
fn a_kick_before_the_word_is_open_brings_the_run_out() {
    let (roster, generation) = running();
    let entry = Entry::new();
    roster.kick(1 << 1).unwrap();
    assert_eq!(bring_out(&entry), None);
    assert_eq!(open(&roster, &entry, generation, 0b11), None);
    assert!(entry.snapshot().leaving());
}

#[test]
fn a_kick_of_who_does_not_run_leaves_the_run_alone() {
    let (roster, generation) = running();
    let entry = Entry::new();
    roster.kick(1 << 2).unwrap();
    assert_eq!(open(&roster, &entry, generation, 0b11), None);
    assert!(!entry.snapshot().leaving());
}

#[test]
fn who_is_in_the_guest_is_called_once() {
    let (roster, generation) = running();
    let entry = Entry::new();
    assert_eq!(open(&roster, &entry, generation, 0b11), None);
    assert!(entry.enter(0) && entry.enter(1));
    assert_eq!(bring_out(&entry), Some(1));
    assert!(entry.snapshot().leaving());
    assert_eq!(bring_out(&entry), None);
}

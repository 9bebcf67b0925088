//! The roster against a plain model of what the host wants of each vcpu.
extern crate std;
use super::*;
use asm::sim::random::{self, Random};
use std::vec::Vec;

#[path = "roster_tests/model.rs"]
mod model;

use model::{Model, mask};

/// What a host can do.
#[derive(Clone, Copy, Debug)]
enum Step {
    Add(usize),
    Remove(usize),
    Kill,
    Revive,
    Begin {
        runnable: Mask,
        blocked: Mask,
        eager: bool,
    },
    /// The run is over; masks of those in the queue.
    End {
        busy: Mask,
        blocked: Mask,
    },
    /// The same, with nobody blocked and perhaps nobody kicked.
    TryEnd {
        busy: Mask,
    },
    Set(Mask, State),
    Hold,
    Joined,
    Kick(Mask),
}

fn queue(now: Snapshot) -> Vec<usize> {
    now.queue().collect()
}

fn assert_alike(roster: &Roster, model: &Model) {
    let now = roster.snapshot();
    assert_eq!(now.present(), model.all());
    assert_eq!(now.runnable(), mask(&model.queue));
    assert_eq!(now.blocked(), mask(&model.blocked));
    assert_eq!(now.kicked(), mask(&model.kicked));
    assert_eq!(now.running(), model.running);
    assert_eq!(u64::from(now.generation()), model.runs & 3);
    assert_eq!(queue(now), model.queue);
    assert_eq!(now.runnable() & now.blocked(), 0);
    assert_eq!((now.runnable() | now.blocked()) & !now.present(), 0);
}

/// Ends a run in which `kicked` were kicked: not before they have been told.
fn end(roster: &Roster, busy: Mask, blocked: Mask, kicked: Mask) {
    if kicked != 0 {
        assert_eq!(roster.end(busy, blocked, 0), Err(kicked));
    }
    assert_eq!(roster.end(busy, blocked, kicked), Ok(()));
}

/// Takes a step on both; steps that only the firmware can take are left out where it wouldn't.
fn take(roster: &Roster, model: &mut Model, step: Step) {
    match step {
        Step::Add(slot) => assert_eq!(roster.add(slot), model.add(slot)),
        Step::Remove(slot) => assert_eq!(roster.remove(slot), model.remove(slot)),
        Step::Kill => assert_eq!(roster.kill(), model.kill()),
        Step::Revive => {
            roster.revive();
            model.dead = false;
        }
        Step::Begin {
            runnable,
            blocked,
            eager,
        } => {
            let begun = roster.begin(runnable, blocked, eager).map(queue);
            assert_eq!(begun, model.begin(runnable, blocked, eager));
            if let Err(Refusal::Kicked(_)) = begun {
                // Their pages are written now: nobody goes away (B6).
                let before = roster.snapshot();
                assert!(before.running() && !roster.kill());
                assert!((0..8).all(|slot| !roster.remove(slot)));
                assert_eq!(roster.snapshot(), before);
                roster.told();
            }
        }
        Step::End { busy, blocked } if model.running => {
            let (busy, blocked) = (busy & mask(&model.queue), blocked & mask(&model.queue));
            end(roster, busy, blocked, model.end(busy, blocked));
        }
        Step::TryEnd { busy } if model.running => {
            let busy = busy & mask(&model.queue);
            let quiet = mask(&model.kicked) & mask(&model.queue) == 0;
            assert_eq!(roster.try_end(busy), quiet);
            quiet.then(|| model.end(busy, 0));
        }
        Step::Set(wanted, state) => {
            assert_eq!(roster.set_state(wanted, state), model.set(wanted, state));
        }
        Step::Hold => assert_eq!(roster.hold(), model.hold()),
        Step::Joined if model.joining > 0 => {
            roster.joined();
            model.joining -= 1;
        }
        Step::Kick(wanted) => assert_eq!(roster.kick(wanted), model.kick(wanted)),
        Step::End { .. } | Step::TryEnd { .. } | Step::Joined => {}
    }
    assert_alike(roster, model);
}

/// Mostly of the first few, so that most exist where there are few vcpus.
fn any_slots(random: &Random) -> u8 {
    match random.once_in(5) {
        true => random.below(256) as u8,
        false => random.below(8) as u8,
    }
}

fn step(random: &Random) -> Step {
    let slot = if random.once_in(5) { 8 } else { 3 };
    let slot = random.below(slot) as usize;
    let (some, others) = (any_slots(random), any_slots(random));
    match random.below(31) {
        0..3 => Step::Add(slot),
        3 => Step::Remove(slot),
        4 => Step::Kill,
        5 => Step::Revive,
        6..11 => Step::Begin {
            runnable: some,
            blocked: if random.once_in(5) {
                others
            } else {
                others & !some
            },
            eager: random.once_in(2),
        },
        11..15 => Step::End {
            busy: some,
            blocked: others,
        },
        15..21 => {
            let states = [State::Runnable, State::Blocked, State::Busy];
            Step::Set(some, random.pick(&states))
        }
        21..25 => Step::Joined,
        25 => Step::Hold,
        26..28 => Step::TryEnd { busy: some },
        _ => Step::Kick(some),
    }
}

const SEQUENCES: u64 = 20_000;
const STEPS: usize = 60;

#[test]
fn any_sequence_is_as_the_model_has_it() {
    for seed in random::seeds(SEQUENCES) {
        let random = Random::new(seed);
        let (roster, mut model) = (Roster::new(), Model::default());
        for _ in 0..STEPS {
            take(&roster, &mut model, step(&random));
        }
    }
}

/// A kick is answered at the latest when the kicked vcpu is to run (B12, B16, B17): until then it
/// is kept, and no run begins with it.
#[test]
fn no_kick_is_forgotten() {
    for seed in random::seeds(SEQUENCES) {
        let random = Random::new(seed);
        let (roster, mut model) = (Roster::new(), Model::default());
        assert!((0..3).all(|slot| roster.add(slot) && model.add(slot)));
        for _ in 0..STEPS {
            let before = roster.snapshot();
            let step = step(&random);
            take(&roster, &mut model, step);
            let now = roster.snapshot();
            if now.running() && !before.running() {
                assert_eq!(now.kicked() & now.runnable(), 0);
            }
            let forgotten = before.kicked() & !now.kicked();
            // A run that ended or didn't begin has told of it, or the vcpu is gone.
            let told = matches!(step, Step::Begin { .. } | Step::End { .. });
            assert!(told || forgotten & now.present() == 0, "{step:?}");
        }
    }
}

/// The queue of a roster of eight after these vcpus were made runnable one by one.
fn queued(order: &[usize]) -> Roster {
    let roster = Roster::new();
    (0..8).for_each(|slot| assert!(roster.add(slot)));
    for &slot in order {
        roster.set_state(1 << slot, State::Runnable).unwrap();
    }
    roster
}

/// B14.
#[test]
fn threads_are_packed_in_order_of_arrival() {
    let roster = queued(&[5, 2, 7, 0]);
    assert_eq!(queue(roster.snapshot()), [5, 2, 7, 0]);
    roster.kick(1 << 2).unwrap();
    assert_eq!(queue(roster.snapshot()), [5, 7, 0]);
    let begun = roster.begin(0, 0, true).unwrap();
    assert_eq!(queue(begun), [5, 7, 0]);
}

#[test]
fn all_eight_fit() {
    let order = [7, 6, 5, 4, 3, 2, 1, 0];
    let roster = queued(&order);
    assert_eq!(queue(roster.begin(0, 0, false).unwrap()), order);
    assert_eq!(roster.begin(0, 0, true), Err(Refusal::Busy));
    assert_eq!(roster.end(0x0f, 0xf0, 0), Ok(()));
    assert_eq!(roster.snapshot().blocked(), 0xf0);
    assert_eq!(roster.snapshot().queue_len(), 0);
}

/// B9.
#[test]
fn the_change_that_completes_the_set_says_so() {
    let roster = queued(&[0]);
    roster.set_state(0xfe, State::Busy).unwrap();
    for slot in 1..7 {
        assert!(
            !roster
                .set_state(1 << slot, State::Blocked)
                .unwrap()
                .complete
        );
    }
    assert!(roster.set_state(1 << 7, State::Blocked).unwrap().complete);
}

/// A place is used again: nothing of the former vcore counts.
#[test]
fn a_reset_roster_is_a_new_one() {
    let roster = queued(&[3, 1]);
    roster.begin(0, 0, true).unwrap();
    roster.kick(1 << 3).unwrap();
    roster.reset();
    assert_eq!(roster.snapshot(), Roster::new().snapshot());
}

#[test]
fn no_run_begins_while_a_core_is_joining() {
    let roster = queued(&[0]);
    roster.begin(0, 0, true).unwrap();
    assert!(roster.set_state(1 << 1, State::Runnable).unwrap().running);
    assert_eq!(roster.end(0, 0, 0), Ok(()));
    assert_eq!(roster.begin(0, 0, true), Err(Refusal::Busy));
    assert!(!roster.remove(1) && !roster.kill());
    roster.joined();
    assert_eq!(queue(roster.begin(0, 0, true).unwrap()), [0, 1]);
}

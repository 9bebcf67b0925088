//! Who goes on. The machine's threads take turns on one thread of the build host's; at each access to
//! what they share the schedule says whether another one goes on. The same seed makes the same schedule.
extern crate std;
use super::hart::{Hart, State};
use super::random::Random;
use super::{Machine, machine};
use core::cell::{Cell, RefCell};
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::boxed::Box;
use std::rc::Rc;
use std::vec::Vec;

/// What a thread of the machine is for the scheduler.
type Turns = Coroutine<(), (), ()>;

/// More accesses than any schedule needs.
const MOST_POINTS: u64 = 4_000_000;
/// Time goes forward in leaps once everybody waits: the first, and the longest.
const FIRST_LEAP_TB: u64 = 64;
const LONGEST_LEAP_TB: u64 = 1 << 28;
/// When everybody has waited so long and nothing has changed, nothing will: 80 s.
const NEVER_TB: u64 = 80 * 512_000_000;

/// How threads take turns.
#[derive(Debug)]
pub enum Policy {
    /// At each access another one goes on, once in so many.
    Random(u64),
    /// The one with the highest priority goes on; at each of these accesses it becomes the lowest
    /// ("A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", Burckhardt et al.).
    Priorities(Vec<u64>),
}

impl Policy {
    /// One of both kinds, by the seed.
    #[must_use]
    pub fn any(random: &Random) -> Self {
        match random.below(6) {
            0 => Self::Random(1),
            1 => Self::Random(3),
            2 => Self::Random(20),
            kind => {
                let range = 1 << (7 + kind * 2);
                let changes = 2 + random.below(6);
                Self::Priorities((0..changes).map(|_| random.below(range)).collect())
            }
        }
    }
}

/// What the scheduler keeps of itself.
#[derive(Debug)]
pub struct Schedule {
    pub random: Random,
    policy: Policy,
    /// By hart: the higher one goes on.
    priorities: RefCell<Vec<u64>>,
    points: Cell<u64>,
    /// Counts what has changed, so that who waits for a change isn't asked before.
    changes: Cell<u64>,
    leaps: Cell<u64>,
    leap_tb: Cell<u64>,
    waited_tb: Cell<u64>,
}

impl Schedule {
    pub(super) fn new(seed: u64, harts: usize) -> Self {
        let random = Random::new(seed);
        let policy = Policy::any(&random);
        let priorities = (0..harts)
            .map(|_| 1 << 32 | random.below(1 << 31))
            .collect();
        Self {
            random,
            policy,
            priorities: RefCell::new(priorities),
            points: Cell::new(0),
            changes: Cell::new(0),
            leaps: Cell::new(0),
            leap_tb: Cell::new(FIRST_LEAP_TB),
            waited_tb: Cell::new(0),
        }
    }

    pub(super) fn now(&self) -> (u64, u64) {
        (self.changes.get(), self.leaps.get())
    }

    /// Whether another thread may go on after this access of `hart`'s.
    fn is_over(&self, hart: usize) -> bool {
        let point = self.points.get() + 1;
        self.points.set(point);
        assert!(point < MOST_POINTS, "a schedule without end");
        match &self.policy {
            Policy::Random(times) => self.random.once_in(*times),
            Policy::Priorities(lowered) => {
                if lowered.contains(&point) {
                    self.lower(hart);
                }
                // One that was woken may be higher.
                true
            }
        }
    }

    /// Below all others.
    fn lower(&self, hart: usize) {
        let mut priorities = self.priorities.borrow_mut();
        let lowest = priorities.iter().min().copied().unwrap_or(1);
        priorities[hart] = lowest.saturating_sub(1);
    }

    fn pick(&self, ready: &[usize]) -> usize {
        match self.policy {
            Policy::Random(_) => ready[self.random.below(ready.len() as u64) as usize],
            Policy::Priorities(_) => {
                let priorities = self.priorities.borrow();
                *ready.iter().max_by_key(|&&hart| priorities[hart]).unwrap()
            }
        }
    }

    /// Nobody can go on before time does.
    fn leap(&self, machine: &Machine) {
        let now_tb = machine.now_tb();
        let step_tb = self.leap_tb.get();
        self.leap_tb.set((2 * step_tb).min(LONGEST_LEAP_TB));
        let until_tb = machine
            .next_event_tb()
            .map_or(now_tb + step_tb, |event_tb| {
                event_tb.clamp(now_tb + 1, now_tb + step_tb)
            });
        machine.time_tb.set(until_tb);
        self.waited_tb.set(self.waited_tb.get() + until_tb - now_tb);
        assert!(
            self.waited_tb.get() < NEVER_TB,
            "nobody goes on: {:#?}",
            machine.harts.iter().map(Hart::tell).collect::<Vec<_>>()
        );
        self.leaps.set(self.leaps.get() + 1);
    }
}

/// Something that others may wait for has changed.
pub fn changed() {
    if super::is_machine() {
        let machine = machine();
        let schedule = &machine.schedule;
        schedule.changes.set(schedule.changes.get() + 1);
        schedule.leap_tb.set(FIRST_LEAP_TB);
        schedule.waited_tb.set(0);
    }
}

std::thread_local! {
    static YIELDER: Cell<*const Yielder<(), ()>> = const { Cell::new(core::ptr::null()) };
}

/// An access to what threads share: another one may go on before it.
pub fn point() {
    if super::is_machine() && !YIELDER.get().is_null() {
        let machine = machine();
        machine.tick();
        if machine.schedule.is_over(super::current()) {
            suspend();
        }
        super::hart().strike_firmware();
    }
}

/// Lets others go on; comes back when `state` lets it.
pub(super) fn wait(state: State) {
    let hart = super::hart();
    hart.state.set(state);
    suspend();
    hart.state.set(State::Ready);
}

fn suspend() {
    let yielder = YIELDER.get();
    // SAFETY: the scheduler resumes a coroutine only after it has put this one's own yielder there,
    // which lives on the coroutine's stack.
    unsafe { (*yielder).suspend(()) };
}

/// Runs all harts until each host's program has ended and each secondary naps for good.
pub(super) fn run(machine: &Rc<Machine>, lives: Vec<Box<dyn FnOnce()>>) {
    let mut yielders = Vec::new();
    let mut turns: Vec<Option<Turns>> = Vec::new();
    for life in lives {
        let place: Rc<Cell<*const Yielder<(), ()>>> = Rc::new(Cell::new(core::ptr::null()));
        yielders.push(Rc::clone(&place));
        turns.push(Some(Coroutine::new(move |yielder, ()| {
            place.set(core::ptr::from_ref(yielder));
            YIELDER.set(place.get());
            life();
        })));
    }
    let _over = Over;
    while let Some(next) = next(machine) {
        super::CURRENT.set(next);
        YIELDER.set(yielders[next].get());
        let turn = turns[next].as_mut().unwrap();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| turn.resume(())));
        match result {
            Ok(CoroutineResult::Yield(())) => {}
            Ok(CoroutineResult::Return(())) => machine.harts[next].state.set(State::Over),
            Err(failure) => {
                // The others' stacks stay: nothing of this schedule goes on.
                turns.into_iter().for_each(core::mem::forget);
                std::panic::resume_unwind(failure);
            }
        }
    }
}

/// No thread goes on any more.
struct Over;

impl Drop for Over {
    fn drop(&mut self) {
        YIELDER.set(core::ptr::null());
    }
}

/// Who goes on; none if all have come to their end.
fn next(machine: &Machine) -> Option<usize> {
    loop {
        let is_ready = |index: &usize| machine.harts[*index].is_ready(machine);
        let ready: Vec<usize> = (0..machine.harts.len()).filter(is_ready).collect();
        if !ready.is_empty() {
            return Some(machine.schedule.pick(&ready));
        }
        if machine.harts.iter().all(Hart::is_at_its_end) {
            return None;
        }
        machine.schedule.leap(machine);
    }
}

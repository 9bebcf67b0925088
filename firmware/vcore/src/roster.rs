//! What the host wants of each vcpu of a vcore: its state, its place in the queue, its kicks.
//!
//! | bits | field | meaning |
//! | --- | --- | --- |
//! | 0–7 | present | the slot has a vcpu |
//! | 8–15 | runnable | it is in the queue: waits, or runs |
//! | 16–23 | blocked | idle; present but in neither: its owner is busy for it (B7) |
//! | 24–31 | kicked | a kick that no run has answered yet |
//! | 32–55 | order | slots of the queue, 3 bits each, first come first (B14) |
//! | 56–59 | joining | host cores at work on its vcpus: each starts a late joiner, or tells of a kick |
//! | 60 | running | a core runs the vcore |
//! | 61 | dead | destroyed |
//! | 62–63 | generation | of the present or last run, modulo 4 |
//!
//! No run begins while a core is joining: so the run that a joiner sees here is the one it finds
//! in the entry word, or that one is over. And no vcpu goes away meanwhile: its page is written.

pub(super) mod snapshot;

use super::Generation;
use super::bits::Mask;
use super::word::Word;
pub use snapshot::Snapshot;
use snapshot::{BLOCKED, KICKED, PRESENT};
use snapshot::{DEAD, GENERATION_SHIFT, JOINING, JOINING_ONE, RUNNING};

/// The word.
#[derive(Debug, Default)]
pub struct Roster(Word);

/// Why a run doesn't begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It runs on another core (B25).
    Busy,
    /// A slot that has no vcpu, or one that is in both masks.
    NoSuchVcpu,
    /// The policy isn't met (B8).
    Constrained,
    /// These vcpus were kicked: they have left the queue, the kicks are answered (B12, B20). Until
    /// [`Roster::told`] the vcore counts as running, though its word isn't opened, and none of its
    /// vcpus can be removed: the caller writes their pages.
    Kicked(Mask),
    /// The vcore was destroyed.
    Dead,
}

/// A state that a host gives a vcpu (B7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Runnable,
    Blocked,
    Busy,
}

/// What a change of state has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Vcpus that are in the queue since this change.
    pub queued: Mask,
    /// The vcore runs: start them there, then call [`Roster::joined`].
    pub running: bool,
    /// Nobody is busy and somebody is runnable in a vcore that doesn't run (B9).
    pub complete: bool,
    /// The run's generation, modulo 4.
    pub generation: Generation,
}

/// What a kick has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kick {
    /// These left the queue at once (B16).
    pub interrupted: Mask,
    /// The vcore runs with some of them: bring it out (B17).
    pub running: bool,
}

/// What a host asks for with a run.
struct Wish {
    runnable: Mask,
    blocked: Mask,
    eager: bool,
}

impl Wish {
    /// The word with the run begun.
    #[inline(always)]
    fn admit(&self, now: Snapshot) -> Result<u64, Refusal> {
        let &Self {
            runnable, blocked, ..
        } = self;
        if now.0 & (RUNNING | DEAD | JOINING) != 0 {
            return Err(match now.running() || now.0 & DEAD == 0 {
                true => Refusal::Busy,
                false => Refusal::Dead,
            });
        }
        if runnable & blocked != 0 || (runnable | blocked) & !now.present() != 0 {
            return Err(Refusal::NoSuchVcpu);
        }
        let kicked = now.kicked() & (now.runnable() | runnable) & !blocked;
        if kicked != 0 {
            return Err(Refusal::Kicked(kicked));
        }
        let mut new = now;
        if blocked != 0 {
            new = Snapshot(BLOCKED.set(new.dequeue(blocked).0, blocked));
        }
        new = new.enqueue(runnable);
        if new.runnable() == 0 || !self.eager && !new.complete() {
            return Err(Refusal::Constrained);
        }
        Ok((new.0 | RUNNING).wrapping_add(1 << GENERATION_SHIFT))
    }
}

impl Roster {
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self(Word::new())
    }

    /// For tests that go through all states.
    #[cfg(all(test, not(loom)))]
    pub(super) fn with(word: u64) -> Self {
        Self(Word::with(word))
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.get())
    }

    /// The same to decide by alone: nothing that others wrote before counts as seen.
    #[inline(always)]
    pub fn peek(&self) -> Snapshot {
        Snapshot(self.0.peek())
    }

    fn update<T>(&self, mut change: impl FnMut(Snapshot) -> (Option<u64>, T)) -> T {
        self.0.update(|word| change(Snapshot(word)))
    }

    /// An empty vcore; only its creator may call this.
    pub fn reset(&self) {
        self.0.set(0);
    }

    /// A new vcpu, blocked (B4). False: the slot is taken, or the vcore is dead.
    pub fn add(&self, slot: usize) -> bool {
        let it = 1 << slot;
        self.update(|now| {
            if now.present() & it != 0 || now.0 & DEAD != 0 {
                return (None, false);
            }
            (Some(BLOCKED.set(PRESENT.set(now.0, it), it)), true)
        })
    }

    /// Takes a vcpu out of every count (B6). False: it runs, a join is under way, or a kick is being
    /// told.
    pub fn remove(&self, slot: usize) -> bool {
        let it = 1 << slot;
        self.update(|now| {
            let queued = now.runnable() & it != 0;
            if queued && now.running() || now.0 & JOINING != 0 {
                return (None, false);
            }
            let word = if queued { now.dequeue(it).0 } else { now.0 };
            let word = KICKED.clear(BLOCKED.clear(PRESENT.clear(word, it), it), it);
            (Some(word), true)
        })
    }

    /// Ends the vcore: nothing works on it any more. False: it runs, or a join is under way.
    pub fn kill(&self) -> bool {
        self.update(|now| {
            if now.running() || now.0 & JOINING != 0 {
                return (None, false);
            }
            (Some(now.0 | DEAD), true)
        })
    }

    /// Takes [`Roster::kill`] back.
    pub fn revive(&self) {
        self.0.clear_bits(DEAD);
    }

    /// The host asks for a run with `runnable` made runnable and `blocked` made blocked. On
    /// success the vcore is running, and the answer's queue says who runs in which order.
    #[inline(always)]
    pub fn begin(&self, runnable: Mask, blocked: Mask, eager: bool) -> Result<Snapshot, Refusal> {
        let wish = Wish {
            runnable,
            blocked,
            eager,
        };
        let now = self.peek();
        match wish.admit(now) {
            Ok(word) if self.0.exchange(now.0, word) => Ok(Snapshot(word)),
            _ => self.begin_or_refuse(runnable, blocked, eager),
        }
    }

    /// A wish that wasn't granted at once: granted now, or why not. Kicks are answered by this.
    #[cold]
    fn begin_or_refuse(
        &self,
        runnable: Mask,
        blocked: Mask,
        eager: bool,
    ) -> Result<Snapshot, Refusal> {
        let wish = Wish {
            runnable,
            blocked,
            eager,
        };
        self.update(|now| match wish.admit(now) {
            Ok(word) => (Some(word), Ok(Snapshot(word))),
            Err(Refusal::Kicked(kicked)) => {
                let left = now.dequeue(kicked & now.runnable()).0;
                let word = KICKED.clear(BLOCKED.clear(left, kicked), kicked);
                let held = (word | RUNNING) + JOINING_ONE;
                (Some(held), Err(Refusal::Kicked(kicked)))
            }
            Err(why) => (None, Err(why)),
        })
    }

    /// Whose kicks have refused a run has been told of it: the vcore can run again, and its vcpus
    /// can go.
    pub fn told(&self) {
        self.update(|now| (Some((now.0 & !RUNNING) - JOINING_ONE), ()));
    }

    /// The frequent end of a run: `busy` came out with something for the host, nobody had ceded,
    /// nobody was kicked. False: [`Roster::end`] has to end it.
    #[inline(always)]
    pub fn try_end(&self, busy: Mask) -> bool {
        let end = |word| {
            let now = Snapshot(word);
            let quiet = now.kicked() & now.runnable() == 0;
            quiet.then(|| now.dequeue(busy).0 & !RUNNING)
        };
        self.0.try_change(end).is_some()
    }

    /// The run is over: `busy` came out with something for the host, `blocked` had ceded. Vcpus
    /// kicked meanwhile leave the queue, too (B17, B34, B35), which `told` have been told: another
    /// core may run them at once. The error names all who must be told first.
    pub fn end(&self, busy: Mask, blocked: Mask, told: Mask) -> Result<(), Mask> {
        self.update(|now| {
            let kicked = now.kicked() & now.runnable();
            if kicked & !told != 0 {
                return (None, Err(kicked));
            }
            let new = now.dequeue(busy | blocked | kicked);
            let word = KICKED.clear(BLOCKED.set(new.0, blocked & !kicked), kicked);
            (Some(word & !RUNNING), Ok(()))
        })
    }

    /// Gives the vcpus of `mask` a state. `None`: one isn't there, or runs and so can't change.
    pub fn set_state(&self, mask: Mask, state: State) -> Option<Change> {
        self.update(|now| {
            let frozen = if now.running() {
                now.runnable() & mask
            } else {
                0
            };
            let absent = mask & !now.present() != 0 || now.0 & DEAD != 0;
            if absent || state != State::Runnable && frozen != 0 {
                return (None, None);
            }
            let queued = mask & !now.runnable();
            let joins = state == State::Runnable && now.running() && queued != 0;
            let new = match state {
                State::Runnable => now.enqueue(mask),
                State::Blocked => Snapshot(BLOCKED.set(now.dequeue(mask).0, mask)),
                State::Busy => Snapshot(BLOCKED.clear(now.dequeue(mask).0, mask)),
            };
            let change = Change {
                queued: if state == State::Runnable { queued } else { 0 },
                running: joins,
                complete: !now.running() && new.complete(),
                generation: now.generation(),
            };
            (
                Some(new.0 + if joins { JOINING_ONE } else { 0 }),
                Some(change),
            )
        })
    }

    /// No run begins, and no vcpu goes, until [`Roster::joined`]. False: a run goes on, or another core is
    /// at work on its vcpus.
    pub fn hold(&self) -> bool {
        self.update(|now| {
            if now.running() || now.0 & (DEAD | JOINING) != 0 {
                return (None, false);
            }
            (Some(now.0 + JOINING_ONE), true)
        })
    }

    /// A core that was told `running` by [`Roster::set_state`] has started what it could.
    pub fn joined(&self) {
        self.0.subtract(JOINING_ONE);
    }

    /// Kicks the vcpus of `mask`, or, with an empty one, all.
    pub fn kick(&self, mask: Mask) -> Option<Kick> {
        self.update(|now| {
            if mask & !now.present() != 0 || now.0 & DEAD != 0 {
                return (None, None);
            }
            let mask = if mask == 0 { now.present() } else { mask };
            if now.running() {
                let running = now.runnable() & mask != 0;
                return (
                    Some(KICKED.set(now.0, mask)),
                    Some(Kick {
                        interrupted: 0,
                        running,
                    }),
                );
            }
            let interrupted = mask & now.runnable();
            let word = KICKED.set(now.dequeue(interrupted).0, mask & !interrupted);
            (
                Some(word),
                Some(Kick {
                    interrupted,
                    running: false,
                }),
            )
        })
    }
}

#[cfg(all(test, not(loom)))]
#[path = "roster_tests.rs"]
mod tests;

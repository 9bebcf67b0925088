//! The steps of a host core that calls VCORE_RUN, as `smt::run` has them.

use super::flaw::Flaw;
use super::search::Steps;
use super::state::{At, Config, Core, Runner, State, Thread};
use crate::entry::Request;
use crate::roster::{Refusal, Snapshot};
use crate::{Mask, Slots};

/// Core `core` in one state.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    pub config: &'a Config,
    pub state: &'a State,
    pub core: usize,
}

impl Run<'_> {
    fn this(&self) -> &Core {
        &self.state.cores[self.core]
    }

    fn next(&self, runner: Runner) -> State {
        let mut next = *self.state;
        next.cores[self.core].runner = runner;
        next
    }

    /// All steps that the runner can take next, and what time does to its run.
    pub fn steps(&self, steps: &mut Steps) {
        match self.this().runner {
            Runner::Free if self.config.runs => self.begin(steps),
            Runner::Free => {}
            Runner::Assigning if self.config.is(Flaw::OpenBeforeAssign) => {
                self.assign_last(steps);
            }
            Runner::Assigning => steps.must("assign", self.assign()),
            Runner::Opening => steps.must("open", self.open()),
            Runner::Looking => {
                let now = self.state.wanted();
                let kicked = now.kicked() & now.runnable() != 0;
                let kicked = kicked && !self.config.is(Flaw::NoLookAtOpen);
                let runner = if kicked {
                    Runner::Requesting
                } else {
                    Runner::Calling
                };
                steps.must("look for kicks", self.next(runner));
            }
            Runner::Requesting => self.request(steps),
            Runner::Calling => steps.must("call", self.call()),
            Runner::Waiting => self.wait(steps),
            Runner::Ending(told) => steps.must("end", self.end(told)),
            Runner::Refusing(_) => {
                let mut next = self.next(Runner::Free);
                next.roster(|roster| roster.told());
                steps.must("let go", next);
            }
            Runner::TellingLate(mask) => self.tell_late(mask, steps),
        }
        let timed = self.config.time && !self.this().over;
        if timed && self.state.in_run() == Some(self.core) {
            let mut next = *self.state;
            next.cores[self.core].over = true;
            next.cores[self.core].hdec = self.config.all();
            steps.may("the time is up", next);
        }
        if self.config.ticks && self.this().hdec == 0 && self.this().runner == Runner::Waiting {
            let mut next = *self.state;
            next.cores[self.core].hdec = self.config.all();
            steps.may("a tick", next);
        }
    }

    /// VCORE_RUN, with every mask of vcpus made runnable.
    fn begin(&self, steps: &mut Steps) {
        for runnable in 0..=self.config.all() {
            let mut next = *self.state;
            if self.config.is(Flaw::BeginTwice) {
                next.roster &= !(1 << 60);
            }
            if self.config.is(Flaw::BeginWhileJoining) {
                next.roster &= !(0xf << 56);
            }
            let begun = next.roster(|roster| roster.begin(runnable, 0, self.config.eager));
            next.cores[self.core].runner = match begun {
                Ok(queue) => {
                    next.cores[self.core].queue = queue.0;
                    Runner::Assigning
                }
                Err(Refusal::Kicked(kicked)) => {
                    let late = self.config.is(Flaw::TellAfterEnd);
                    if late {
                        next.roster(|roster| roster.told());
                    } else {
                        tell(&mut next, kicked);
                    }
                    match late {
                        true => Runner::TellingLate(kicked),
                        false => Runner::Refusing(kicked),
                    }
                }
                Err(_) => continue,
            };
            steps.may("VCORE_RUN", next);
        }
    }

    /// Letters, seats, the vcore's core, the deadline.
    fn assign(&self) -> State {
        let mut next = self.next(Runner::Opening);
        next.runs_on = self.core as u8 + 1;
        let core = &mut next.cores[self.core];
        core.called = 0;
        let queue = Snapshot(core::mem::take(&mut core.queue));
        for (place, slot) in queue.queue().enumerate() {
            let ptid = if self.config.aligned { slot } else { place };
            core.threads[ptid].letter = slot as u8 + 1;
            core.threads[ptid].seat = slot as u8 + 1;
            core.called |= 1 << ptid;
        }
        core.taken = core.called;
        next
    }

    fn open(&self) -> State {
        let mut next = self.next(Runner::Looking);
        let generation = self.state.wanted().generation();
        let called = self.this().called;
        next.entry(|entry| entry.open(generation, called));
        next
    }

    /// The word first, the rest in a step of its own.
    fn assign_last(&self, steps: &mut Steps) {
        let generation = self.state.wanted().generation();
        if !crate::Entry::with(self.state.entry).is_open(generation) {
            let mut next = *self.state;
            let called = self.assign().cores[self.core].called;
            next.entry(|entry| entry.open(generation, called));
            return steps.must("open", next);
        }
        let mut next = self.assign();
        next.cores[self.core].runner = Runner::Looking;
        steps.must("assign", next);
    }

    fn request(&self, steps: &mut Steps) {
        for state in super::canon::alike(self.config, self.state, self.core) {
            let mut next = state;
            next.cores[self.core].runner = Runner::Calling;
            if let Request::Wake(ptid) = next.entry(|entry| entry.request())
                && !self.config.is(Flaw::NoIpiAtOpen)
            {
                next.cores[self.core].send(ptid);
            }
            steps.must("request", next);
        }
    }

    /// An IPI to each secondary; thread 0 sits down by itself.
    fn call(&self) -> State {
        let mut next = self.next(Runner::Waiting);
        let core = &mut next.cores[self.core];
        for ptid in Slots(core.called & !1) {
            core.send(ptid);
        }
        if core.called & 1 != 0 {
            sit(&mut core.threads[0]);
        }
        next
    }

    fn wait(&self, steps: &mut Steps) {
        let now = self.state.now();
        let runner = &self.this().threads[0];
        if runner.at != At::Idle {
            return;
        }
        let mut waited_for = now.outstanding();
        if self.config.is(Flaw::WaitForEnteredOnly) {
            waited_for &= now.entered();
        }
        if waited_for == 0 {
            if let Err(why) = super::invariants::run_is_over(self.state, self.core) {
                return steps.fail(why);
            }
            let mut next = self.next(Runner::Ending(0));
            next.runs_on = 0;
            steps.must("all have reported", next);
        } else if now.outstanding() & 1 != 0 && runner.letter != 0 {
            let mut next = *self.state;
            sit(&mut next.cores[self.core].threads[0]);
            steps.must("a letter for thread 0", next);
        }
    }

    fn end(&self, told: Mask) -> State {
        let mut next = *self.state;
        let (exited, ceded) = (self.this().exited, self.this().ceded);
        if told == 0 && ceded == 0 && next.roster(|roster| roster.try_end(exited)) {
            return self.done(next);
        }
        let kicked = self.state.wanted().kicked() & self.state.wanted().runnable();
        match next.roster(|roster| roster.end(exited, ceded, told)) {
            Ok(()) => {
                // A further kick of who has been told is answered by the same.
                tell(&mut next, kicked & told);
                self.done(next)
            }
            Err(kicked) if self.config.is(Flaw::TellAfterEnd) => {
                next.roster(|roster| roster.end(exited, ceded, kicked))
                    .unwrap();
                next = self.done(next);
                next.cores[self.core].runner = Runner::TellingLate(kicked);
                next
            }
            Err(kicked) => {
                tell(&mut next, kicked);
                next.cores[self.core].runner = Runner::Ending(told | kicked);
                next
            }
        }
    }

    /// Back to the host. What the core keeps of the run counts no more.
    fn done(&self, mut next: State) -> State {
        next.cores[self.core] = Core::default();
        next
    }

    /// Pages are written while another core may run their vcpus.
    fn tell_late(&self, kicked: Mask, steps: &mut Steps) {
        let uses = |core: &Core| {
            let at_work = |thread: &&Thread| thread.at != At::Idle;
            let slots = core
                .threads
                .iter()
                .filter(at_work)
                .map(|thread| 1 << (thread.seat - 1));
            slots.fold(0, |all: Mask, slot| all | slot)
        };
        let used = self
            .state
            .cores
            .iter()
            .map(uses)
            .fold(0, |all, slots| all | slots);
        if used & kicked != 0 {
            return steps.fail("a page is written that a thread uses");
        }
        let mut next = self.next(Runner::Free);
        tell(&mut next, kicked);
        steps.must("tell", next);
    }
}

fn sit(thread: &mut Thread) {
    thread.letter = 0;
    thread.at = At::Entering;
}

fn tell(state: &mut State, kicked: Mask) {
    Slots(kicked).for_each(|slot| state.pages[slot].kicked = false);
}

//! The steps of a hardware thread, as `smt::seat`, `smt::leave` and `smt::hypercall` have them.

use super::flaw::Flaw;
use super::search::Steps;
use super::state::{At, Config, Page, Reason, Runner, State, Then, Thread};
use crate::Slots;
use crate::entry::{self, Cede, Leave, Prod};

/// Thread `ptid` of core `core` in one state.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub config: &'a Config,
    pub state: &'a State,
    pub core: usize,
    pub ptid: usize,
}

impl Place<'_> {
    fn thread(&self) -> &Thread {
        &self.state.cores[self.core].threads[self.ptid]
    }

    fn slot(&self) -> usize {
        usize::from(self.thread().seat) - 1
    }

    fn me(&self) -> u8 {
        1 << self.ptid
    }

    fn leaving(&self) -> bool {
        self.state.now().leaving()
    }

    fn over(&self) -> bool {
        self.state.cores[self.core].over
    }

    fn next(&self, at: At) -> State {
        let mut next = *self.state;
        next.cores[self.core].threads[self.ptid].at = at;
        next
    }

    fn page<'a>(&self, state: &'a mut State) -> &'a mut Page {
        &mut state.pages[self.slot()]
    }

    /// All steps that this thread can take next.
    pub fn steps(&self, steps: &mut Steps) {
        match self.thread().at {
            At::Idle => self.idle(steps),
            At::Guest => self.guest(steps),
            At::Dozing => self.dozing(steps),
            At::Entering => steps.must("enter", self.enter()),
            At::Polled(first) => steps.must("look who calls", self.polled(first)),
            At::Awaiting(then) if self.thread().ipi => {
                steps.must("take a call", self.take_call(then));
            }
            At::Awaiting(_) => {}
            At::Looking => steps.must("look who leaves", self.look()),
            At::Ticked | At::Armed | At::Rearming => steps.must("set HDEC", self.hdec()),
            At::Waking => steps.must("leave the nap", self.wake()),
            At::TakingProd => steps.must("look for a prod", self.take_prod()),
            At::Woken(prodded) => steps.must("after the nap", self.woken(prodded)),
            At::Pulling { .. } | At::Rousing { .. } => {
                steps.must("bring others out", self.bring_others_out());
            }
            At::Leaving(reason) if self.config.is(Flaw::PullBeforeLeave) => {
                let mut next = self.next(At::LeavingLate(reason));
                next.cores[self.core].hdec = self.config.all();
                steps.must("expire HDEC", next);
            }
            At::LeavingLate(reason) => steps.must("leave", self.leave(reason)),
            At::Noting | At::Late | At::Leaving(_) | At::Reporting => {
                steps.must("go on", self.go_on());
            }
        }
    }

    /// A step on which no step of others depends, and which depends on none: what it looks at
    /// doesn't change any more, and what it writes is for later. The step before it was of no
    /// importance to others, or this one is not.
    fn go_on(&self) -> State {
        match self.thread().at {
            At::Noting => {
                let mut next = self.next(At::Guest);
                self.page(&mut next).prodded = false;
                next.entry(|entry| entry.note_prod(self.ptid));
                next
            }
            At::Late => {
                let mut next = self.next(At::Reporting);
                let prodded = self.state.now().prodded() & self.me() != 0;
                self.page(&mut next).prodded |= prodded;
                next.cores[self.core].late |= 1 << self.slot();
                next
            }
            At::Leaving(reason) => self.leave(reason),
            At::TakingProd => self.take_prod(),
            _ => {
                let mut next = self.next(At::Idle);
                next.entry(|entry| entry.report(self.ptid));
                next
            }
        }
    }

    /// This state, or in a coarse model the one after the steps that concern only this thread.
    pub fn settled(&self) -> State {
        let alone = match self.thread().at {
            At::Noting | At::Late | At::Reporting => true,
            At::TakingProd => !self.config.prods,
            // A prod may still come to one that has ceded.
            At::Leaving(reason) => {
                reason != Reason::Ceded && !self.config.is(Flaw::PullBeforeLeave)
            }
            _ => false,
        };
        if !alone || !self.config.coarse {
            return *self.state;
        }
        let next = self.go_on();
        Place {
            state: &next,
            ..*self
        }
        .settled()
    }

    fn look(&self) -> State {
        self.next(match self.leaving() {
            true => At::Leaving(Reason::Stay),
            false => At::Guest,
        })
    }

    fn idle(&self, steps: &mut Steps) {
        let opening = self.state.cores[self.core].runner == Runner::Opening;
        if self.ptid != 0 && opening && self.thread().letter != 0 && self.enters_early() {
            return steps.fail("a thread enters a run that isn't open");
        }
        if self.ptid == 0 || !self.thread().ipi {
            return;
        }
        if self.thread().letter == 0 {
            return steps.fail("a thread is woken without a letter");
        }
        let mut next = self.next(At::Entering);
        let thread = &mut next.cores[self.core].threads[self.ptid];
        thread.ipi = false;
        thread.letter = 0;
        steps.must("wake with a letter", next);
    }

    /// Somebody else's IPI wakes it when the letter is there, and the word isn't open yet.
    fn enters_early(&self) -> bool {
        match self.config.is(Flaw::EnterUncalled) {
            true => !self.leaving(),
            false => self.state.clone().entry(|entry| entry.enter(self.ptid)),
        }
    }

    fn enter(&self) -> State {
        let mut next = *self.state;
        let at = if self.config.is(Flaw::EnterUnchecked) {
            next.entry = entry::ENTERED.set(next.entry, self.me());
            At::Guest
        } else if !next.entry(|entry| entry.enter(self.ptid)) {
            At::Late
        } else if self.state.pages[self.slot()].prodded {
            At::Noting
        } else {
            At::Guest
        };
        next.cores[self.core].threads[self.ptid].at = at;
        next
    }

    fn guest(&self, steps: &mut Steps) {
        if self.state.cores[self.core].hdec & self.me() != 0 {
            steps.must("HDEC", self.take_hdec());
        }
        if self.thread().ipi {
            steps.must("an external interrupt", self.next(self.poll()));
        }
        steps.may("an exit", self.next(At::Leaving(Reason::Exit)));
        if self.config.ticks {
            // A device's interrupt, or one that is gone by then. An IPI can come after the poll.
            steps.may("an external interrupt", self.next(At::Polled(false)));
        }
        if self.config.cedes {
            steps.may("H_CEDE", self.cede());
        }
        if self.config.prods {
            for target in 0..self.config.threads {
                if let Some(next) = self.prod(target) {
                    steps.may("H_PROD", next);
                }
            }
        }
    }

    fn take_hdec(&self) -> State {
        let at = match (self.leaving(), self.over()) {
            (true, _) | (_, true) => At::Leaving(Reason::Stay),
            _ => At::Ticked,
        };
        let mut next = self.next(at);
        if !self.config.level {
            next.cores[self.core].hdec &= !self.me();
        }
        next
    }

    fn hdec(&self) -> State {
        let all = self.config.all();
        let mut next = self.next(match self.thread().at {
            At::Ticked => At::Armed,
            At::Armed if self.config.is(Flaw::NoLookAfterTick) => At::Guest,
            At::Armed if self.leaving() => At::Rearming,
            _ => At::Looking,
        });
        let hdec = &mut next.cores[self.core].hdec;
        match self.thread().at {
            // When the time is up it is negative again at once.
            At::Ticked if self.config.level && !self.over() => *hdec = 0,
            At::Rearming => *hdec = all,
            _ => {}
        }
        next
    }

    fn called(&self) -> bool {
        self.state.now().called() & self.me() != 0
    }

    /// Finds an IPI; with a flaw, first looks who calls.
    fn poll(&self) -> At {
        match self.config.is(Flaw::LookBeforePoll) {
            true => At::Polled(self.called()),
            false => At::Polled(self.thread().ipi),
        }
    }

    fn polled(&self, first: bool) -> State {
        let (ipi, called) = match self.config.is(Flaw::LookBeforePoll) {
            true => (self.thread().ipi, first),
            false => (first, self.called()),
        };
        if called {
            return self.next(At::Awaiting(Then::Look));
        }
        let mut next = self.next(At::Looking);
        if ipi {
            next.cores[self.core].threads[self.ptid].ipi = false;
        }
        next
    }

    fn take_call(&self, then: Then) -> State {
        let mut next = self.next(match then {
            Then::Look => At::Looking,
            Then::TakeProd => At::TakingProd,
            Then::Report => At::Reporting,
        });
        next.cores[self.core].threads[self.ptid].ipi = false;
        next.entry(|entry| entry.answered(self.ptid));
        next
    }

    fn cede(&self) -> State {
        let mut next = *self.state;
        let at = if self.config.is(Flaw::CedeUnchecked) && !self.leaving() {
            next.entry = entry::CEDED.set(next.entry, self.me());
            At::Dozing
        } else {
            match next.entry(|entry| entry.cede(self.ptid)) {
                Cede::Nap => At::Dozing,
                Cede::Prodded => {
                    self.page(&mut next).owed = false;
                    At::Guest
                }
                Cede::AllCeded | Cede::Leaving => At::Leaving(Reason::Ceded),
                // Nobody pokes here.
                Cede::Called => At::Guest,
            }
        };
        next.cores[self.core].threads[self.ptid].at = at;
        next
    }

    /// H_PROD of the vcpu of a slot, if that has a thread.
    fn prod(&self, slot: usize) -> Option<State> {
        let core = &self.state.cores[self.core];
        let seat = slot as u8 + 1;
        let ptid = Slots(core.taken).find(|ptid| core.threads[*ptid].seat == seat)?;
        let mut next = *self.state;
        match next.entry(|entry| entry.prod(ptid)) {
            Prod::NotHere => return None,
            Prod::Noted => {}
            Prod::Wake if self.config.is(Flaw::NoIpiForProd) => {}
            Prod::Wake => next.cores[self.core].send(ptid),
        }
        next.pages[slot].owed = true;
        Some(next)
    }

    fn dozing(&self, steps: &mut Steps) {
        if self.thread().ipi || self.over() {
            steps.must("an end to the nap", self.next(At::Waking));
        }
        // The guest's own decrementer.
        steps.may("an end to the nap", self.next(At::Waking));
    }

    fn wake(&self) -> State {
        let mut next = *self.state;
        let called = next.entry(|entry| entry.uncede(self.ptid));
        next.cores[self.core].threads[self.ptid].at = match called {
            true => At::Awaiting(Then::TakeProd),
            false => At::TakingProd,
        };
        next
    }

    fn take_prod(&self) -> State {
        let mut next = *self.state;
        let prodded = next.entry(|entry| entry.take_prod(self.ptid));
        if prodded {
            self.page(&mut next).owed = false;
        }
        next.cores[self.core].threads[self.ptid].at = At::Woken(prodded);
        next
    }

    fn woken(&self, prodded: bool) -> State {
        if !self.leaving() && !self.over() {
            return self.next(At::Guest);
        }
        self.next(At::Leaving(match prodded {
            true => Reason::Stay,
            false => Reason::Ceded,
        }))
    }

    fn leave(&self, mut reason: Reason) -> State {
        let mut next = *self.state;
        let leave = next.entry(|entry| entry.leave(self.ptid));
        if leave.prodded() && !self.config.is(Flaw::ProdForgotten) {
            if reason == Reason::Ceded {
                reason = Reason::Stay;
                self.page(&mut next).owed = false;
            } else {
                self.page(&mut next).prodded = true;
            }
        }
        let core = &mut next.cores[self.core];
        core.left = true;
        match reason {
            Reason::Exit => core.exited |= 1 << self.slot(),
            Reason::Ceded => core.ceded |= 1 << self.slot(),
            Reason::Stay => {}
        }
        core.threads[self.ptid].at = self.after_leaving(leave);
        next
    }

    fn after_leaving(&self, leave: Leave) -> At {
        let called = leave.called() && !self.config.is(Flaw::ReportUncalled);
        let rouse = leave.ceded();
        if !leave.first() {
            return after_all(called);
        }
        match leave.in_guest() {
            0 if rouse => At::Rousing { called },
            0 => after_all(called),
            _ => At::Pulling { rouse, called },
        }
    }

    fn bring_others_out(&self) -> State {
        let mut next = *self.state;
        let at = match self.thread().at {
            At::Pulling { rouse, called } => {
                if !self.config.is(Flaw::NoPull) && !self.config.is(Flaw::PullBeforeLeave) {
                    next.cores[self.core].hdec = self.config.all();
                }
                match rouse {
                    true => At::Rousing { called },
                    false => after_all(called),
                }
            }
            At::Rousing { called } => {
                for ptid in Slots(next.entry(|entry| entry.wake_ceded())) {
                    if !self.config.is(Flaw::NoIpiToCeded) {
                        next.cores[self.core].send(ptid);
                    }
                }
                after_all(called)
            }
            other => other,
        };
        next.cores[self.core].threads[self.ptid].at = at;
        next
    }
}

/// What follows when the siblings are seen to.
fn after_all(called: bool) -> At {
    match called {
        true => At::Awaiting(Then::Report),
        false => At::Reporting,
    }
}

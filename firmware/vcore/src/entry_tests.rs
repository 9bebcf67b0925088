//! Runs of a vcore, thread by thread and step by step: each step of a thread is one access to the
//! entry word or one IPI, and the next thread to step is drawn by lot.
extern crate std;
use super::*;
use crate::Slots;
use asm::sim::random::{self, Random};
use std::vec::Vec;

/// Where a hardware thread is. IPIs that it owes others are sent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Naps between runs; an IPI wakes it.
    Idle,
    /// Called: has to enter next.
    Entering,
    InGuest,
    /// Naps in H_CEDE.
    Dozing,
    /// Out of that nap.
    Waking,
    /// Waits for the IPI that is on its way to it; then what.
    Awaiting(Then),
    /// Has to leave next.
    Leaving,
    /// Was the first to leave: has to see to those that have ceded, and then what.
    WakingOthers(bool),
    Reporting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    Report,
}

fn after_leaving(called: bool) -> At {
    match called {
        true => At::Awaiting(Then::Report),
        false => At::Reporting,
    }
}

#[derive(Clone, Debug)]
struct Thread {
    at: At,
    /// An IPI has come and was not taken.
    ipi: bool,
    /// IPIs that it has to send.
    owes: Vec<usize>,
    entered: bool,
    /// Prods that the vcpu was given and no H_CEDE has used.
    prods: bool,
}

/// One core with the run of one vcore.
struct Core {
    entry: Entry,
    threads: Vec<Thread>,
    /// The hypervisor decrementer: brings out whoever is in the guest.
    hdec: bool,
    /// IPIs that cores outside have to send.
    outside: Vec<usize>,
    requested: bool,
    first_left: bool,
    generation: Generation,
}

impl Core {
    fn new(threads: usize) -> Self {
        let thread = Thread {
            at: At::Idle,
            ipi: false,
            owes: Vec::new(),
            entered: false,
            prods: false,
        };
        Self {
            entry: Entry::new(),
            threads: std::vec![thread; threads],
            hdec: false,
            outside: Vec::new(),
            requested: false,
            first_left: false,
            generation: 0,
        }
    }

    fn all(&self) -> Mask {
        ((1_u16 << self.threads.len()) - 1) as Mask
    }

    /// Begins a run; the runner, thread 0, needs no IPI.
    fn begin(&mut self, seats: Mask) {
        self.generation = (self.generation + 1) & 3;
        self.entry.open(self.generation, seats);
        (self.hdec, self.requested, self.first_left) = (false, false, false);
        for thread in &mut self.threads {
            assert_eq!(thread.at, At::Idle);
            assert!(!thread.ipi && thread.owes.is_empty(), "an IPI is left over");
            (thread.entered, thread.prods) = (false, false);
        }
        if seats & 1 != 0 {
            self.threads[0].at = At::Entering;
        }
        self.outside = Slots(seats & !1).collect();
    }

    fn send(&mut self, to: usize) {
        let thread = &mut self.threads[to];
        assert!(!thread.ipi, "thread {to} has two IPIs");
        thread.ipi = true;
    }

    /// Thread `ptid` takes a step; false: it can't.
    fn step(&mut self, ptid: usize, random: &Random) -> bool {
        if let Some(to) = self.threads[ptid].owes.pop() {
            self.send(to);
            return true;
        }
        let thread = &mut self.threads[ptid];
        match thread.at {
            At::Idle if thread.ipi => {
                thread.ipi = false;
                thread.at = At::Entering;
            }
            At::Idle => return false,
            At::Entering => self.enter(ptid),
            At::InGuest => self.in_guest(ptid, random),
            // The decrementer wakes it as well.
            At::Dozing if thread.ipi || random.once_in(8) => thread.at = At::Waking,
            At::Dozing => return false,
            At::Waking => {
                let called = self.entry.uncede(ptid);
                thread.at = if called {
                    At::Awaiting(Then::GoOn)
                } else {
                    At::InGuest
                };
                self.after_doze(ptid);
            }
            At::Awaiting(_) if !thread.ipi => return false,
            At::Awaiting(then) => {
                thread.ipi = false;
                self.entry.answered(ptid);
                thread.at = if then == Then::Report {
                    At::Reporting
                } else {
                    At::InGuest
                };
                self.after_doze(ptid);
            }
            At::Leaving => self.leave(ptid),
            At::WakingOthers(called) => {
                let wake = self.entry.wake_ceded();
                self.threads[ptid].owes.extend(Slots(wake));
                self.threads[ptid].at = after_leaving(called);
            }
            At::Reporting => {
                thread.at = At::Idle;
                assert_eq!(self.entry.snapshot().called() & 1 << ptid, 0);
                self.entry.report(ptid);
            }
        }
        true
    }

    /// Whoever is back from a nap or a call looks whether to leave.
    fn after_doze(&mut self, ptid: usize) {
        let thread = &mut self.threads[ptid];
        if thread.at == At::InGuest {
            thread.prods &= !self.entry.take_prod(ptid);
            if self.entry.snapshot().leaving() {
                thread.at = At::Leaving;
            }
        }
    }

    fn enter(&mut self, ptid: usize) {
        let entered = self.entry.enter(ptid);
        // Nobody enters after the first has left (B27).
        assert_eq!(entered, !(self.first_left || self.requested));
        let thread = &mut self.threads[ptid];
        thread.entered = entered;
        thread.at = if entered { At::InGuest } else { At::Reporting };
    }

    fn in_guest(&mut self, ptid: usize, random: &Random) {
        let called = self.entry.snapshot().called() & 1 << ptid != 0;
        let thread = &mut self.threads[ptid];
        if thread.ipi && called {
            thread.at = At::Awaiting(Then::GoOn);
        } else if self.hdec {
            thread.at = At::Leaving;
        } else if !self.first_left && !self.requested {
            // From then on it only spins, so that it has to be brought out.
            match random.below(12) {
                0..4 => self.cede(ptid),
                4..8 => self.prod(ptid, random),
                8 => thread.at = At::Leaving,
                _ => {}
            }
        }
    }

    fn cede(&mut self, ptid: usize) {
        let prods = self.threads[ptid].prods;
        match self.entry.cede(ptid) {
            Cede::Nap => {
                assert!(!prods, "H_CEDE naps although it was prodded");
                self.threads[ptid].at = At::Dozing;
            }
            Cede::Prodded => {
                assert!(prods);
                self.threads[ptid].prods = false;
            }
            Cede::AllCeded => {
                let asleep = |thread: &Thread| matches!(thread.at, At::Dozing | At::Waking);
                let gone = |thread: &Thread| matches!(thread.at, At::Idle) && !thread.ipi;
                for (other, thread) in self.threads.iter().enumerate() {
                    assert!(
                        other == ptid || asleep(thread) || gone(thread),
                        "{thread:?}"
                    );
                }
                self.threads[ptid].at = At::Leaving;
            }
            Cede::Leaving => self.threads[ptid].at = At::Leaving,
            // Its IPI comes.
            Cede::Called => assert_ne!(self.entry.snapshot().called() & 1 << ptid, 0),
        }
    }

    fn prod(&mut self, ptid: usize, random: &Random) {
        let target = random.below(self.threads.len() as u64) as usize;
        match self.entry.prod(target) {
            Prod::Wake => {
                assert!(matches!(self.threads[target].at, At::Dozing | At::Waking));
                self.threads[target].prods = true;
                self.threads[ptid].owes.push(target);
            }
            Prod::Noted => self.threads[target].prods = true,
            Prod::NotHere => {}
        }
    }

    fn leave(&mut self, ptid: usize) {
        let leave = self.entry.leave(ptid);
        assert_eq!(leave.first(), !self.first_left);
        assert_eq!(leave.prodded(), self.threads[ptid].prods, "a prod is lost");
        self.first_left = true;
        if leave.first() && leave.in_guest() != 0 {
            self.hdec = true;
        }
        self.threads[ptid].at = match leave.first() && leave.ceded() {
            true => At::WakingOthers(leave.called()),
            false => after_leaving(leave.called()),
        };
    }

    /// Another core does something: kicks, or starts a late joiner.
    fn step_of_an_outsider(&mut self, random: &Random) {
        if random.once_in(4) {
            self.poke(random.below(self.threads.len() as u64) as usize);
        } else if random.once_in(3) {
            self.kick();
        } else if random.once_in(2) {
            self.join(random);
        }
    }

    fn kick(&mut self) {
        match self.entry.request() {
            Request::Wake(ptid) => {
                self.outside.push(ptid);
                self.requested = true;
            }
            Request::Noted => self.requested = true,
            Request::NotRunning => assert!(self.is_over()),
        }
    }

    /// Something waits for the guest on this thread: it looks for it, called or by itself.
    fn poke(&mut self, ptid: usize) {
        let before = self.entry.snapshot();
        let thread = &self.threads[ptid];
        let calm = !before.leaving() && before.called() & 1 << ptid == 0;
        let in_guest = before.entered() & !before.exited() & 1 << ptid != 0;
        let poked = self.entry.poke(before, Some(ptid)).expect("nobody else");
        assert_eq!(poked == Request::Wake(ptid), calm && in_guest, "{thread:?}");
        if let Request::Wake(ptid) = poked {
            self.outside.push(ptid);
        }
    }

    fn join(&mut self, random: &Random) {
        let wanted = random.once_in(2).then(|| random.below(8) as usize);
        let before = self.entry.snapshot();
        match self.entry.reserve(wanted, self.all()) {
            Some(ptid) => {
                assert!(!before.leaving() && !self.is_over());
                assert!(wanted.is_none_or(|wanted| wanted == ptid));
                assert!(ptid < self.threads.len() && !self.threads[ptid].entered);
                match ptid {
                    // The runner looks into its mailbox.
                    0 => self.threads[0].at = At::Entering,
                    _ => self.outside.push(ptid),
                }
            }
            None => {
                let free = self.all() & !(before.outstanding() | before.entered());
                let taken =
                    wanted.map_or(free == 0, |ptid| free & 1_u8.wrapping_shl(ptid as u32) == 0);
                assert!(before.leaving() || self.is_over() || taken);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.entry.snapshot().outstanding() == 0
    }

    /// Steps until all have reported.
    fn run(&mut self, random: &Random) {
        let mut visits = random.below(4);
        for _ in 0..20_000 {
            if self.is_over() && self.outside.is_empty() {
                return;
            }
            match random.below(self.threads.len() as u64 + 2) as usize {
                // An IPI from outside arrives.
                0 if !self.outside.is_empty() => {
                    let place = random.below(self.outside.len() as u64) as usize;
                    let to = self.outside.swap_remove(place);
                    self.send(to);
                }
                1 if visits > 0 && random.once_in(4) => {
                    visits -= 1;
                    self.step_of_an_outsider(random);
                }
                ptid => drop(ptid.checked_sub(2).map(|ptid| self.step(ptid, random))),
            }
            self.check_calls();
            let leaving = self.entry.snapshot().leaving();
            assert_eq!(self.entry.is_leaving(), leaving);
            self.end_if_stuck();
        }
        panic!("the run never ends: {:?} {:?}", self.entry, self.threads);
    }

    /// Of the threads that have entered, those and only those that are marked have an IPI on its
    /// way, and no more than one.
    fn check_calls(&self) {
        let called = self.entry.snapshot().called();
        let owed = self.threads.iter().flat_map(|thread| &thread.owes);
        let on_the_way: Vec<usize> = owed.chain(&self.outside).copied().collect();
        for (ptid, thread) in self.threads.iter().enumerate() {
            let sent = on_the_way.iter().filter(|to| **to == ptid).count();
            let ipis = sent + usize::from(thread.ipi);
            assert!(ipis <= 1, "thread {ptid} has {ipis} IPIs");
            if thread.entered {
                assert_eq!(called & 1 << ptid != 0, ipis == 1, "thread {ptid}");
            }
        }
    }

    /// The host's deadline: all naps or guests that would go on for ever end some time.
    fn end_if_stuck(&mut self) {
        let waits = |thread: &Thread| matches!(thread.at, At::Idle | At::Dozing) && !thread.ipi;
        let owing = self.threads.iter().any(|thread| !thread.owes.is_empty());
        if !self.is_over() && self.outside.is_empty() && !owing && self.threads.iter().all(waits) {
            let dozing = self.threads.iter().any(|thread| thread.at == At::Dozing);
            assert!(dozing, "nobody is left to report: {:?}", self.entry);
            assert!(!self.entry.snapshot().leaving(), "a sleeper was forgotten");
        }
    }
}

/// Many cores, each with a few runs one after the other; what one run leaves over would show in
/// the next.
#[test]
fn every_run_ends_and_leaves_nothing_over() {
    for seed in random::seeds(10_000) {
        let random = Random::new(seed);
        let mut core = Core::new(random.pick(&[1, 2, 4, 8]));
        for _ in 0..4 {
            let seats = match random.bits() as Mask & core.all() {
                0 => 1,
                seats => seats,
            };
            core.begin(seats);
            core.run(&random);
        }
    }
}

#[test]
fn who_pokes_looks_again_when_the_word_has_changed() {
    let entry = Entry::new();
    entry.open(1, 0b11);
    let before = entry.snapshot();
    assert_eq!(entry.poke(before, Some(1)), Some(Request::Noted));
    assert!(entry.enter(1));
    assert_eq!(entry.poke(before, Some(1)), None);
    let before = entry.snapshot();
    assert_eq!(entry.poke(before, Some(1)), Some(Request::Wake(1)));
    let before = entry.snapshot();
    assert_eq!(entry.poke(before, Some(1)), Some(Request::Noted));
    assert_eq!(entry.poke(before, None), Some(Request::NotRunning));
    assert_eq!(entry.cede(1), Cede::Called);
}

#[test]
fn a_joiner_waits_for_the_run_to_open() {
    let entry = Entry::new();
    assert!(!entry.is_open(1));
    entry.open(1, 0b1);
    assert!(entry.is_open(1) && !entry.is_open(2));
    assert_eq!(entry.reserve(None, 0xff), Some(1));
    assert_eq!(entry.reserve(Some(1), 0xff), None);
}

#[test]
fn a_thread_that_has_run_is_not_free_again() {
    let entry = Entry::new();
    entry.open(1, 0b11);
    assert!(entry.enter(1));
    entry.report(1);
    assert_eq!(entry.reserve(None, 0b11), None);
}

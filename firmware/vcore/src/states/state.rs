//! One state, and the words in it.

use super::flaw::Flaw;
use crate::{Entry, Mask, Roster, Slots, entry, roster};

pub const THREADS: usize = 8;
pub const CORES: usize = 2;
pub const HOSTS: usize = 2;

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub name: &'static str,
    pub cores: usize,
    /// Threads of a core, and slots of the vcore.
    pub threads: usize,
    pub aligned: bool,
    pub eager: bool,
    /// HDEC interrupts as long as it is negative, and no more when it is set again before the
    /// interrupt was taken. Otherwise it interrupts once, when it becomes negative.
    pub level: bool,
    /// What guests do besides to spin and to make hypercalls for the host.
    pub cedes: bool,
    pub prods: bool,
    pub ticks: bool,
    /// The run's time may be up.
    pub time: bool,
    /// Who is outside: a host that makes vcpus runnable, one that kicks, one that does all else.
    pub joins: bool,
    pub kicks: bool,
    pub changes: bool,
    /// Cores run the vcore again and again. Otherwise there is one run, of core 0.
    pub runs: bool,
    /// Steps that no other thread's steps depend on are taken together with the one before.
    pub coarse: bool,
    /// Threads that are alike but for their number count as one state.
    pub symmetric: bool,
    pub flaw: Option<Flaw>,
}

impl Config {
    pub fn is(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    pub fn all(&self) -> Mask {
        (0xff_u32 >> (8 - self.threads)) as Mask
    }
}

/// Why a vcpu comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Something for the host.
    Exit,
    Ceded,
    /// Nothing for the host: stays in the queue.
    Stay,
}

/// What a thread does next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// Naps, or, as thread 0, is its host's or its runner's.
    #[default]
    Idle,
    /// Has its letter: enter.
    Entering,
    /// Has entered with a prod in the page: note it in the word.
    Noting,
    /// Came too late: keep a prod.
    Late,
    Guest,
    /// Has polled its presenter, and found an IPI or not: called?
    Polled(bool),
    /// Was called: wait for the IPI and take it, then go on.
    Awaiting(Then),
    /// Has taken an interrupt: out, or back into the guest?
    Looking,
    /// Has taken a tick of HDEC: set it again.
    Ticked,
    /// Has set it: does anyone leave?
    Armed,
    /// Somebody does: expire it once more.
    Rearming,
    /// Naps in H_CEDE.
    Dozing,
    /// Out of that nap.
    Waking,
    /// Look for a prod.
    TakingProd,
    /// Was there one: out, or back into the guest?
    Woken(bool),
    Leaving(Reason),
    /// Only with a flaw: HDEC has been expired already.
    LeavingLate(Reason),
    /// Was the first: expire HDEC, then wake who has ceded.
    Pulling {
        rouse: bool,
        called: bool,
    },
    Rousing {
        called: bool,
    },
    Reporting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Then {
    Look,
    TakeProd,
    Report,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thread {
    pub at: At,
    /// There is an IPI for it, which it may notice at any time from now on. Who has to send it does
    /// so without waiting for anything.
    pub ipi: bool,
    /// Slot, plus 1: the letter, and whose letter was taken last.
    pub letter: u8,
    pub seat: u8,
}

/// What the host on a core's thread 0 does for VCORE_RUN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runner {
    #[default]
    Free,
    /// Letters, core, HDEC.
    Assigning,
    Opening,
    /// Kicks since the begin?
    Looking,
    Requesting,
    Calling,
    Waiting,
    /// The kicked ones of this mask have been told.
    Ending(Mask),
    /// No run, because of kicks: tell them, then let the vcore go.
    Refusing(Mask),
    /// Only with a flaw: the vcore is let go, and these are not yet told.
    TellingLate(Mask),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Core {
    pub runner: Runner,
    /// The roster as the run began, until threads are assigned.
    pub queue: u64,
    pub threads: [Thread; THREADS],
    /// Called when the run began; late joiners, too.
    pub called: Mask,
    pub taken: Mask,
    /// By slot.
    pub exited: Mask,
    pub late: Mask,
    pub ceded: Mask,
    /// Threads that HDEC is about to interrupt.
    pub hdec: Mask,
    /// The run's time is up.
    pub over: bool,
    /// Somebody has begun to leave.
    pub left: bool,
    /// A thread was sent an IPI while it had one.
    pub merged: bool,
}

impl Core {
    /// All of its masks.
    pub fn masks(&self) -> [Mask; 6] {
        [
            self.called,
            self.taken,
            self.exited,
            self.late,
            self.ceded,
            self.hdec,
        ]
    }

    pub fn send(&mut self, ptid: usize) {
        self.merged |= self.threads[ptid].ipi;
        self.threads[ptid].ipi = true;
    }
}

/// A host that doesn't run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Host {
    #[default]
    Free,
    /// VCPU_SET_STATE has put these into the queue of a run of this generation: kicked before?
    Raised {
        slots: Mask,
        generation: u16,
    },
    /// One was: all out.
    BringingOut {
        slots: Mask,
        generation: u16,
    },
    /// Start the first of them, when the word is open. `core` was read before.
    Joining {
        slots: Mask,
        generation: u16,
        core: u8,
    },
    /// A thread is reserved: write the letter, and send the IPI.
    Posting {
        slots: Mask,
        generation: u16,
        ptid: u8,
    },
    Joined,
    /// VCORE_KICK has found the vcore running: all out.
    Kicking,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Page {
    /// For the next H_CEDE.
    pub prodded: bool,
    /// The vcpu was prodded, and no H_CEDE has returned for it: what the word and the page must
    /// keep.
    pub owed: bool,
    /// A kick that nobody was told of.
    pub kicked: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub roster: u64,
    pub entry: u64,
    /// The core that runs the vcore, plus 1.
    pub runs_on: u8,
    pub cores: [Core; CORES],
    pub hosts: [Host; HOSTS],
    pub pages: [Page; THREADS],
}

impl State {
    /// An operation of the firmware's on the roster.
    pub fn roster<T>(&mut self, operation: impl FnOnce(&Roster) -> T) -> T {
        let roster = Roster::with(self.roster);
        let answer = operation(&roster);
        self.roster = roster.snapshot().0;
        answer
    }

    /// An operation of the firmware's on the entry word.
    pub fn entry<T>(&mut self, operation: impl FnOnce(&Entry) -> T) -> T {
        let entry = Entry::with(self.entry);
        let answer = operation(&entry);
        self.entry = entry.snapshot().0;
        answer
    }

    pub fn now(&self) -> entry::Snapshot {
        entry::Snapshot(self.entry)
    }

    pub fn wanted(&self) -> roster::Snapshot {
        roster::Snapshot(self.roster)
    }

    /// The core in a run.
    pub fn in_run(&self) -> Option<usize> {
        let idle = [Runner::Free, Runner::Assigning];
        let out = |core: &Core| {
            idle.contains(&core.runner)
                || matches!(core.runner, Runner::Refusing(_) | Runner::TellingLate(_))
        };
        (0..CORES).find(|core| !out(&self.cores[*core]))
    }

    /// A run is under way that must end, whatever its guests do.
    pub fn must_end(&self) -> bool {
        let Some(core) = self.in_run() else {
            return false;
        };
        let opened = self.cores[core].runner != Runner::Opening;
        let kicked = self.wanted().kicked() & self.wanted().runnable() != 0;
        kicked || opened && (self.now().leaving() || self.cores[core].over)
    }
}

impl Host {
    /// Vcpus that are still to be started.
    pub fn slots(self) -> Mask {
        match self {
            Host::Raised { slots, .. }
            | Host::BringingOut { slots, .. }
            | Host::Joining { slots, .. }
            | Host::Posting { slots, .. } => slots,
            Host::Free | Host::Joined | Host::Kicking => 0,
        }
    }

    pub fn set_slots(&mut self, new: Mask) {
        match self {
            Host::Raised { slots, .. }
            | Host::BringingOut { slots, .. }
            | Host::Joining { slots, .. }
            | Host::Posting { slots, .. } => *slots = new,
            Host::Free | Host::Joined | Host::Kicking => {}
        }
    }

    /// The thread that this host has reserved and not yet called.
    pub fn reserved(self) -> Mask {
        match self {
            Host::Posting { ptid, .. } => 1 << ptid,
            _ => 0,
        }
    }
}

impl State {
    /// The queue in the order of slots, for models in which the order is of no importance.
    pub fn sort_queue(&mut self) {
        let mut order = 0;
        for (place, slot) in Slots(self.wanted().runnable()).enumerate() {
            order |= (slot as u64) << (3 * place);
        }
        self.roster &= !(0xff_ffff << roster::snapshot::ORDER_SHIFT);
        self.roster |= order << roster::snapshot::ORDER_SHIFT;
    }

    /// Exchanges two vcpus of which neither has a thread.
    pub fn swap_slots(&mut self, a: usize, b: usize) {
        let swap = |mask: Mask| {
            let differ = (mask >> a ^ mask >> b) & 1;
            mask ^ (differ << a | differ << b)
        };
        for field in [
            roster::snapshot::PRESENT,
            roster::snapshot::RUNNABLE,
            roster::snapshot::BLOCKED,
            roster::snapshot::KICKED,
        ] {
            let mask = field.get(self.roster);
            self.roster = field.set(field.clear(self.roster, mask), swap(mask));
        }
        for host in &mut self.hosts {
            host.set_slots(swap(host.slots()));
        }
        self.pages.swap(a, b);
        self.sort_queue();
    }
}

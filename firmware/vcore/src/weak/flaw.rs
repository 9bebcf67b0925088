//! Ways to break the protocol. What belongs to a word is done here past its own functions; the
//! rest is done where the step is.

use crate::entry::{self, Entry};
use crate::seating::Seating;
use crate::sync::Ordering::Relaxed;
use crate::{Generation, Mask};

/// One fault in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The word is opened without release.
    OpenRelaxed,
    /// Letters and core are written when the word is open already.
    AssignAfterOpen,
    /// The runner looks for kicks without a barrier behind its opening of the word.
    NoBarrierAtOpen,
    /// The kicker asks in the entry word without a barrier behind its kick.
    NoBarrierAtKick,
    /// Whoever the runner's own look for kicks wants woken gets no IPI.
    OpenForgetsToCall,
    /// A joiner reads which core runs the vcore before the word is open.
    CoreBeforeOpen,
    /// A joiner's letter and seat are written without release and taken without acquire.
    LetterRelaxed,
    /// A seat is looked for without acquire.
    FindRelaxed,
    /// A thread enters without a look at who has left.
    EnterUnchecked,
    /// The report doesn't release what the thread has written.
    ReportRelaxed,
    /// A thread reports although an IPI to it is on its way.
    ReportUncalled,
    /// The presenter is polled, and `called` looked at, without a barrier between.
    NoBarrierAfterPoll,
    /// `called` is looked at before the presenter is polled.
    LookBeforePoll,
    /// The first to leave expires HDEC without a barrier behind its exit bit.
    NoBarrierBeforeHdec,
    /// Whoever sets HDEC again looks for leavers without a barrier.
    NoBarrierAfterHdec,
    /// Kicked vcpus are told when their vcore can run again already.
    TellAfterEnd,
}

impl Entry {
    /// The word as nobody has changed it yet, however long that takes to be seen by others.
    pub fn latest(&self) -> entry::Snapshot {
        entry::Snapshot(self.word().fetch_or(0, Relaxed))
    }

    pub fn open_relaxed(&self, generation: Generation, seats: Mask) {
        let word = u64::from(generation) << entry::GENERATION_SHIFT;
        self.word()
            .store(entry::OUTSTANDING.set(word, seats), Relaxed);
    }

    pub fn enter_unchecked(&self, ptid: usize) {
        self.word()
            .fetch_or(entry::ENTERED.set(0, 1 << ptid), Relaxed);
    }

    pub fn report_relaxed(&self, ptid: usize) {
        let bit = entry::OUTSTANDING.set(0, 1 << ptid);
        self.word().fetch_and(!bit, Relaxed);
    }
}

impl Seating {
    pub fn join_relaxed(&self, ptid: usize, letter: u64) {
        self.seats[ptid].store(letter, Relaxed);
        self.taken.fetch_or(1 << ptid, Relaxed);
        self.mailboxes[ptid].store(letter, Relaxed);
    }

    pub fn take_letter_relaxed(&self, ptid: usize) -> u64 {
        let letter = self.mailboxes[ptid].load(Relaxed);
        self.mailboxes[ptid].store(0, Relaxed);
        letter
    }

    pub fn find_relaxed(&self, letter: u64) -> Option<usize> {
        let taken = self.taken();
        (0..super::machine::THREADS)
            .find(|&ptid| self.seat(ptid) == letter && taken & 1 << ptid != 0)
    }
}

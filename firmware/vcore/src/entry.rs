//! The entry/exit word of a run (L2): which threads were called, entered, left, ceded.
//!
//! | bits | field | meaning |
//! | --- | --- | --- |
//! | 0–7 | exited | has begun to leave |
//! | 8 | request | somebody outside wants the vcore out |
//! | 9–16 | outstanding | called for this run, hasn't reported back |
//! | 17–24 | entered | in the guest, or was |
//! | 25–32 | ceded | naps in H_CEDE |
//! | 33–40 | called | an IPI to it is on its way |
//! | 41–48 | prodded | its next H_CEDE returns at once |
//! | 49–63 | generation | which run this is |
//!
//! Two rules make it safe. *Entry is set only if nobody has begun to leave*, in one step. And
//! *whoever sets `called` sends exactly one IPI; the thread takes that IPI before it reports*: so
//! none can arrive later and wake a thread that naps under the host.

use super::bits::{Field, Mask};
#[cfg(all(test, loom))]
use super::sync::AtomicU64;
use super::sync::full_barrier;
use super::word::Word;
use super::{GENERATION_BITS, Generation};

pub(super) const EXITED: Field = Field(0);
const REQUEST: u64 = 1 << 8;
/// Exited and request, which are looked at together: one instruction's operand.
const LEAVING: u64 = 0x1ff;
pub(super) const OUTSTANDING: Field = Field(9);
pub(super) const ENTERED: Field = Field(17);
pub(super) const CEDED: Field = Field(25);
pub(super) const CALLED: Field = Field(33);
pub(super) const PRODDED: Field = Field(41);
pub(super) const GENERATION_SHIFT: u32 = 49;

/// The word.
#[derive(Debug, Default)]
pub struct Entry(Word);

/// The word as it was at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot(pub(super) u64);

impl Snapshot {
    pub fn outstanding(self) -> Mask {
        OUTSTANDING.get(self.0)
    }
    pub fn entered(self) -> Mask {
        ENTERED.get(self.0)
    }
    pub fn exited(self) -> Mask {
        EXITED.get(self.0)
    }
    pub fn ceded(self) -> Mask {
        CEDED.get(self.0)
    }
    pub fn called(self) -> Mask {
        CALLED.get(self.0)
    }
    pub fn prodded(self) -> Mask {
        PRODDED.get(self.0)
    }
    pub fn generation(self) -> Generation {
        (self.0 >> GENERATION_SHIFT) as Generation
    }
    /// Somebody has begun to leave, or was asked to: nobody may enter any more.
    pub fn leaving(self) -> bool {
        self.0 & LEAVING != 0
    }
    /// A thread that sees nothing unless it is called.
    fn needs_call(self, it: Mask) -> bool {
        let calm = !self.leaving() && self.called() & it == 0;
        calm && (self.in_guest() | self.ceded()) & it != 0
    }
    /// Threads that execute guest instructions, or are about to.
    pub fn in_guest(self) -> Mask {
        self.entered() & !self.exited() & !self.ceded()
    }
}

/// What a thread that begins to leave finds (B30): the word before it, and its bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    before: Snapshot,
    me: Mask,
}

impl Leave {
    /// It is the first: the others must be brought out.
    pub fn first(self) -> bool {
        self.before.exited() == 0
    }
    /// Siblings in the guest; the hypervisor decrementer brings them out.
    pub fn in_guest(self) -> Mask {
        self.before.in_guest() & !self.me
    }
    /// Siblings nap in H_CEDE; [`Entry::wake_ceded`] tells which.
    pub fn ceded(self) -> bool {
        self.before.ceded() != 0
    }
    /// An IPI is on its way to this thread itself, to be taken before it reports.
    pub fn called(self) -> bool {
        self.before.called() & self.me != 0
    }
    /// A prod that no H_CEDE has used up; there will be no further one in this run.
    pub fn prodded(self) -> bool {
        self.before.prodded() & self.me != 0
    }
    /// There is more to do than to report.
    pub fn owes(self) -> bool {
        let mine = self.called() || self.prodded();
        mine || self.first() && (self.in_guest() != 0 || self.ceded())
    }
}

/// What H_CEDE comes to (L3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cede {
    /// Nap; then [`Entry::uncede`].
    Nap,
    /// A prod was waiting: back into the guest.
    Prodded,
    /// An IPI is on its way to the thread, which it has to take before: back into the guest.
    Called,
    /// Every sibling has ceded, too: leave with that reason.
    AllCeded,
    /// The vcore is on its way out.
    Leaving,
}

/// What H_PROD comes to (L3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prod {
    /// Send the thread an IPI.
    Wake,
    /// Its next H_CEDE returns at once.
    Noted,
    /// It is not in the guest: the host has to see to it.
    NotHere,
}

/// What a request to come out has to do (B17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Send this thread an IPI.
    Wake(usize),
    /// The threads see it by themselves.
    Noted,
    /// That run is over.
    NotRunning,
}

impl Entry {
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self(Word::new())
    }

    /// For tests that go through all states.
    #[cfg(all(test, not(loom)))]
    pub(super) fn with(word: u64) -> Self {
        Self(Word::with(word))
    }

    /// For tests that break the protocol.
    #[cfg(all(test, loom))]
    pub(super) fn word(&self) -> &AtomicU64 {
        self.0.atomic()
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.get())
    }

    /// Somebody has begun to leave, or was asked to: [`Snapshot::leaving`], for who is about to leave, too, and
    /// looks at nothing else before.
    #[inline(always)]
    pub fn is_leaving(&self) -> bool {
        Snapshot(self.0.peek()).leaving()
    }

    fn update<T>(&self, mut change: impl FnMut(Snapshot) -> (Option<u64>, T)) -> T {
        self.0.update(|word| change(Snapshot(word)))
    }

    /// Begins run `generation` with the threads of `seats` (B22). Only the runner does this, when
    /// no thread of an earlier run is outstanding.
    pub fn open(&self, generation: Generation, seats: Mask) {
        let word = (generation as u64) << GENERATION_SHIFT;
        self.0.set(OUTSTANDING.set(word, seats));
    }

    /// The word is, or was, that of the run of this generation, modulo 4; what the runner wrote
    /// before it opened the word is seen.
    pub fn is_open(&self, generation: Generation) -> bool {
        self.snapshot().generation() & 3 == generation
    }

    /// Takes a thread for a vcpu that joins a run whose word is open (B26): `wanted`, or the lowest
    /// one that no vcpu of this run had. None: leaving has begun, or no thread is free; the vcpu
    /// stays queued (B28).
    pub fn reserve(&self, wanted: Option<usize>, threads: Mask) -> Option<usize> {
        self.update(|now| {
            let free = threads & !(now.outstanding() | now.entered());
            let ptid = wanted.unwrap_or(free.trailing_zeros() as usize);
            if now.leaving() || now.outstanding() == 0 || ptid >= 8 || free & 1 << ptid == 0 {
                return (None, None);
            }
            (Some(OUTSTANDING.set(now.0, 1 << ptid)), Some(ptid))
        })
    }

    /// Into the guest, unless somebody has begun to leave (L2, B27), or the thread isn't called: the run
    /// isn't open yet.
    pub fn enter(&self, ptid: usize) -> bool {
        self.update(|now| {
            if now.leaving() || now.0 >> ptid & OUTSTANDING.set(0, 1) == 0 {
                return (None, false);
            }
            (Some(ENTERED.set(now.0, 1 << ptid)), true)
        })
    }

    /// Begins to leave. The thread is not in H_CEDE.
    #[inline(always)]
    pub fn leave(&self, ptid: usize) -> Leave {
        let me = 1 << ptid;
        let before = Snapshot(self.0.set_bits(EXITED.set(0, me)));
        Leave { before, me }
    }

    /// For the first to leave: the siblings that nap in H_CEDE, each of which must be sent an IPI.
    /// There will be no others, since H_CEDE doesn't nap any more.
    pub fn wake_ceded(&self) -> Mask {
        self.update(|now| {
            let wake = now.ceded();
            (Some(CALLED.set(CEDED.clear(now.0, wake), wake)), wake)
        })
    }

    /// From outside: everybody out of the present run (B17).
    pub fn request(&self) -> Request {
        self.update(|now| {
            if now.outstanding() == 0 {
                return (None, Request::NotRunning);
            }
            if now.leaving() {
                return (None, Request::Noted);
            }
            let word = now.0 | REQUEST;
            let awake = now.in_guest() & !now.called();
            let target = if awake != 0 { awake } else { now.ceded() };
            if target == 0 {
                return (Some(word), Request::Noted);
            }
            let ptid = highest(target);
            let word = CALLED.set(CEDED.clear(word, 1 << ptid), 1 << ptid);
            (Some(word), Request::Wake(ptid))
        })
    }

    /// From outside: the thread with whom something waits for its guest is to look for it (L5).
    /// `before` is the word as the caller knows it, with the thread as of then; none if the vcpu had
    /// none. Answers no call if the word has changed since: then the caller has to look again.
    ///
    /// The word is written even where nothing in it changes: whoever enters later reads it then, and
    /// sees what the caller has left for it.
    pub fn poke(&self, before: Snapshot, ptid: Option<usize>) -> Option<Request> {
        let it = ptid.map_or(0, |ptid| 1 << ptid);
        let (new, request) = match ptid {
            None => (before.0, Request::NotRunning),
            Some(ptid) if before.needs_call(it) => {
                let word = CALLED.set(CEDED.clear(before.0, it), it);
                (word, Request::Wake(ptid))
            }
            // On its way in, or out, or called already: it looks by itself.
            Some(_) => (before.0, Request::Noted),
        };
        let unchanged = |now: Snapshot| match now == before {
            true => (Some(new), Some(request)),
            false => (None, None),
        };
        self.update(unchanged)
    }

    /// H_CEDE. A prod ends it even while the vcore leaves: the vcpu stays runnable.
    pub fn cede(&self, ptid: usize) -> Cede {
        let me = 1 << ptid;
        self.update(|now| {
            if now.prodded() & me != 0 {
                return (Some(PRODDED.clear(now.0, me)), Cede::Prodded);
            }
            if now.leaving() {
                return (None, Cede::Leaving);
            }
            if now.called() & me != 0 {
                return (None, Cede::Called);
            }
            let on_the_way = now.outstanding() & !now.entered();
            if now.in_guest() == me && on_the_way == 0 {
                return (None, Cede::AllCeded);
            }
            (Some(CEDED.set(now.0, me)), Cede::Nap)
        })
    }

    /// Out of the nap of H_CEDE. True: somebody else woke it, and that one's IPI has to be taken.
    pub fn uncede(&self, ptid: usize) -> bool {
        let me = 1 << ptid;
        self.update(|now| {
            if now.ceded() & me == 0 {
                return (None, true);
            }
            (Some(CEDED.clear(now.0, me)), false)
        })
    }

    /// H_PROD of the vcpu on `ptid`. A thread on its way into the guest counts as there.
    pub fn prod(&self, ptid: usize) -> Prod {
        let it = 1 << ptid;
        self.update(|now| {
            if now.leaving() || (now.entered() | now.outstanding()) & it == 0 {
                return (None, Prod::NotHere);
            }
            let word = PRODDED.set(now.0, it);
            if now.ceded() & it != 0 {
                return (Some(CALLED.set(CEDED.clear(word, it), it)), Prod::Wake);
            }
            (Some(word), Prod::Noted)
        })
    }

    /// For who has just set the hypervisor decrementer, which the core shares: somebody has begun
    /// to leave, and may have made it negative before.
    #[inline(always)]
    pub fn leaving_after_barrier(&self) -> bool {
        full_barrier();
        self.snapshot().leaving()
    }

    /// What `poll` finds presented to the thread, and whether it has been called. Whoever sends an
    /// IPI has set `called` before, so that is looked at afterwards: behind a full barrier, since
    /// nothing less keeps a load from going ahead of a device's.
    #[inline(always)]
    pub fn polled<T>(&self, ptid: usize, poll: impl FnOnce() -> T) -> (T, bool) {
        let presented = poll();
        full_barrier();
        (presented, self.snapshot().called() & 1 << ptid != 0)
    }

    /// Uses up a prod, if there is one.
    pub fn take_prod(&self, ptid: usize) -> bool {
        let bit = PRODDED.set(0, 1 << ptid);
        self.0.clear_bits(bit) & bit != 0
    }

    /// A prod that came before the run.
    pub fn note_prod(&self, ptid: usize) {
        self.0.set_bits(PRODDED.set(0, 1 << ptid));
    }

    /// The thread has taken the IPI that was on its way to it. After [`Entry::leave`] no other
    /// will come.
    pub fn answered(&self, ptid: usize) {
        self.0.clear_bits(CALLED.set(0, 1 << ptid));
    }

    /// The thread's state is saved and it will touch nothing of this run any more. All its writes
    /// are seen by whoever sees the bit gone.
    pub fn report(&self, ptid: usize) {
        let bit = OUTSTANDING.set(0, 1 << ptid);
        self.0.clear_bits_last(bit);
    }
}

/// The highest thread of a mask: a secondary rather than the runner, whose interrupts are the
/// host's.
fn highest(mask: Mask) -> usize {
    7 - mask.leading_zeros() as usize
}

const _: () = assert!(GENERATION_SHIFT + GENERATION_BITS == 64);

#[cfg(all(test, not(loom)))]
#[path = "entry_tests.rs"]
mod tests;
#[cfg(all(test, not(loom)))]
#[path = "entry_word_tests.rs"]
mod word_tests;

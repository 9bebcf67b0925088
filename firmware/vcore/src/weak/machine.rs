//! A core of a few threads, its vcore, and what they share.

extern crate std;
use super::flaw::Flaw;
use crate::sync::{AtomicU64, Ordering::Relaxed, fence};
use crate::{Entry, Mask, Roster, Seating, Slots, full_barrier};
use core::cell::RefCell;
use core::mem::ManuallyDrop;
use loom::cell::UnsafeCell;
use loom::sync::atomic::Ordering::SeqCst;
use loom::sync::atomic::{AtomicBool, AtomicU32};
use loom::sync::mpsc::{Receiver, Sender, channel};
use std::rc::Rc;
use std::vec::Vec;

pub const THREADS: usize = 3;

/// Why a vcpu came out, as far as the protocol minds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    #[default]
    None,
    Hypercall,
    Ceded,
    Pulled,
    Kick,
}

impl Reason {
    /// Comes out with nothing for the host.
    pub fn stays_queued(self) -> bool {
        matches!(self, Reason::Pulled | Reason::Kick)
    }

    /// Where its bits begin in what a core's threads tell their runner.
    pub fn told_at(self) -> u32 {
        match self {
            Reason::Hypercall => 0,
            Reason::None => 8,
            Reason::Ceded => 16,
            Reason::Pulled | Reason::Kick => 24,
        }
    }
}

/// What a vcpu page holds. Nobody may read it while another writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    pub reason: Reason,
    pub prodded: bool,
    pub entries: u32,
}

/// What a guest does, after which it spins.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// A hypercall for the host.
    Exit,
    Cede,
    /// H_CEDE whose nap the decrementer ends at once.
    CedeBriefly,
    Prod(usize),
    /// An old tick of the hypervisor decrementer.
    Tick,
    /// An external interrupt that needn't be an IPI.
    External,
}

/// By slot: what the guest's vcpus do.
pub type Script = [&'static [Act]; THREADS];

/// What wakes a thread that waits, so that loom needn't try to let it look again and again. It
/// tells the thread nothing: what it waits for it has to see itself. A thread that sees it at once
/// doesn't wait, and so learns nothing of what others have done before.
pub struct Doorbell {
    bell: Sender<()>,
    ear: RefCell<ManuallyDrop<Receiver<()>>>,
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        // What has failed shall not try further orders on its way out.
        if !std::thread::panicking() {
            let ear = self.ear.get_mut();
            // SAFETY: dropped here alone.
            unsafe { ManuallyDrop::drop(ear) }
        }
    }
}

impl Doorbell {
    fn new() -> Self {
        let (bell, ear) = channel();
        Self {
            bell,
            ear: RefCell::new(ManuallyDrop::new(ear)),
        }
    }

    pub fn ring(&self) {
        self.bell.send(()).expect("it hears");
    }

    /// Waits for something that somebody does who rings afterwards. One thread only.
    pub fn wait_until(&self, mut done: impl FnMut() -> bool) {
        let ear = self.ear.borrow_mut();
        while !done() {
            ear.recv().expect("somebody rings");
        }
    }
}

/// The vcore, which any core may run.
pub struct Vcore {
    pub flaw: Option<Flaw>,
    pub script: Script,
    pub roster: Roster,
    pub entry: Entry,
    /// The place of the core that runs it, plus 1; 0 for none.
    pub core: AtomicU64,
    pages: [UnsafeCell<Page>; THREADS],
    /// Rings when the word is opened, for the one joiner.
    pub opened: Doorbell,
}

impl Vcore {
    pub fn is(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// Changes a vcpu's page; loom fails if another thread may be at it.
    pub fn page<T>(&self, slot: usize, change: impl FnOnce(&mut Page) -> T) -> T {
        // SAFETY: loom has checked that nobody else has it.
        self.pages[slot].with_mut(|page| change(unsafe { &mut *page }))
    }

    pub fn read_page(&self, slot: usize) -> Page {
        // SAFETY: as above.
        self.pages[slot].with(|page| unsafe { *page })
    }
}

/// A core.
pub struct Core {
    pub vcore: Rc<Vcore>,
    /// Its place, plus 1.
    pub number: u64,
    threads: usize,
    pub seating: Seating,
    /// By reason and slot.
    pub fates: AtomicU32,
    mfrr: [AtomicBool; THREADS],
    hdec: AtomicBool,
    /// No thread will be called any more.
    over: AtomicBool,
    /// By ptid.
    pub bells: [Doorbell; THREADS],
}

/// A vcore, and cores that may run it.
pub struct Machine {
    pub vcore: Rc<Vcore>,
    pub cores: Vec<Rc<Core>>,
}

impl Machine {
    /// With the vcpus of `slots`, all blocked.
    pub fn new(
        flaw: Option<Flaw>,
        cores: u64,
        threads: usize,
        slots: Mask,
        script: Script,
    ) -> Self {
        let vcore = Rc::new(Vcore {
            flaw,
            script,
            roster: Roster::default(),
            entry: Entry::default(),
            core: AtomicU64::new(0),
            pages: core::array::from_fn(|_| UnsafeCell::new(Page::default())),
            opened: Doorbell::new(),
        });
        Slots(slots).for_each(|slot| assert!(vcore.roster.add(slot)));
        let core = |number| {
            Rc::new(Core {
                vcore: vcore.clone(),
                number,
                threads,
                seating: Seating::default(),
                fates: AtomicU32::new(0),
                mfrr: core::array::from_fn(|_| AtomicBool::new(false)),
                hdec: AtomicBool::new(false),
                over: AtomicBool::new(false),
                bells: core::array::from_fn(|_| Doorbell::new()),
            })
        };
        let cores = (1..=cores).map(core).collect();
        Self { vcore, cores }
    }

    /// The core that runs the vcore, for who has reserved or called one of its threads.
    pub fn running(&self) -> &Core {
        let number = self.vcore.core.load(Relaxed);
        assert!(number != 0, "the core isn't known");
        &self.cores[number as usize - 1]
    }

    /// Nothing is left of the runs. Only when all threads have ended.
    pub fn assert_quiet(&self) {
        let now = self.vcore.entry.snapshot();
        assert_eq!(now.outstanding(), 0, "someone is still out");
        for core in &self.cores {
            let left: Vec<bool> = core.mfrr.iter().map(|mfrr| mfrr.load(Relaxed)).collect();
            assert!(!left.contains(&true), "an IPI is left over: {left:?}");
        }
    }
}

/// A letter: the slot, and never 0.
pub fn letter(slot: usize) -> u64 {
    slot as u64 | 8
}

pub fn slot(letter: u64) -> usize {
    assert!(letter & 8 != 0, "a thread was called without a letter");
    (letter & 7) as usize
}

impl Core {
    /// A thread tells why its vcpu came out, unless it was pulled.
    pub fn tell(&self, slot: usize, reason: Reason) {
        if reason != Reason::Pulled {
            self.fates
                .fetch_or(1 << (reason.told_at() + slot as u32), Relaxed);
        }
    }

    // A presenter's registers, with barriers as `platform::cpu::xics` has them.

    pub fn send_ipi(&self, ptid: usize) {
        fence(SeqCst);
        self.send_next_ipi(ptid);
    }

    pub fn send_next_ipi(&self, ptid: usize) {
        let merged = self.mfrr[ptid].swap(true, Relaxed);
        assert!(!merged, "thread {ptid} has two IPIs");
        self.bells[ptid].ring();
    }

    pub fn poll(&self, ptid: usize) -> bool {
        fence(SeqCst);
        self.mfrr[ptid].load(Relaxed)
    }

    pub fn take_ipi(&self, ptid: usize) {
        self.mfrr[ptid].swap(false, Relaxed);
        fence(SeqCst);
    }

    /// A nap, until an IPI comes. False: none ever will.
    pub fn nap(&self, ptid: usize) -> bool {
        let mut called = false;
        self.bells[ptid].wait_until(|| {
            called = self.mfrr[ptid].load(Relaxed);
            called || self.over.load(Relaxed)
        });
        called
    }

    /// Lets threads go that nobody has called.
    pub fn finish(&self) {
        self.over.store(true, Relaxed);
        (1..self.threads).for_each(|ptid| self.bells[ptid].ring());
    }

    // The hypervisor decrementer. Not memory, but ordered by the same barriers.

    pub fn set_hdec(&self) {
        self.hdec.store(false, Relaxed);
    }

    /// By thread `ptid`.
    pub fn expire_hdec(&self, ptid: usize) {
        self.hdec.store(true, Relaxed);
        let others = (0..self.threads).filter(|other| *other != ptid);
        others.for_each(|other| self.bells[other].ring());
    }

    pub fn hdec(&self) -> bool {
        self.hdec.load(Relaxed)
    }

    /// The first to leave brings out those in the guest.
    pub fn pull(&self, ptid: usize) {
        if !self.vcore.is(Flaw::NoBarrierBeforeHdec) {
            full_barrier();
        }
        self.expire_hdec(ptid);
    }
}

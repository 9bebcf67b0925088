//! A guest that all cores of the host work with at the same time.
use alloc::string::String;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use hcalls::MAX_THREADS;
use hcalls::page::VcpuPage;
use hcalls::partition::{Policy, PtidMode};
use images::host_runtime::calls::{self, Partition, Vcore};
use images::host_runtime::cpu;
use images::host_runtime::guest::Guest;
use images::host_runtime::sync::Lock;

use crate::check::{Outcome, accepted, same};
use crate::lab::MS_TB;

/// Who has a vcpu: nobody, a core of the host's, or the firmware, which has it in its queue.
const FREE: u64 = 0;
const TAKEN: u64 = 1;
const QUEUED: u64 = 2;

/// How long a core may take to be through with what it does to a guest.
const LIMIT_TB: u64 = 20_000 * MS_TB;

/// One vcpu, as the host sees it.
#[derive(Default)]
pub struct Seat {
    holder: AtomicU64,
    page: AtomicU64,
    /// Reports that came.
    pub reports: AtomicU64,
    /// Times that it left the queue, each of which answers all kicks before it.
    answers: AtomicU64,
    /// Once a kick's call has returned: `answers` before the call, plus 1.
    owed: AtomicU64,
    /// Kicks that were made, and times that its vcpu was told of one and of nothing else.
    kicks: AtomicU64,
    told: AtomicU64,
}

/// What SMT_STATS has to tell.
#[derive(Default)]
pub struct Counts {
    pub runs: AtomicU64,
    pub refused: AtomicU64,
    pub joined: AtomicU64,
    pub kicks: AtomicU64,
    pub hypercalls: AtomicU64,
}

/// The guest.
pub struct Shared {
    guest: Lock<Guest>,
    vcore: AtomicU64,
    partition: AtomicU64,
    eager: AtomicBool,
    pub vcpus: usize,
    pub seats: [Seat; MAX_THREADS],
    pub counts: Counts,
    /// Somebody destroys it: calls may find it gone.
    pub ending: AtomicBool,
    /// Somebody wants to be alone with it.
    closed: AtomicBool,
    users: AtomicUsize,
    /// Cores between a call that may answer a kick and the count of its answers.
    answering: AtomicUsize,
    /// Times that a vcpu was about to be destroyed and made again, and times that this was done.
    remakes_begun: AtomicU64,
    remakes_done: AtomicU64,
}

/// A core that works with the guest. Others may, too, unless it's alone.
pub struct Visit<'a> {
    pub guest: &'a Shared,
    pub alone: bool,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if self.alone {
            self.guest.closed.store(false, Ordering::SeqCst);
        } else {
            self.guest.users.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Shared {
    pub fn new(guest: Guest, policy: Policy) -> Result<Self, String> {
        let shared = Self {
            vcore: AtomicU64::new(guest.vcore.0),
            partition: AtomicU64::new(guest.partition.0),
            eager: AtomicBool::new(policy == Policy::Eager),
            vcpus: guest.vcpus(),
            seats: Default::default(),
            counts: Counts::default(),
            ending: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            users: AtomicUsize::new(0),
            answering: AtomicUsize::new(0),
            remakes_begun: AtomicU64::new(0),
            remakes_done: AtomicU64::new(0),
            guest: Lock::new(guest),
        };
        let guest = shared.guest.lock();
        for (vcpu, seat) in shared.seats[..guest.vcpus()].iter().enumerate() {
            same("slot", guest.slot_mask(vcpu), 1 << vcpu)?;
            seat.page.store(guest.page_address(vcpu), Ordering::Relaxed);
        }
        drop(guest);
        Ok(shared)
    }

    pub fn vcore(&self) -> Vcore {
        Vcore(self.vcore.load(Ordering::SeqCst))
    }

    pub fn partition(&self) -> Partition {
        Partition(self.partition.load(Ordering::SeqCst))
    }

    pub fn eager(&self) -> bool {
        self.eager.load(Ordering::SeqCst)
    }

    pub fn all(&self) -> u64 {
        (1 << self.vcpus) - 1
    }

    /// The vcpus of a mask.
    pub fn each(&self, mask: u64) -> impl Iterator<Item = (usize, &Seat)> {
        let seats = self.seats[..self.vcpus].iter().enumerate();
        seats.filter(move |(vcpu, _)| mask >> vcpu & 1 != 0)
    }

    /// Works with the guest beside other cores, unless one of them wants it alone.
    pub fn visit(&self) -> Option<Visit<'_>> {
        self.users.fetch_add(1, Ordering::SeqCst);
        let visit = Visit {
            guest: self,
            alone: false,
        };
        (!self.closed.load(Ordering::SeqCst)).then_some(visit)
    }

    /// Waits until nobody else works with the guest. None: another core wants the same.
    pub fn alone(&self) -> Result<Option<Visit<'_>>, String> {
        if self.closed.swap(true, Ordering::SeqCst) {
            return Ok(None);
        }
        let visit = Visit {
            guest: self,
            alone: true,
        };
        let limit_tb = cpu::time_base() + LIMIT_TB;
        while self.users.load(Ordering::SeqCst) != 0 {
            ensure!(cpu::time_base() < limit_tb, "a core is never through");
            cpu::relax();
        }
        Ok(Some(visit))
    }

    /// The partition and its vcpus anew, for a core that is alone with them. All vcpus are free.
    pub fn revive(&self, ptid_mode: PtidMode, policy: Policy) -> Outcome {
        let mut guest = self.guest.lock();
        accepted("everything anew", guest.revive_as(ptid_mode, policy))?;
        self.vcore.store(guest.vcore.0, Ordering::SeqCst);
        self.partition.store(guest.partition.0, Ordering::SeqCst);
        self.eager.store(policy == Policy::Eager, Ordering::SeqCst);
        for seat in &self.seats {
            seat.put_back();
            seat.answered();
        }
        self.counts.clear();
        Ok(())
    }

    /// Between these two a core makes a call that may answer kicks. True: no other core does.
    pub fn begin_answering(&self) -> bool {
        self.answering.fetch_add(1, Ordering::SeqCst) == 0
    }

    pub fn end_answering(&self) {
        self.answering.fetch_sub(1, Ordering::SeqCst);
    }

    /// Between these two a vcpu may be missing.
    pub fn begin_remake(&self) {
        self.remakes_begun.fetch_add(1, Ordering::SeqCst);
    }

    pub fn end_remake(&self) {
        self.remakes_done.fetch_add(1, Ordering::SeqCst);
    }

    /// What to tell [`Shared::all_were_there`] later.
    pub fn remakes_done(&self) -> u64 {
        self.remakes_done.load(Ordering::SeqCst)
    }

    /// No vcpu was missing at any moment since then.
    pub fn all_were_there(&self, remakes_done: u64) -> bool {
        self.remakes_begun.load(Ordering::SeqCst) == remakes_done
    }

    /// Vcpus that were kicked, as a mask: nothing has answered it yet. To be asked only by a core
    /// that answers while no other does.
    pub fn owed(&self) -> u64 {
        let owed = self.each(self.all()).filter(|(_, seat)| {
            seat.owed.load(Ordering::SeqCst) == seat.answers.load(Ordering::SeqCst) + 1
        });
        owed.map(|(vcpu, _)| 1 << vcpu).sum()
    }

    pub fn queued(&self) -> u64 {
        let queued = self.each(self.all());
        let queued = queued.filter(|(_, seat)| seat.holder.load(Ordering::SeqCst) == QUEUED);
        queued.map(|(vcpu, _)| 1 << vcpu).sum()
    }
}

impl Seat {
    /// Takes a vcpu that nobody has.
    pub fn take(&self) -> bool {
        let taken = self
            .holder
            .compare_exchange(FREE, TAKEN, Ordering::SeqCst, Ordering::SeqCst);
        taken.is_ok()
    }

    pub fn put_back(&self) {
        self.holder.store(FREE, Ordering::SeqCst);
    }

    /// To be called before the call that puts it into the queue, which could be over at once.
    pub fn give(&self) {
        self.holder.store(QUEUED, Ordering::SeqCst);
    }

    /// The firmware gives it back.
    pub fn regain(&self) -> Outcome {
        same(
            "who has the vcpu",
            self.holder.swap(TAKEN, Ordering::SeqCst),
            QUEUED,
        )
    }

    /// All kicks until now are answered.
    pub fn answered(&self) {
        self.answers.fetch_add(1, Ordering::SeqCst);
    }

    /// A kick is about to be made; what to tell [`Seat::kicked`].
    pub fn kick(&self) -> u64 {
        self.kicks.fetch_add(1, Ordering::SeqCst);
        self.answers.load(Ordering::SeqCst)
    }

    /// It was made, and is to be answered.
    pub fn kicked(&self, answers: u64) {
        self.owed.store(answers + 1, Ordering::SeqCst);
    }

    /// It's told of a kick: each time takes a kick of its own.
    pub fn told(&self) -> Outcome {
        self.answered();
        let told = self.told.fetch_add(1, Ordering::SeqCst) + 1;
        let kicks = self.kicks.load(Ordering::SeqCst);
        ensure!(
            told <= kicks,
            "told of {told} kicks, and there were {kicks}"
        );
        Ok(())
    }

    /// The page, for the core that has taken the vcpu.
    pub fn page(&self) -> *mut VcpuPage {
        core::ptr::with_exposed_provenance_mut(self.page.load(Ordering::Relaxed) as usize)
    }
}

impl Counts {
    pub fn clear(&self) {
        let Self {
            runs,
            refused,
            joined,
            kicks,
            hypercalls,
        } = self;
        for count in [runs, refused, joined, kicks, hypercalls] {
            count.store(0, Ordering::SeqCst);
        }
    }
}

/// Makes a vcpu's page the host's own for a moment.
pub fn with_page<T>(seat: &Seat, work: impl FnOnce(&mut VcpuPage) -> T) -> T {
    // SAFETY: the page is RAM that was given to this vcpu alone. Its holder is this core: neither
    // the firmware nor another core touches it, and no reference outlives the call.
    work(unsafe { &mut *seat.page() })
}

/// The vcpu is destroyed and made again, on the same page.
pub fn create_again(guest: &Shared, vcpu: usize, seat: &Seat) -> Outcome {
    // SAFETY: the page was this vcpu's before, and nobody else's.
    let made = unsafe { calls::vcpu_create(guest.partition(), vcpu as u64, seat.page()) };
    let made = accepted("VCPU_CREATE", made)?;
    same("its vcore and slot", made, (guest.vcore(), vcpu as u64))
}

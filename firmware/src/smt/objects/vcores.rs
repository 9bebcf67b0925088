//! The table of vcores, and what the firmware keeps of each.
use super::{INDEX_MASK, KIND_SHIFT, MemoryRules, Settings, VCORE_KIND};
use core::sync::atomic::Ordering::{Relaxed, Release};
use hcalls::stats::VcoreStats;
use hcalls::{MAX_THREADS, VcpuPage};
use platform::cpu::space::AddressSpace;
use platform::memory::real;
use vcore::sync::{AtomicBool, AtomicU64};
use vcore::{Entry, Roster, Slots};

pub const MAX_VCORES: usize = 256;
/// Numbers that SMT_STATS tells.
const COUNTS: usize = size_of::<VcoreStats>() / size_of::<u64>();

/// Registers and rules that a vcore has from its partition.
#[derive(Debug, Default)]
pub struct Rules {
    pub lpid: AtomicU64,
    pub lpcr: AtomicU64,
    pub rmor: AtomicU64,
    pub sdr1: AtomicU64,
    pub hfscr: AtomicU64,
    /// Guests have a page table and so a use for the SLB.
    pub segments: AtomicBool,
    /// Page faults that are the guest's own stay with it.
    pub reflects: AtomicBool,
    /// Vcpus per vcore.
    pub width: AtomicU64,
    pub aligned: AtomicBool,
    /// What the guest's time base is ahead of the machine's.
    pub tb_offset: AtomicU64,
    /// The vcore has a time base or doorbells of its own ([`crate::smt::run`]).
    pub shares: AtomicBool,
    pub eager: AtomicBool,
    pub memory: MemoryRules,
}

/// What SMT_STATS tells of a vcore.
#[derive(Debug)]
pub struct Counters {
    pub runs: AtomicU64,
    pub refused: AtomicU64,
    pub woken: AtomicU64,
    pub joined: AtomicU64,
    pub entries: AtomicU64,
    pub kicks: AtomicU64,
    pub run_tb: AtomicU64,
    pub exits: [AtomicU64; hcalls::stats::REASONS],
}

/// One vcore; the address of each is a multiple of 128.
#[derive(Debug)]
#[repr(align(128))]
pub struct Vcore {
    pub roster: Roster,
    pub entry: Entry,
    /// 0 while the place is free.
    handle: AtomicU64,
    /// Real addresses of the vcpu pages; 0 where there is none.
    pub pages: [AtomicU64; MAX_THREADS],
    /// By slot: tells this load of a vcpu's registers into a thread from all others ([`next_key`]).
    pub keys: [AtomicU64; MAX_THREADS],
    pub rules: Rules,
    /// By slot: the causes of kicks that aren't told yet.
    pub causes: [AtomicU64; MAX_THREADS],
    /// Number within its partition, and the id of slot 0's vcpu.
    pub(super) number: AtomicU64,
    first_id: AtomicU64,
    pub(super) partition: AtomicU64,
    /// The core that runs it, by its address; 0 for none (B22).
    pub core: AtomicU64,
    /// Virtual time base, between runs.
    pub vtb: AtomicU64,
    /// Doorbells that were rung and not heard, by slot; between runs.
    pub doorbells: AtomicU64,
    /// What the pages counted of served hypercalls before their vcpus were made.
    served_before: AtomicU64,
    pub counters: Counters,
    /// Each of SMT_STATS's numbers as of the last reset. The counters themselves only grow, so that a
    /// reset loses nothing of a run that is going on.
    forgotten: [AtomicU64; COUNTS],
}

impl Counters {
    const fn new() -> Self {
        Self {
            runs: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            woken: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            kicks: AtomicU64::new(0),
            run_tb: AtomicU64::new(0),
            exits: [const { AtomicU64::new(0) }; hcalls::stats::REASONS],
        }
    }

    /// Every number of [`hcalls::stats::VcoreStats`], in its order.
    fn all(&self, served: u64) -> [u64; COUNTS] {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        let mut all = [0; COUNTS];
        let (totals, exits) = all.split_at_mut(COUNTS - hcalls::stats::REASONS);
        totals.copy_from_slice(&[
            of(&self.runs),
            of(&self.refused),
            of(&self.woken),
            of(&self.joined),
            of(&self.entries),
            served,
            of(&self.kicks),
            of(&self.run_tb),
        ]);
        exits.copy_from_slice(&self.exits.each_ref().map(of));
        all
    }
}

impl Rules {
    const fn new() -> Self {
        Self {
            lpid: AtomicU64::new(0),
            lpcr: AtomicU64::new(0),
            rmor: AtomicU64::new(0),
            sdr1: AtomicU64::new(0),
            hfscr: AtomicU64::new(0),
            segments: AtomicBool::new(false),
            reflects: AtomicBool::new(false),
            width: AtomicU64::new(0),
            aligned: AtomicBool::new(false),
            tb_offset: AtomicU64::new(0),
            shares: AtomicBool::new(false),
            eager: AtomicBool::new(false),
            memory: MemoryRules::new(),
        }
    }

    /// The memory that its guests reach.
    #[inline(always)]
    pub fn space(&self) -> AddressSpace {
        AddressSpace {
            lpid: self.lpid.load(Relaxed),
            rmor: self.rmor.load(Relaxed),
            sdr1: self.sdr1.load(Relaxed),
        }
    }

    fn copy_from(&self, from: &Settings) {
        self.lpid.store(u64::from(from.lpid), Relaxed);
        self.lpcr.store(from.lpcr, Relaxed);
        self.rmor.store(from.rmor, Relaxed);
        self.sdr1.store(from.sdr1, Relaxed);
        self.hfscr.store(from.hfscr, Relaxed);
        self.segments.store(from.segments, Relaxed);
        self.reflects.store(from.reflects, Relaxed);
        self.width.store(from.width as u64, Relaxed);
        self.aligned.store(from.aligned, Relaxed);
        self.tb_offset.store(from.tb_offset, Relaxed);
        let shares = from.aligned || from.tb_offset != 0;
        self.shares.store(shares, Relaxed);
        self.eager.store(from.eager, Relaxed);
        self.memory.copy_from(&from.memory, from.sdr1);
    }
}

/// A key's upper bits are its slot's, out of all slots of all vcores; in those below loads are counted,
/// of all vcpus that the slot ever has. They last for a century of nothing else.
const KEY_COUNT: u64 = (1 << 52) - 1;

/// Before a slot's first vcpu. Not 0, which is no key.
pub(super) const fn first_key(vcore: u64, slot: usize) -> u64 {
    (vcore * MAX_THREADS as u64 + slot as u64 + 1) << 52
}

/// The key of the next load. Never runs over into another slot's.
#[inline(always)]
pub const fn next_key(key: u64) -> u64 {
    key & !KEY_COUNT | key.wrapping_add(1) & KEY_COUNT
}

const _: () = assert!((MAX_VCORES * MAX_THREADS) < 1 << 12);

impl Vcore {
    const fn new() -> Self {
        Self {
            roster: Roster::new(),
            entry: Entry::new(),
            handle: AtomicU64::new(0),
            pages: [const { AtomicU64::new(0) }; MAX_THREADS],
            keys: [const { AtomicU64::new(0) }; MAX_THREADS],
            rules: Rules::new(),
            causes: [const { AtomicU64::new(0) }; MAX_THREADS],
            number: AtomicU64::new(0),
            first_id: AtomicU64::new(0),
            partition: AtomicU64::new(0),
            core: AtomicU64::new(0),
            vtb: AtomicU64::new(0),
            doorbells: AtomicU64::new(0),
            served_before: AtomicU64::new(0),
            counters: Counters::new(),
            forgotten: [const { AtomicU64::new(0) }; COUNTS],
        }
    }

    pub fn handle(&self) -> u64 {
        self.handle.load(Relaxed)
    }

    /// Its partition's handle.
    #[inline(always)]
    pub fn partition(&self) -> u64 {
        self.partition.load(Relaxed)
    }

    /// The id of the vcpu that slot 0 is for (B1).
    #[inline(always)]
    pub fn first_id(&self) -> u64 {
        self.first_id.load(Relaxed)
    }
}

pub(super) static VCORES: [Vcore; MAX_VCORES] = [const { Vcore::new() }; MAX_VCORES];

/// The vcore that a handle names, if it still exists.
#[inline(always)]
pub fn vcore(handle: u64) -> Option<&'static Vcore> {
    let vcore = VCORES.get((handle & INDEX_MASK) as usize)?;
    (handle >> KIND_SHIFT == VCORE_KIND && vcore.handle() == handle).then_some(vcore)
}

/// Every vcore that there is.
pub fn all() -> impl Iterator<Item = &'static Vcore> {
    VCORES.iter().filter(|vcore| vcore.handle() != 0)
}

/// Every place for a vcore.
pub fn places() -> impl Iterator<Item = &'static Vcore> {
    VCORES.iter()
}

/// What a vcpu's page counts of hypercalls served in the firmware. The host can have written
/// anything there: to be added up without overflow checks.
fn served_on(page: u64) -> u64 {
    let page = real::ptr(page).cast::<VcpuPage>();
    // SAFETY: the host's RAM, checked when the vcpu was made; the host may write at any time.
    unsafe { (&raw const (*page).firmware.served).read_volatile().get() }
}

impl Vcore {
    /// What SMT_STATS tells, in the order of [`VcoreStats`]; with `reset` it counts from here on.
    pub fn stats(&self, reset: bool) -> [u64; COUNTS] {
        let now = self.counters.all(self.served());
        core::array::from_fn(|place| {
            let forgotten = match reset {
                // Of two resets at once the later one tells what came between.
                true => self.forgotten[place].fetch_max(now[place], Relaxed),
                false => self.forgotten[place].load(Relaxed),
            };
            now[place].saturating_sub(forgotten)
        })
    }

    /// Hypercalls served for this vcore since it was made.
    fn served(&self) -> u64 {
        let present = Slots(self.roster.snapshot().present());
        let pages = present.map(|slot| served_on(self.pages[slot].load(Relaxed)));
        pages
            .fold(0, u64::wrapping_add)
            .wrapping_sub(self.served_before.load(Relaxed))
    }

    /// Gives a free place to vcore `number` of a partition.
    pub(super) fn start(&self, handle: u64, partition: u64, number: u64, settings: &Settings) {
        self.roster.reset();
        // As after run 0, so that whoever joins run 1 waits for it.
        self.entry.open(0, 0);
        self.rules.copy_from(settings);
        self.number.store(number, Relaxed);
        self.first_id.store(number * settings.width as u64, Relaxed);
        self.partition.store(partition, Relaxed);
        self.vtb.store(0, Relaxed);
        self.doorbells.store(0, Relaxed);
        self.served_before.store(0, Relaxed);
        let counts = self.counters.all(0);
        for (forgotten, count) in self.forgotten.iter().zip(counts) {
            forgotten.store(count, Relaxed);
        }
        // Release: whoever finds the handle finds the rest.
        self.handle.store(handle, Release);
    }

    /// Its partition has other settings; it is held. No thread's registers count as its vcpus' any more.
    pub(super) fn renew(&self, settings: &Settings) {
        self.rules.copy_from(settings);
        for slot in Slots(self.roster.snapshot().present()) {
            let last = self.keys[slot].load(Relaxed);
            self.keys[slot].store(next_key(last), Relaxed);
        }
    }

    /// A vcpu's page comes into the slot. No thread holds its registers.
    pub(super) fn put_page(&self, slot: usize, page: u64) {
        self.pages[slot].store(page, Relaxed);
        self.served_before.fetch_add(served_on(page), Relaxed);
        let last = match self.keys[slot].load(Relaxed) {
            0 => first_key(self.handle() & INDEX_MASK, slot),
            last => last,
        };
        self.keys[slot].store(next_key(last), Relaxed);
        self.causes[slot].store(0, Relaxed);
    }

    /// The slot's vcpu is gone.
    pub(super) fn take_page(&self, slot: usize) {
        let page = self.pages[slot].swap(0, Relaxed);
        self.served_before.fetch_sub(served_on(page), Relaxed);
    }

    pub(super) fn is_of(&self, partition: u64) -> bool {
        self.partition.load(Relaxed) == partition
    }

    pub(super) fn is_number(&self, partition: u64, number: u64) -> bool {
        self.handle() != 0 && self.is_of(partition) && self.number.load(Relaxed) == number
    }

    pub(super) fn has_page(&self, page: u64) -> bool {
        self.handle() != 0 && self.pages.iter().any(|own| own.load(Relaxed) == page)
    }

    /// Gives the place back; the roster is dead already.
    pub(super) fn free(&self) {
        self.handle.store(0, Relaxed);
        self.pages.iter().for_each(|page| page.store(0, Relaxed));
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    const RUNS: u64 = 100_000;

    #[test]
    fn resets_lose_nothing_that_the_runner_adds() {
        let vcore = Vcore::new();
        let runs = &vcore.counters.runs;
        let told = AtomicU64::new(0);
        let tell = || told.fetch_add(vcore.stats(true)[0], Relaxed);
        std::thread::scope(|scope| {
            // As a runner adds: it is the only one.
            scope.spawn(|| (1..=RUNS).for_each(|count| runs.store(count, Relaxed)));
            for _ in 0..2 {
                scope.spawn(|| {
                    while runs.load(Relaxed) < RUNS {
                        tell();
                    }
                });
            }
        });
        tell();
        assert_eq!((told.load(Relaxed), vcore.stats(false)[0]), (RUNS, 0));
    }
}

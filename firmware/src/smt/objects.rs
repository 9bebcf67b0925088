//! Partitions and vcores: fixed tables, handles, and who may change them.
//!
//! Creation and destruction hold the one lock of [`Partitions`]; a run holds none: it finds its
//! vcore by handle and lives by the vcore's two words. Fields that a run reads are atomics which
//! only change while the vcore has no vcpu.
use crate::vcore::{Entry, Roster, Slots};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use hcalls::{MAX_THREADS, VcpuPage};
use platform::lock::Lock;
use platform::real;

pub const MAX_PARTITIONS: usize = 64;
pub const MAX_VCORES: usize = 256;
/// Vcores of one partition: vcpu ids go up to this times the width (B1).
pub const MAX_VCORES_PER_PARTITION: usize = 64;
/// Largest LPID: LPIDR has 12 bits, of which POWER8 has 11 (and the host is 0).
pub const MAX_LPID: u32 = 2047;

/// Handles say in their upper bits what they name, so that none passes for another.
const PARTITION_KIND: u64 = 1;
const VCORE_KIND: u64 = 2;
const KIND_SHIFT: u32 = 48;
const SERIAL_SHIFT: u32 = 16;
const INDEX_MASK: u64 = 0xffff;

fn handle(kind: u64, serial: u32, index: usize) -> u64 {
    kind << KIND_SHIFT | u64::from(serial) << SERIAL_SHIFT | index as u64
}

/// Registers and rules that a vcore has from its partition.
#[derive(Debug, Default)]
pub struct Rules {
    pub lpid: AtomicU64,
    pub lpcr: AtomicU64,
    pub rmor: AtomicU64,
    pub sdr1: AtomicU64,
    /// Vcpus per vcore.
    pub width: AtomicU64,
    pub aligned: AtomicU64,
    pub eager: AtomicU64,
}

/// What SMT_STATS tells of a vcore.
#[derive(Debug)]
pub struct Counters {
    pub runs: AtomicU64,
    pub refused: AtomicU64,
    pub woken: AtomicU64,
    pub joined: AtomicU64,
    pub entries: AtomicU64,
    pub served: AtomicU64,
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
    /// By slot: tells the vcpu from all others that ever were.
    pub keys: [AtomicU64; MAX_THREADS],
    pub rules: Rules,
    /// Number within its partition.
    number: AtomicU64,
    partition: AtomicU64,
    /// The core that runs it, by its address; 0 for none (B22).
    pub core: AtomicU64,
    /// Virtual time base, between runs.
    pub vtb: AtomicU64,
    /// What of the pages' counts of served hypercalls isn't told: from before the vcpu or the
    /// last reset.
    served_before: AtomicU64,
    pub counters: Counters,
}

impl Counters {
    const fn new() -> Self {
        Self {
            runs: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            woken: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            served: AtomicU64::new(0),
            kicks: AtomicU64::new(0),
            run_tb: AtomicU64::new(0),
            exits: [const { AtomicU64::new(0) }; hcalls::stats::REASONS],
        }
    }

    /// Every counter, in the order of [`hcalls::stats::VcoreStats`].
    pub fn all(&self) -> impl Iterator<Item = &AtomicU64> {
        [
            &self.runs,
            &self.refused,
            &self.woken,
            &self.joined,
            &self.entries,
            &self.served,
            &self.kicks,
            &self.run_tb,
        ]
        .into_iter()
        .chain(&self.exits)
    }
}

impl Rules {
    const fn new() -> Self {
        Self {
            lpid: AtomicU64::new(0),
            lpcr: AtomicU64::new(0),
            rmor: AtomicU64::new(0),
            sdr1: AtomicU64::new(0),
            width: AtomicU64::new(0),
            aligned: AtomicU64::new(0),
            eager: AtomicU64::new(0),
        }
    }

    fn copy_from(&self, from: &Settings) {
        self.lpid.store(u64::from(from.lpid), Relaxed);
        self.lpcr.store(from.lpcr, Relaxed);
        self.rmor.store(from.rmor, Relaxed);
        self.sdr1.store(from.sdr1, Relaxed);
        self.width.store(from.width as u64, Relaxed);
        self.aligned.store(u64::from(from.aligned), Relaxed);
        self.eager.store(u64::from(from.eager), Relaxed);
    }
}

impl Vcore {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Self {
            roster: Roster::new(),
            entry: Entry::new(),
            handle: AtomicU64::new(0),
            pages: [const { AtomicU64::new(0) }; MAX_THREADS],
            keys: [const { AtomicU64::new(0) }; MAX_THREADS],
            rules: Rules::new(),
            number: AtomicU64::new(0),
            partition: AtomicU64::new(0),
            core: AtomicU64::new(0),
            vtb: AtomicU64::new(0),
            served_before: AtomicU64::new(0),
            counters: Counters::new(),
        }
    }

    pub fn handle(&self) -> u64 {
        self.handle.load(Relaxed)
    }

    /// The id of the vcpu that slot 0 is for (B1).
    #[inline(always)]
    pub fn first_id(&self) -> u64 {
        self.number.load(Relaxed) * self.rules.width.load(Relaxed)
    }
}

#[cfg(not(loom))]
static VCORES: [Vcore; MAX_VCORES] = [const { Vcore::new() }; MAX_VCORES];

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

/// A partition's configuration, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub lpid: u32,
    pub lpcr: u64,
    pub rmor: u64,
    pub sdr1: u64,
    pub width: usize,
    pub aligned: bool,
    pub eager: bool,
}

#[derive(Clone, Copy, Debug)]
struct Partition {
    handle: u64,
    settings: Settings,
}

/// Why an object can't be made or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such object.
    NoSuch,
    /// The LPID, the id or the page is in use.
    Taken,
    /// The vcpu id's vcore is past the limit.
    PastLimit,
    /// The tables are full.
    Full,
    /// It runs, or a vcpu of it does.
    Busy,
}

/// All partitions.
#[derive(Debug)]
pub struct Partitions {
    table: [Option<Partition>; MAX_PARTITIONS],
    /// Counts every object ever made, so that no handle comes twice.
    serial: u32,
}

/// The one lock of creation and destruction. It is taken before no other.
pub static PARTITIONS: Lock<Partitions> = Lock::new(Partitions {
    table: [None; MAX_PARTITIONS],
    serial: 0,
});

impl Partitions {
    fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }

    fn find(&self, handle: u64) -> Option<&Partition> {
        let entry = self.table.get((handle & INDEX_MASK) as usize)?.as_ref()?;
        (entry.handle == handle).then_some(entry)
    }

    /// Makes a partition; returns its handle.
    pub fn create(&mut self, settings: Settings) -> Result<u64, Refusal> {
        if self
            .table
            .iter()
            .flatten()
            .any(|other| other.settings.lpid == settings.lpid)
        {
            return Err(Refusal::Taken);
        }
        let index = self
            .table
            .iter()
            .position(Option::is_none)
            .ok_or(Refusal::Full)?;
        let handle = handle(PARTITION_KIND, self.next_serial(), index);
        self.table[index] = Some(Partition { handle, settings });
        Ok(handle)
    }

    /// Ends a partition with all its vcores and vcpus; nothing is changed when one runs.
    pub fn destroy(&mut self, partition: u64) -> Result<(), Refusal> {
        self.find(partition).ok_or(Refusal::NoSuch)?;
        end_vcores(|vcore| vcore.partition.load(Relaxed) == partition)?;
        self.table[(partition & INDEX_MASK) as usize] = None;
        Ok(())
    }

    /// Ends every partition; nothing is changed when a vcore of any runs.
    pub fn destroy_all(&mut self) -> Result<(), Refusal> {
        end_vcores(|_| true)?;
        self.table = [None; MAX_PARTITIONS];
        Ok(())
    }

    /// Makes a vcpu and, if it is the first, its vcore (B3); returns the vcore's handle and the
    /// slot.
    pub fn create_vcpu(
        &mut self,
        partition: u64,
        id: u64,
        page: u64,
    ) -> Result<(u64, usize), Refusal> {
        let settings = self.find(partition).ok_or(Refusal::NoSuch)?.settings;
        let (number, slot) = (
            id / settings.width as u64,
            (id % settings.width as u64) as usize,
        );
        if number >= MAX_VCORES_PER_PARTITION as u64 {
            return Err(Refusal::PastLimit);
        }
        if VCORES.iter().any(|vcore| vcore.has_page(page)) {
            return Err(Refusal::Taken);
        }
        let vcore = self.vcore_of(partition, number, &settings)?;
        if vcore.roster.snapshot().present() & 1 << slot != 0 {
            return Err(Refusal::Taken);
        }
        // Whoever sees the vcpu in the roster sees its page.
        vcore.pages[slot].store(page, Relaxed);
        vcore.served_before.fetch_add(served_on(page), Relaxed);
        vcore.keys[slot].store(u64::from(self.next_serial()), Relaxed);
        if !vcore.roster.add(slot) {
            return Err(Refusal::Busy);
        }
        Ok((vcore.handle(), slot))
    }

    /// The partition's vcore of that number, made now if there is none.
    fn vcore_of(
        &mut self,
        partition: u64,
        number: u64,
        settings: &Settings,
    ) -> Result<&'static Vcore, Refusal> {
        let it = |vcore: &&Vcore| {
            vcore.handle() != 0
                && vcore.partition.load(Relaxed) == partition
                && vcore.number.load(Relaxed) == number
        };
        if let Some(vcore) = VCORES.iter().find(it) {
            return Ok(vcore);
        }
        let index = VCORES
            .iter()
            .position(|vcore| vcore.handle() == 0)
            .ok_or(Refusal::Full)?;
        let vcore = &VCORES[index];
        vcore.roster.reset();
        // As after run 0, so that whoever joins run 1 waits for it.
        vcore.entry.open(0, 0);
        vcore.rules.copy_from(settings);
        vcore.number.store(number, Relaxed);
        vcore.partition.store(partition, Relaxed);
        vcore.vtb.store(0, Relaxed);
        vcore.served_before.store(0, Relaxed);
        vcore
            .counters
            .all()
            .for_each(|counter| counter.store(0, Relaxed));
        // Release: whoever finds the handle finds the rest.
        let handle = handle(VCORE_KIND, self.next_serial(), index);
        vcore
            .handle
            .store(handle, core::sync::atomic::Ordering::Release);
        Ok(vcore)
    }

    /// Ends a vcpu, and with the last one its vcore (B6).
    pub fn destroy_vcpu(&mut self, handle: u64, slot: usize) -> Result<(), Refusal> {
        let vcore = vcore(handle).ok_or(Refusal::NoSuch)?;
        if slot >= MAX_THREADS || vcore.roster.snapshot().present() & 1 << slot == 0 {
            return Err(Refusal::NoSuch);
        }
        if !vcore.roster.remove(slot) {
            return Err(Refusal::Busy);
        }
        let page = vcore.pages[slot].swap(0, Relaxed);
        vcore.served_before.fetch_sub(served_on(page), Relaxed);
        if vcore.roster.snapshot().present() == 0 && vcore.roster.kill() {
            vcore.free();
        }
        Ok(())
    }
}

/// Ends the vcores of which `own` is true, or none of them if one runs.
fn end_vcores(own: impl Fn(&Vcore) -> bool) -> Result<(), Refusal> {
    let ends = |vcore: &&Vcore| vcore.handle() != 0 && own(vcore);
    let mut doomed = VCORES.iter().filter(ends);
    if let Some(stop) = doomed.position(|vcore| !vcore.roster.kill()) {
        let killed = VCORES.iter().filter(ends).take(stop);
        killed.for_each(|vcore| vcore.roster.revive());
        return Err(Refusal::Busy);
    }
    VCORES.iter().filter(ends).for_each(Vcore::free);
    Ok(())
}

/// What a vcpu's page counts of hypercalls served in the firmware. The host can have written
/// anything there: to be added up without overflow checks.
fn served_on(page: u64) -> u64 {
    let page = real::ptr(page).cast::<VcpuPage>();
    // SAFETY: the host's RAM, checked when the vcpu was made; the host may write at any time.
    unsafe { (&raw const (*page).firmware.served).read_volatile().get() }
}

impl Vcore {
    /// Hypercalls served for this vcore since it was made, or since the last reset, which
    /// `reset` makes of this.
    pub fn served(&self, reset: bool) -> u64 {
        let present = Slots(self.roster.snapshot().present());
        let pages = present.map(|slot| served_on(self.pages[slot].load(Relaxed)));
        let all = pages.fold(0, u64::wrapping_add);
        let before = match reset {
            true => self.served_before.swap(all, Relaxed),
            false => self.served_before.load(Relaxed),
        };
        all.wrapping_sub(before)
    }

    fn has_page(&self, page: u64) -> bool {
        self.handle() != 0 && self.pages.iter().any(|own| own.load(Relaxed) == page)
    }

    /// Gives the place back; the roster is dead already.
    fn free(&self) {
        self.handle.store(0, Relaxed);
        self.pages.iter().for_each(|page| page.store(0, Relaxed));
    }
}

#[cfg(test)]
#[path = "objects_tests.rs"]
pub mod tests;

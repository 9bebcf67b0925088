//! Partitions and vcores: fixed tables, handles, and who may change them.
//!
//! Creation and destruction hold the one lock of [`Partitions`]; a run holds none: it finds its
//! vcore by handle and lives by the vcore's two words. Fields that a run reads are atomics which
//! only change while the vcore has no vcpu.
use hcalls::MAX_THREADS;
use platform::cpu::lock::Lock;

mod memory;
mod update;
mod vcores;

pub use memory::{Memory, MemoryRules};
pub use vcores::{MAX_VCORES, Rules, Vcore, all, next_key, places, vcore};

use vcores::VCORES;

/// Where the partition with that handle stands among all.
#[inline(always)]
pub fn partition_index(handle: u64) -> usize {
    handle as usize & (MAX_PARTITIONS - 1)
}
const _: () = assert!(MAX_PARTITIONS.is_power_of_two());

pub const MAX_PARTITIONS: usize = 64;
/// Vcores of one partition: vcpu ids go up to this times the width (B1).
pub const MAX_VCORES_PER_PARTITION: usize = 64;
/// Largest LPID: LPIDR has 12 bits, of which POWER8 has 11. The host is 0, and the largest is the one
/// by way of which a core is switched from one to another (`platform::cpu::space::RESERVED_LPID`).
pub const MAX_LPID: u32 = 2046;

/// Handles say in their upper bits what they name, so that none passes for another.
const PARTITION_KIND: u64 = 1;
const VCORE_KIND: u64 = 2;
const KIND_SHIFT: u32 = 48;
const SERIAL_SHIFT: u32 = 16;
const INDEX_MASK: u64 = 0xffff;

fn handle(kind: u64, serial: u32, index: usize) -> u64 {
    kind << KIND_SHIFT | u64::from(serial) << SERIAL_SHIFT | index as u64
}

/// A partition's configuration, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub lpid: u32,
    pub lpcr: u64,
    pub rmor: u64,
    pub sdr1: u64,
    /// Facilities that guests may use, but for floating point, VMX and VSX.
    pub hfscr: u64,
    pub segments: bool,
    pub reflects: bool,
    pub width: usize,
    pub aligned: bool,
    /// Added to the time base that guests read.
    pub tb_offset: u64,
    pub eager: bool,
    pub memory: Memory,
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
    /// What a partition has for good can't be changed.
    Fixed,
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
        end_vcores(|vcore| vcore.is_of(partition))?;
        self.table[(partition & INDEX_MASK) as usize] = None;
        Ok(())
    }

    /// Ends every partition; nothing is changed when a vcore of any runs.
    pub fn destroy_all(&mut self) -> Result<(), Refusal> {
        end_vcores(|_| true)?;
        self.table = [None; MAX_PARTITIONS];
        Ok(())
    }

    /// Ends every partition that has no vcore running. False: one is left, and not because of a
    /// `lost` vcore, which will never end.
    pub fn destroy_all_but(&mut self, lost: impl Fn(&Vcore) -> bool) -> bool {
        let mut all_gone = true;
        for index in 0..MAX_PARTITIONS {
            let Some(Partition { handle, .. }) = self.table[index] else {
                continue;
            };
            let is_lost = |vcore: &Vcore| vcore.is_of(handle) && lost(vcore);
            all_gone &= self.destroy(handle).is_ok() || VCORES.iter().any(is_lost);
        }
        all_gone
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
        vcore.put_page(slot, page);
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
        let it = |vcore: &&Vcore| vcore.is_number(partition, number);
        if let Some(vcore) = VCORES.iter().find(it) {
            return Ok(vcore);
        }
        let index = VCORES
            .iter()
            .position(|vcore| vcore.handle() == 0)
            .ok_or(Refusal::Full)?;
        let vcore = &VCORES[index];
        let handle = handle(VCORE_KIND, self.next_serial(), index);
        vcore.start(handle, partition, number, settings);
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
        vcore.take_page(slot);
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

#[cfg(test)]
#[path = "objects_tests.rs"]
pub mod tests;

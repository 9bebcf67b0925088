//! A partition's memory, as PARTITION_MEMORY has told of it.
use super::{Partitions, Refusal, Rules, Settings};
use crate::page_table::service::Unmapped;
use crate::page_table::{Guest, Map, Shadow, Table};
use crate::smt::check::is_host_ram;
use crate::vcore::sync::{AtomicBool, AtomicU64};
use asm::op;
use core::sync::atomic::Ordering::Relaxed;

/// Checked: all of it is the host's memory. 0 as a root: there is none, and the host serves the page table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub root: u64,
    pub len_bytes: u64,
    pub page_shift: u32,
    pub shadow: u64,
    pub is_little: bool,
}

/// The same, for runs.
#[derive(Debug, Default)]
pub struct MemoryRules {
    root: AtomicU64,
    len_bytes: AtomicU64,
    page_shift: AtomicU64,
    shadow: AtomicU64,
    is_little: AtomicBool,
}

impl MemoryRules {
    pub const fn new() -> Self {
        Self {
            root: AtomicU64::new(0),
            len_bytes: AtomicU64::new(0),
            page_shift: AtomicU64::new(0),
            shadow: AtomicU64::new(0),
            is_little: AtomicBool::new(false),
        }
    }

    /// The firmware serves the page table's hypercalls.
    #[inline(always)]
    pub fn is_served(&self) -> bool {
        self.root.load(Relaxed) != 0
    }

    pub(super) fn copy_from(&self, from: &Memory) {
        self.root.store(from.root, Relaxed);
        self.len_bytes.store(from.len_bytes, Relaxed);
        self.page_shift.store(from.page_shift.into(), Relaxed);
        self.shadow.store(from.shadow, Relaxed);
        self.is_little.store(from.is_little, Relaxed);
    }

    #[inline(always)]
    fn get(&self) -> Memory {
        Memory {
            root: self.root.load(Relaxed),
            len_bytes: self.len_bytes.load(Relaxed),
            page_shift: self.page_shift.load(Relaxed) as u32,
            shadow: self.shadow.load(Relaxed),
            is_little: self.is_little.load(Relaxed),
        }
    }
}

/// A guest's page table with its memory.
///
/// # Safety
/// SDR1 and the memory have been checked, and stay what they are while this is used.
#[inline(always)]
unsafe fn guest(sdr1: u64, lpid: u64, memory: &Memory) -> Guest {
    // SAFETY: the caller's promise; the shadow was checked to be as long as the table asks for.
    let (table, shadow) = unsafe {
        let table = Table::of_sdr1(sdr1);
        let entries = table.entries() as usize;
        (table, Shadow::at(memory.shadow, entries, memory.is_little))
    };
    let map = Map {
        root: memory.root,
        len_bytes: memory.len_bytes,
        page_shift: memory.page_shift,
        is_host: is_host_ram,
    };
    Guest {
        table,
        shadow,
        map,
        lpid,
    }
}

impl Rules {
    /// The page table of guests that run by these rules.
    ///
    /// # Safety
    /// The memory is served, and a run is under way, which keeps the rules as they are.
    #[inline(always)]
    pub unsafe fn guest(&self) -> Guest {
        let memory = self.memory.get();
        // SAFETY: the caller's promise.
        unsafe { guest(self.sdr1.load(Relaxed), self.lpid.load(Relaxed), &memory) }
    }
}

impl Partitions {
    /// SDR1 of a partition that has a page table of its own.
    pub fn sdr1(&self, partition: u64) -> Option<u64> {
        let settings = self.find(partition)?.settings;
        settings.segments.then_some(settings.sdr1)
    }

    /// Gives a partition memory, or takes it. Nothing is changed when a vcore of it runs.
    pub fn set_memory(&mut self, partition: u64, memory: Memory) -> Result<(), Refusal> {
        let old = self.find(partition).ok_or(Refusal::NoSuch)?.settings;
        self.change(partition, Settings { memory, ..old })
    }

    /// Takes the partition's entries for some of its memory back, in a portion of its table. It may run.
    pub fn unmap(
        &mut self,
        partition: u64,
        portion: (u64, u64),
        range: (u64, u64),
    ) -> Result<Unmapped, Refusal> {
        let settings = self.find(partition).ok_or(Refusal::NoSuch)?.settings;
        if settings.memory.root == 0 {
            return Err(Refusal::NoSuch);
        }
        // SAFETY: the partition stays as it is while this, the one lock of changes, is held.
        let guest = unsafe { guest(settings.sdr1, settings.lpid.into(), &settings.memory) };
        // What the host has written to the map comes before what is read in the table.
        op::sync();
        Ok(guest.unmap(portion.0, portion.1, range.0, range.1))
    }
}

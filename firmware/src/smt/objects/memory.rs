//! A partition's memory, as PARTITION_MEMORY has told of it.
use super::{Partitions, Refusal, Rules, Settings};
use crate::page_table::service::{Entries, Unmapped};
use crate::page_table::{Guest, Map, Shadow, Table, table};
use crate::smt::check::{is_host_ram, is_in_span};
use asm::op;
use core::sync::atomic::Ordering::Relaxed;
use vcore::sync::{AtomicBool, AtomicU64};

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
    table: AtomicU64,
    /// Of the table; 0 if it isn't served.
    entries: AtomicU64,
    len_bytes: AtomicU64,
    page_shift: AtomicU64,
    shadow: AtomicU64,
    is_little: AtomicBool,
}

impl MemoryRules {
    pub const fn new() -> Self {
        Self {
            root: AtomicU64::new(0),
            table: AtomicU64::new(0),
            entries: AtomicU64::new(0),
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

    pub(super) fn copy_from(&self, from: &Memory, sdr1: u64) {
        self.root.store(from.root, Relaxed);
        let entries = match from.root {
            0 => 0,
            _ => table::entries(sdr1),
        };
        self.table.store(sdr1 & table::HTABORG, Relaxed);
        self.entries.store(entries, Relaxed);
        self.len_bytes.store(from.len_bytes, Relaxed);
        self.page_shift.store(from.page_shift.into(), Relaxed);
        self.shadow.store(from.shadow, Relaxed);
        self.is_little.store(from.is_little, Relaxed);
    }
}

/// A guest's page table, at `table`, with its shadow.
///
/// # Safety
/// Both have been checked, and stay what they are while this is used.
#[inline(always)]
unsafe fn entries(table: u64, entries: u64, shadow: u64, is_little: bool) -> Entries {
    let entries = entries as usize;
    // SAFETY: the caller's promise; the shadow was checked to be as long as the table asks for.
    unsafe {
        Entries {
            table: Table::at(table, entries),
            shadow: Shadow::at(shadow, entries, is_little),
        }
    }
}

/// What stands behind what they say.
#[inline(always)]
fn guest(entries: Entries, lpid: u64, root: u64, len_bytes: u64, page_shift: u32) -> Guest {
    let map = Map {
        root,
        len_bytes,
        page_shift,
        is_host: is_host_ram,
        is_plainly_host: is_in_span,
    };
    Guest { entries, map, lpid }
}

impl Rules {
    /// The page table of guests that run by these rules; without entries if it isn't served.
    ///
    /// # Safety
    /// A run is under way, which keeps the rules as they are.
    #[inline(always)]
    pub unsafe fn entries(&self) -> Entries {
        let of = &self.memory;
        let (table, count) = (of.table.load(Relaxed), of.entries.load(Relaxed));
        let (shadow, is_little) = (of.shadow.load(Relaxed), of.is_little.load(Relaxed));
        // SAFETY: the caller's promise.
        unsafe { entries(table, count, shadow, is_little) }
    }

    /// The same with the memory behind it.
    ///
    /// # Safety
    /// As [`Self::entries`].
    #[inline(always)]
    pub unsafe fn guest(&self) -> Guest {
        let of = &self.memory;
        // SAFETY: the caller's promise.
        let entries = unsafe { self.entries() };
        guest(
            entries,
            self.lpid.load(Relaxed),
            of.root.load(Relaxed),
            of.len_bytes.load(Relaxed),
            of.page_shift.load(Relaxed) as u32,
        )
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
        let (sdr1, memory) = (settings.sdr1, settings.memory);
        let (table, count) = (sdr1 & table::HTABORG, table::entries(sdr1));
        // SAFETY: the partition stays as it is while this, the one lock of changes, is held.
        let entries = unsafe { entries(table, count, memory.shadow, memory.is_little) };
        let lpid = settings.lpid.into();
        let guest = guest(
            entries,
            lpid,
            memory.root,
            memory.len_bytes,
            memory.page_shift,
        );
        // What the host has written to the map comes before what is read in the table.
        op::sync();
        Ok(guest.unmap(portion.0, portion.1, range.0, range.1))
    }
}

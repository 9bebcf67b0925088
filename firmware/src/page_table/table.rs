//! The table in memory, and looking an entry up.
use super::Sought;
use super::entry::{ABSENT, AVPN, Entry, IDENTITY, LOCKED, SECONDARY, VALID};
use platform::memory::real;

/// SDR1: where the table begins, and its size (Power ISA 2.07 Book III-S 5.7.7.2).
pub const HTABORG: u64 = asm::ibm_field(4, 45);
pub const HTABSIZE: u64 = asm::ibm_field(59, 63);
/// The largest HTABSIZE.
pub const HTABSIZE_MOST: u64 = 28;
/// Bytes of the smallest table: 2^18.
const SMALLEST_SHIFT: u64 = 18;
/// Entries of a group.
const GROUP: usize = 8;

/// Bytes of the table that SDR1 names.
#[inline(always)]
#[must_use]
pub const fn len_bytes(sdr1: u64) -> u64 {
    1 << (SMALLEST_SHIFT + sdr1 % (HTABSIZE + 1))
}

/// Entries of that table.
#[inline(always)]
#[must_use]
pub const fn entries(sdr1: u64) -> u64 {
    len_bytes(sdr1) / size_of::<Entry>() as u64
}

/// An entry that somebody has, or changes.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub entry: &'static Entry,
    pub index: u64,
    /// As it was when it was found.
    pub first: u64,
}

/// A page table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    entries: &'static [Entry],
}

impl Table {
    /// The table that SDR1 names.
    ///
    /// # Safety
    /// SDR1 has been checked: the table is in RAM, and stays a page table while this is used.
    #[inline(always)]
    #[must_use]
    pub unsafe fn of_sdr1(sdr1: u64) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::at(sdr1 & HTABORG, entries(sdr1) as usize) }
    }

    /// A table of that many entries, a whole number of groups.
    ///
    /// # Safety
    /// It is in RAM, and stays a page table while this is used.
    #[inline(always)]
    #[must_use]
    pub unsafe fn at(address: u64, entries: usize) -> Self {
        let first = real::ptr(address).cast();
        // SAFETY: the caller's promise; all accesses to a table that many use are atomic.
        let entries = unsafe { core::slice::from_raw_parts(first, entries) };
        Self { entries }
    }

    /// A table in these doublewords.
    #[cfg(test)]
    pub fn of_words(words: &'static [core::sync::atomic::AtomicU64]) -> Self {
        let count = words.len() / 2;
        // SAFETY: an entry is two doublewords.
        let entries = unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), count) };
        Self { entries }
    }

    /// How many entries there are.
    #[inline(always)]
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The group of an entry.
    #[inline(always)]
    #[must_use]
    pub fn group(&self, index: u64) -> Option<&'static [Entry; GROUP]> {
        let first = index as usize & !(GROUP - 1);
        self.entries.get(first..)?.first_chunk()
    }

    /// An entry by its index.
    #[inline(always)]
    #[must_use]
    pub fn entry(&self, index: u64) -> Option<&'static Entry> {
        self.entries.get(index as usize)
    }

    /// Looks in both groups of the entry.
    #[must_use]
    pub fn find(&self, sought: Sought) -> Option<Found> {
        self.find_in(sought.hash, sought.identity)
            .or_else(|| self.find_in(!sought.hash, sought.identity | SECONDARY))
    }

    fn find_in(&self, hash: u64, identity: u64) -> Option<Found> {
        let from = self.place(hash);
        (from..).zip(self.group(from)?).find_map(|(index, entry)| {
            let first = entry.first();
            let is_there = first & (VALID | ABSENT | LOCKED) != 0;
            let found = Found {
                entry,
                index,
                first,
            };
            (is_there && (first ^ identity) & IDENTITY == 0).then_some(found)
        })
    }

    /// Whether there is surely none: nothing of that virtual page's in either group, be it free or somebody's.
    #[inline(always)]
    #[must_use]
    pub fn has_none(&self, sought: Sought) -> bool {
        self.has_none_in(sought.hash, sought.identity)
            && self.has_none_in(!sought.hash, sought.identity)
    }

    #[inline(always)]
    fn has_none_in(&self, hash: u64, identity: u64) -> bool {
        let group = self.group(self.place(hash));
        group.is_none_or(|group| {
            let differs = |entry: &Entry| (entry.first() ^ identity) & AVPN != 0;
            group.iter().all(differs)
        })
    }

    /// The first entry of the group that a hash names.
    #[inline(always)]
    fn place(&self, hash: u64) -> u64 {
        let last = (self.entries.len() / GROUP).wrapping_sub(1) as u64;
        (hash & last) * GROUP as u64
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::page_table::entry::SOFTWARE;
    use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::boxed::Box;
    use std::vec::Vec;

    fn table(groups: usize) -> (Table, &'static [AtomicU64]) {
        let words: Vec<_> = (0..16 * groups).map(|_| AtomicU64::new(0)).collect();
        let words = Box::leak(words.into_boxed_slice());
        (Table::of_words(words), words)
    }

    /// M1.
    #[test]
    fn an_entry_is_found_at_each_place_of_both_groups_and_nowhere_else() {
        let (table, words) = table(8);
        let sought = Sought {
            hash: 0x1_0003,
            identity: 0x4001_ffff_ff00_0504,
        };
        for group in 0..8 {
            for entry in 0..8 {
                for (word, counts) in [
                    (VALID, true),
                    (VALID | SOFTWARE, true),
                    (ABSENT, true),
                    (LOCKED, true),
                    (LOCKED | ABSENT, true),
                    (VALID | LOCKED, true),
                    (SOFTWARE & !(ABSENT | LOCKED), false),
                ] {
                    for secondary in [0, SECONDARY] {
                        let place = &words[16 * group + 2 * entry];
                        place.store((sought.identity | secondary | word).to_be(), Relaxed);
                        let is_there = group == if secondary == 0 { 3 } else { 4 };
                        let word = sought.identity | secondary | word;
                        let at =
                            (is_there && counts).then_some((8 * group as u64 + entry as u64, word));
                        let found = || table.find(sought).map(|it| (it.index, it.first));
                        assert_eq!(found(), at, "{group} {entry} {word:#x}");
                        // What is free may be taken for one of somebody's.
                        let is_near = [3, 4].contains(&group);
                        assert_eq!(table.has_none(sought), !is_near);
                        for bit in [1 << 7, 1 << 61, 1 << 62, 4] {
                            place.fetch_xor(u64::to_be(bit), Relaxed);
                            assert_eq!(found(), None);
                            assert_eq!(table.has_none(sought), bit != 4 || !is_near);
                            place.fetch_xor(u64::to_be(bit), Relaxed);
                        }
                        place.store(0, Relaxed);
                    }
                }
            }
        }
    }

    #[test]
    fn sdr1_says_how_long_a_table_is() {
        assert_eq!(len_bytes(0x4000_0000), 256 << 10);
        assert_eq!(len_bytes(0x4000_0000 | 6), 16 << 20);
    }
}

//! Memory that the host takes back: no entry leads there any more.
use super::{Guest, Held};
use crate::page_table::entry::{ABSENT, KEY, MODIFIED, REAL_PAGE, VALID};
use crate::page_table::size;

/// How far a portion has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmapped {
    /// From this entry on there is more to look at.
    UpTo(u64),
    All,
    /// Somebody has this entry's lock, or its page's size is none that is known here.
    Stuck(u64),
}

impl Guest {
    /// Makes absent, out of `count` entries from `first` on, those that lead to the guest's real addresses
    /// from `start` to before `end`. The map says already that there is nothing.
    pub fn unmap(&self, first: u64, count: u64, start: u64, end: u64) -> Unmapped {
        let entries = self.entries.table.entries();
        let stop = first.saturating_add(count).min(entries);
        for index in first..stop {
            let Some(entry) = self.entries.table.entry(index) else {
                break;
            };
            // One that is being made is locked: it may have seen the old map.
            if entry.first() & (VALID | super::LOCKED) == 0 {
                continue;
            }
            let Some(held) = self.hold(index, entry) else {
                return Unmapped::Stuck(index);
            };
            if !self.unmap_one(held, start, end) {
                return Unmapped::Stuck(index);
            }
        }
        match stop == entries {
            true => Unmapped::All,
            false => Unmapped::UpTo(stop),
        }
    }

    fn unmap_one(&self, mut held: Held, start: u64, end: u64) -> bool {
        let told = self.entries.shadow.get(held.index);
        let shift = size::shift(held.first, held.entry.second());
        if held.first & VALID == 0 {
            held.give_back();
            return true;
        }
        let Some(shift) = shift else {
            held.give_back();
            return false;
        };
        let page = told & REAL_PAGE & !((1 << shift) - 1);
        if page < end && start < page + (1 << shift) {
            let last = held.invalidate(shift);
            let noted = held.gather(last, shift);
            self.entries.shadow.set(held.index, noted | MODIFIED);
            held.entry.set_second(noted & !MODIFIED & !KEY);
            held.first = held.first & !VALID | ABSENT;
        }
        held.give_back();
        true
    }
}

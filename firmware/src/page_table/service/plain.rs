//! What guests nearly always want, by the shortest way: an entry that nobody else changes, for memory where most
//! of the host's is. Nothing here makes a call, so that no register has to be kept for one.
//!
//! None leaves it to the ways for everything, with nothing changed.
use super::{Entries, Entry, GROUP, Guest, Registers, seen};
use crate::page_table::entry::{
    ABSENT, AVPN, CHANGED, COHERENT, KEY, LOCKED, MODIFIED, PP0, REAL_PAGE, REFERENCED, VALID,
    WIMG, is_writable,
};
use crate::page_table::memory::Backing;
use crate::page_table::size;
use asm::op;
use hcalls::papr::{H_ANDCOND, H_AVPN, H_COPY_PAGE, H_EXACT, H_READ_4, H_SUCCESS, H_ZERO_PAGE};

impl Entries {
    /// H_READ of one entry.
    #[inline(always)]
    pub fn read_plain(&self, registers: &mut Registers) -> Option<u64> {
        let [flags, index] = core::array::from_fn(|at| registers[at].get());
        let entry = self.table.entry(index)?;
        if flags & H_READ_4 != 0 {
            return None;
        }
        let [first, second] = self.read_unlocked(index, entry)?;
        registers[0].set(first);
        registers[1].set(second);
        Some(H_SUCCESS)
    }

    /// An entry as it is at one time: nobody holds it, before and after.
    #[inline(always)]
    pub(super) fn read_unlocked(&self, index: u64, entry: &Entry) -> Option<[u64; 2]> {
        let first = entry.first();
        if first & LOCKED != 0 {
            return None;
        }
        op::lwsync();
        let second = self.read_second(entry, index, first);
        op::lwsync();
        (entry.first() == first).then_some([seen(first), second])
    }

    #[inline(always)]
    pub(super) fn read_second(&self, entry: &Entry, index: u64, first: u64) -> u64 {
        let second = entry.second();
        match first & (VALID | ABSENT) {
            // Of an entry that is gone, the place has still the host's own address.
            0 => 0,
            _ => (self.shadow.get(index) | second & (REFERENCED | CHANGED)) & !MODIFIED,
        }
    }
}

impl Guest {
    /// H_ENTER of a page of memory that is no larger than the host's.
    #[inline(always)]
    pub fn enter_plain(&self, registers: &mut Registers) -> Option<u64> {
        let [flags, index, first, second] = core::array::from_fn(|at| registers[at].get());
        let shift = size::shift(first, second)?;
        let unusual = flags & (H_ZERO_PAGE | H_COPY_PAGE) != 0 || second & WIMG != COHERENT;
        if unusual || shift > self.map.page_shift {
            return None;
        }
        let (index, entry) = self.place_plain(flags, index)?;
        // As in `enter`.
        op::sync();
        let Some(real) = self.backed_plain(second, shift) else {
            entry.unlock(0);
            return None;
        };
        self.entries.shadow.begin(index, second | MODIFIED);
        entry.set_second(real);
        entry.unlock(first & !(LOCKED | ABSENT) | VALID);
        op::ptesync();
        registers[0].set(index);
        Some(H_SUCCESS)
    }

    /// A free place, locked.
    #[inline(always)]
    fn place_plain(&self, flags: u64, index: u64) -> Option<(u64, &'static Entry)> {
        let (index, entry) = if flags & H_EXACT == 0 {
            let first = index & !(GROUP - 1);
            let group = self.entries.table.group(first)?;
            let at = group.iter().position(Entry::is_free)?;
            (first + at as u64, &group[at])
        } else {
            (index, self.entries.table.entry(index)?)
        };
        entry.lock_free().then_some((index, entry))
    }

    /// The second doubleword for the hardware.
    #[inline(always)]
    fn backed_plain(&self, second: u64, shift: u32) -> Option<u64> {
        let within = (1_u64 << shift) - 1;
        match self.map.plain_backing(second & REAL_PAGE & !within)? {
            Backing::Memory {
                real,
                may_write,
                changed,
            } if may_write || !is_writable(second) => {
                let not_kept = if changed { 0 } else { CHANGED };
                Some(second & (KEY | PP0 | within) & !not_kept | real)
            }
            _ => None,
        }
    }

    /// H_REMOVE of an entry that the hardware may use.
    #[inline(always)]
    pub fn remove_plain(&self, registers: &mut Registers) -> Option<u64> {
        let [flags, index, wanted] = core::array::from_fn(|at| registers[at].get());
        let entry = self.entries.table.entry(index)?;
        let first = entry.first();
        let differs = flags & H_AVPN != 0 && first & AVPN != wanted;
        if differs || flags & H_ANDCOND != 0 && first & wanted != 0 {
            return None;
        }
        if first & (VALID | LOCKED) != VALID || !entry.lock_as(first) {
            return None;
        }
        let second = entry.second();
        let Some(shift) = size::shift(first, second) else {
            entry.unlock(first);
            return None;
        };
        let told = self.entries.shadow.get(index);
        entry.set_first(first & !VALID);
        op::tlbie(size::tlbie_rb(first, second, index, shift), self.lpid);
        let noted = entry.second() & (REFERENCED | CHANGED);
        let page = told & REAL_PAGE & !((1 << shift) - 1);
        if noted & CHANGED != 0 && !self.map.note_plain_change(page, shift) {
            // As it was: it has what the hardware has noted still.
            entry.unlock(first);
            return None;
        }
        self.entries.shadow.set(index, told | noted | MODIFIED);
        entry.unlock(0);
        registers[0].set(seen(first));
        registers[1].set((told | noted) & !MODIFIED);
        Some(H_SUCCESS)
    }
}

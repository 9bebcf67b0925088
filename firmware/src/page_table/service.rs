//! The hypercalls that change a guest's page table (PAPR 14.5.4.1), on the thread that calls. Each changes an
//! entry under its lock, so that all threads may call at once, and the host may work on the table meanwhile.
//!
//! None as an answer leaves the call to the host, with nothing changed.
use super::entry::{
    ABSENT, AVPN, CHANGED, COHERENT, Entry, KEY, LOCKED, MODIFIED, PP, PP0, PROTECTION, REAL_PAGE,
    REFERENCED, VALID, WIMG, is_writable,
};
use super::memory::{Backing, Map};
use super::{Shadow, Table, size};
use asm::op;
use hcalls::papr::{
    H_ANDCOND, H_AVPN, H_COPY_PAGE, H_EXACT, H_NOT_FOUND, H_PARAMETER, H_PTEG_FULL, H_READ_4,
    H_SUCCESS, H_ZERO_PAGE,
};
use zerocopy::big_endian::U64;

/// r4 to r11: arguments, and results in their places.
pub type Registers = [U64; 8];

/// Entries of a group.
const GROUP: u64 = 8;

/// A guest's table, and beside it what the guest has written there.
#[derive(Clone, Copy, Debug)]
pub struct Entries {
    pub table: Table,
    pub shadow: Shadow,
}

/// A guest's entries, with what says what they may be.
#[derive(Clone, Copy, Debug)]
pub struct Guest {
    pub entries: Entries,
    pub map: Map,
    pub lpid: u64,
}

/// An entry whose lock is held.
struct Held<'a> {
    guest: &'a Guest,
    entry: &'static Entry,
    index: u64,
    /// Without the lock.
    first: u64,
}

impl Held<'_> {
    fn exists(&self) -> bool {
        self.first & (VALID | ABSENT) != 0
    }

    fn give_back(self) {
        self.entry.unlock(self.first);
    }

    /// The page's size, where this matters: an entry that the hardware may use.
    #[inline(always)]
    fn shift(&self) -> Option<u32> {
        match self.first & VALID {
            0 => Some(12),
            _ => size::shift(self.first, self.entry.second()),
        }
    }

    /// Nobody uses the entry any more, and all that the hardware has to say of it has been said: the second
    /// doubleword then.
    #[inline(always)]
    fn invalidate(&self, shift: u32) -> u64 {
        let second = self.entry.second();
        self.entry.set_first(self.first & !VALID);
        let rb = size::tlbie_rb(self.first, second, self.index, shift);
        op::tlbie(rb, self.guest.lpid);
        self.entry.second()
    }

    /// The guest's second doubleword, with what the hardware has noted in this one. Where it has noted a
    /// change, the host hears of it.
    #[inline(always)]
    fn gather(&self, second: u64, shift: u32) -> u64 {
        let told = self.guest.entries.shadow.get(self.index);
        if second & CHANGED != 0 {
            let page = told & REAL_PAGE & !((1 << shift) - 1);
            self.guest.map.note_changed(page, shift);
        }
        told | second & (REFERENCED | CHANGED)
    }

    /// The entry goes: what the guest is told of it.
    #[inline(always)]
    fn remove(self, shift: u32) -> [u64; 2] {
        let told = match self.first & VALID {
            0 => self.guest.entries.shadow.get(self.index),
            _ => self.gather(self.invalidate(shift), shift),
        };
        self.guest.entries.shadow.set(self.index, told | MODIFIED);
        self.entry.unlock(0);
        [seen(self.first), told & !MODIFIED]
    }
}

/// The first doubleword as the guest knows it: what is absent is the host's affair.
#[inline(always)]
const fn seen(first: u64) -> u64 {
    match first & ABSENT {
        0 => first & !LOCKED,
        _ => first & !(LOCKED | ABSENT) | VALID,
    }
}

impl Guest {
    #[inline(always)]
    fn hold(&self, index: u64, entry: &'static Entry) -> Option<Held<'_>> {
        let first = entry.lock()?;
        Some(Held {
            guest: self,
            entry,
            index,
            first,
        })
    }

    /// H_ENTER: flags, index, entry → index.
    #[inline(always)]
    pub fn enter(&self, registers: &mut Registers) -> Option<u64> {
        let [flags, index, first, second] = core::array::from_fn(|at| registers[at].get());
        let shift = size::shift(first, second)?;
        if flags & (H_ZERO_PAGE | H_COPY_PAGE) != 0 {
            return None;
        }
        if index >= self.entries.table.entries() {
            return Some(H_PARAMETER);
        }
        let Some((index, entry)) = self.place(flags, index)? else {
            return Some(H_PTEG_FULL);
        };
        // The host changes the map and then looks for entries: it sees this lock, or its change is seen here.
        op::sync();
        let Some((state, real)) = self.backed(second, shift) else {
            entry.unlock(0);
            return None;
        };
        self.entries.shadow.begin(index, second | MODIFIED);
        entry.set_second(real);
        entry.unlock(first & !(LOCKED | ABSENT | VALID) | state);
        op::ptesync();
        registers[0].set(index);
        Some(H_SUCCESS)
    }

    /// A free place, locked; none: there is none. And none at all: the host has it for too long.
    #[inline(always)]
    fn place(&self, flags: u64, index: u64) -> Option<Option<(u64, &'static Entry)>> {
        if flags & H_EXACT == 0 {
            let first = index & !(GROUP - 1);
            let group = self.entries.table.group(first)?;
            let free = group.iter().position(Entry::lock_free);
            return Some(free.map(|at| (first + at as u64, &group[at])));
        }
        let held = self.hold(index, self.entries.table.entry(index)?)?;
        if held.exists() {
            held.give_back();
            return Some(None);
        }
        Some(Some((index, held.entry)))
    }

    /// The second doubleword for the hardware, and whether the entry is valid or absent. None: odd.
    #[inline(always)]
    fn backed(&self, second: u64, shift: u32) -> Option<(u64, u64)> {
        let within = (1_u64 << shift) - 1;
        let page = second & REAL_PAGE & !within;
        match self.map.backing(page, shift) {
            // As Linux's hypervisor marks them: no key lets anybody in.
            Backing::Hole => Some((ABSENT, second & !MODIFIED | KEY)),
            Backing::Odd => None,
            Backing::Memory {
                real,
                may_write,
                changed,
            } => {
                if second & WIMG != COHERENT || is_writable(second) && !may_write {
                    return None;
                }
                let kept = match changed {
                    true => second,
                    false => second & !CHANGED,
                };
                Some((VALID, kept & (KEY | PP0 | within) | real))
            }
        }
    }

    /// H_REMOVE: flags, index, what is to be there → the entry.
    #[inline(always)]
    pub fn remove(&self, registers: &mut Registers) -> Option<u64> {
        let [flags, index, wanted] = core::array::from_fn(|at| registers[at].get());
        let Some(entry) = self.entries.table.entry(index) else {
            return Some(H_PARAMETER);
        };
        let held = self.hold(index, entry)?;
        if !is_wanted(&held, flags, wanted) || flags & H_ANDCOND != 0 && held.first & wanted != 0 {
            held.give_back();
            return Some(H_NOT_FOUND);
        }
        let Some(shift) = held.shift() else {
            held.give_back();
            return None;
        };
        let [first, second] = held.remove(shift);
        registers[0].set(first);
        registers[1].set(second);
        Some(H_SUCCESS)
    }

    /// H_READ: flags, index → one entry, or four.
    #[inline(always)]
    pub fn read(&self, registers: &mut Registers) -> Option<u64> {
        let [flags, index] = core::array::from_fn(|at| registers[at].get());
        if index >= self.entries.table.entries() {
            return Some(H_PARAMETER);
        }
        if flags & H_READ_4 != 0 {
            return self.read_four(registers, index & !3);
        }
        let [first, second] = self.read_one(index)?;
        registers[0].set(first);
        registers[1].set(second);
        Some(H_SUCCESS)
    }

    #[inline(never)]
    fn read_four(&self, registers: &mut Registers, from: u64) -> Option<u64> {
        for (at, pair) in (from..).zip(registers.as_chunks_mut::<2>().0) {
            let [first, second] = self.read_one(at)?;
            pair[0].set(first);
            pair[1].set(second);
        }
        Some(H_SUCCESS)
    }

    #[inline(always)]
    fn read_one(&self, index: u64) -> Option<[u64; 2]> {
        let entry = self.entries.table.entry(index)?;
        match self.entries.read_unlocked(index, entry) {
            None => self.read_locked(entry, index),
            pair => pair,
        }
    }

    #[inline(never)]
    fn read_locked(&self, entry: &'static Entry, index: u64) -> Option<[u64; 2]> {
        let held = self.hold(index, entry)?;
        let pair = [
            seen(held.first),
            self.entries.read_second(entry, index, held.first),
        ];
        held.give_back();
        Some(pair)
    }

    /// H_PROTECT: flags, index, AVPN.
    #[inline(always)]
    pub fn protect(&self, registers: &mut Registers) -> Option<u64> {
        let [flags, index, wanted] = core::array::from_fn(|at| registers[at].get());
        let Some(entry) = self.entries.table.entry(index) else {
            return Some(H_PARAMETER);
        };
        let held = self.hold(index, entry)?;
        if !is_wanted(&held, flags, wanted) {
            held.give_back();
            return Some(H_NOT_FOUND);
        }
        let allowed = flags << 55 & PP0
            | flags << 48 & KEY & !0xfff
            | flags & (PP | super::entry::NO_EXECUTE | KEY & 0xfff);
        let told = self.entries.shadow.get(index) & !PROTECTION | allowed;
        if held.first & VALID == 0 {
            self.entries.shadow.set(index, told | MODIFIED);
            held.give_back();
            op::ptesync();
            return Some(H_SUCCESS);
        }
        let done = self.protect_valid(&held, told, allowed);
        held.give_back();
        op::ptesync();
        done
    }

    #[inline(always)]
    fn protect_valid(&self, held: &Held, told: u64, allowed: u64) -> Option<u64> {
        let shift = held.shift()?;
        let second = held.entry.second();
        let wanted = second & !PROTECTION | allowed;
        if is_writable(wanted) && !is_writable(second) && !self.may_write(told, shift) {
            return None;
        }
        if wanted != second {
            let last = held.invalidate(shift);
            let noted = last & (REFERENCED | CHANGED);
            held.entry.set_second(wanted | noted);
        }
        self.entries.shadow.set(held.index, told | MODIFIED);
        Some(H_SUCCESS)
    }

    fn may_write(&self, told: u64, shift: u32) -> bool {
        let page = told & REAL_PAGE & !((1 << shift) - 1);
        let backing = self.map.backing(page, shift);
        matches!(
            backing,
            Backing::Memory {
                may_write: true,
                ..
            }
        )
    }

    /// H_CLEAR_REF and H_CLEAR_MOD: flags, index → the second doubleword before. `bit` is what is cleared.
    #[inline(always)]
    fn clear(&self, registers: &mut Registers, bit: u64) -> Option<u64> {
        let index = registers[1].get();
        let Some(entry) = self.entries.table.entry(index) else {
            return Some(H_PARAMETER);
        };
        let held = self.hold(index, entry)?;
        if !held.exists() {
            held.give_back();
            return Some(H_NOT_FOUND);
        }
        let Some(shift) = held.shift() else {
            held.give_back();
            return None;
        };
        let mut told = self.entries.shadow.get(index);
        // The hardware may note more until it can't use the entry: only then is the bit taken.
        if held.first & VALID != 0 && entry.second() & bit != 0 {
            let last = held.invalidate(shift);
            told = held.gather(last, shift);
            entry.set_second(last & !bit);
        } else if held.first & VALID != 0 {
            told |= entry.second() & (REFERENCED | CHANGED);
        }
        self.entries.shadow.set(index, told & !bit | MODIFIED);
        held.give_back();
        op::ptesync();
        registers[0].set(told & !MODIFIED);
        Some(H_SUCCESS)
    }

    pub fn clear_referenced(&self, registers: &mut Registers) -> Option<u64> {
        self.clear(registers, REFERENCED)
    }

    pub fn clear_changed(&self, registers: &mut Registers) -> Option<u64> {
        self.clear(registers, CHANGED)
    }
}

/// Whether there is an entry, and it is the one that the guest means.
#[inline(always)]
fn is_wanted(held: &Held, flags: u64, wanted: u64) -> bool {
    held.exists() && (flags & H_AVPN == 0 || held.first & AVPN == wanted)
}

mod bulk;
mod plain;
mod unmap;

pub use unmap::Unmapped;

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;

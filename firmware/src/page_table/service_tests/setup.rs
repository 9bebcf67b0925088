//! A guest with its page table, its host's memory, and a plain model of what it may see.
extern crate std;
use super::super::*;
use crate::page_table::entry::{IDENTITY, LARGE};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use hcalls::memory::{CHUNK_WORDS, PAGE_CHANGED, PAGE_READ, PAGE_WRITE};
use std::boxed::Box;
use std::vec::Vec;

pub const GROUPS: usize = 4;
pub const ENTRIES: u64 = GROUPS as u64 * GROUP;
/// Of the host's, of 64 KiB; what is behind is a hole.
pub const PAGES: u64 = 64;
pub const SHIFT: u32 = 16;
/// Where the host's memory is as entries say: nobody goes there.
pub const HOST: u64 = 0x4_0000_0000;
pub const HOST_BYTES: u64 = 64 << 20;
pub const STEPS: usize = 200_000;

#[repr(C, align(0x10000))]
pub struct Chunk([AtomicU64; CHUNK_WORDS as usize]);

pub fn words(count: usize) -> &'static [AtomicU64] {
    let words: Vec<_> = (0..count).map(|_| AtomicU64::new(0)).collect();
    Box::leak(words.into_boxed_slice())
}

pub fn address<T>(of: &[T]) -> u64 {
    of.as_ptr().expose_provenance() as u64
}

/// Memory of the test's own, and the host's as entries say it.
pub fn is_host(address: u64, len_bytes: u64) -> bool {
    !(1 << 32..=1 << 40).contains(&address)
        || (address >= HOST && address + len_bytes <= HOST + HOST_BYTES)
}

/// Most of it.
pub fn is_plainly_host(address: u64, len_bytes: u64) -> bool {
    let is_other = (HOST..HOST + HOST_BYTES).contains(&address) && address >> SHIFT & 0xf == 0xf;
    is_host(address, len_bytes) && !is_other
}

/// As assembly's functions do it: by the short way, and where that leaves it by the other one.
pub fn enter(guest: &Guest, registers: &mut Registers) -> Option<u64> {
    guest
        .enter_plain(registers)
        .or_else(|| guest.enter(registers))
}

pub fn remove(guest: &Guest, registers: &mut Registers) -> Option<u64> {
    guest
        .remove_plain(registers)
        .or_else(|| guest.remove(registers))
}

pub fn read(guest: &Guest, registers: &mut Registers) -> Option<u64> {
    guest
        .entries
        .read_plain(registers)
        .or_else(|| guest.read(registers))
}

pub struct Setup {
    pub guest: Guest,
    pub root: &'static [AtomicU64],
    pub chunk: &'static Chunk,
    pub seed: u64,
    /// What the guest has entered: both doublewords, without what the hardware notes.
    pub model: [Option<[u64; 2]>; ENTRIES as usize],
}

impl Setup {
    pub fn new(seed: u64, is_little: bool) -> Self {
        let table = words(GROUPS * 16);
        let shadow = words(GROUPS * 16);
        let root = words(1);
        // SAFETY: zeros are a chunk.
        let chunk: &'static Chunk = Box::leak(unsafe { Box::<Chunk>::new_zeroed().assume_init() });
        root[0].store(address(&chunk.0).to_be(), Relaxed);
        let guest = Guest {
            entries: Entries {
                table: Table::of_words(table),
                // SAFETY: leaked, that long.
                shadow: unsafe { Shadow::at(address(shadow), ENTRIES as usize, is_little) },
            },
            map: Map {
                root: address(root),
                len_bytes: PAGES << SHIFT,
                page_shift: SHIFT,
                is_host,
                is_plainly_host,
            },
            lpid: 1,
        };
        Self {
            guest,
            root,
            chunk,
            seed,
            model: [None; ENTRIES as usize],
        }
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % limit
    }

    pub fn set_page(&self, page: u64, word: u64) {
        self.chunk.0[page as usize].store(word.to_be(), Relaxed);
    }

    pub fn word(&self, page: u64) -> u64 {
        u64::from_be(self.chunk.0[page as usize].load(Relaxed))
    }

    /// As the host gives memory: usually its own, now and then nothing, or nonsense.
    pub fn fill(&mut self) {
        for page in 0..PAGES {
            let real = HOST + (page << SHIFT);
            let word = match self.below(16) {
                0 => 0,
                1 => (HOST - (1 << SHIFT)) | PAGE_READ | PAGE_WRITE,
                2 => (HOST + HOST_BYTES) | PAGE_READ,
                3 => (HOST + 0x1000) | PAGE_READ | PAGE_WRITE,
                4 => real | PAGE_READ,
                _ => real | PAGE_READ | PAGE_WRITE,
            };
            self.set_page(page, word);
        }
    }

    pub fn call(
        &self,
        call: fn(&Guest, &mut Registers) -> Option<u64>,
        args: [u64; 8],
    ) -> (Option<u64>, [u64; 8]) {
        let mut registers = args.map(U64::new);
        let status = call(&self.guest, &mut registers);
        (status, registers.map(U64::get))
    }

    /// Any entry: of a size that is served or not, of memory or not.
    pub fn entry(&mut self) -> [u64; 2] {
        let page = self.below(PAGES + 8) << SHIFT;
        let (large, lp) = match self.below(8) {
            0 => (0, self.below(16) << 12),
            1 => (LARGE, self.below(256) << 12),
            _ => (LARGE, 1 << 12),
        };
        let rights = self.below(4) | self.below(8) << 6 & (REFERENCED | CHANGED) | KEY & self.seed;
        let wimg = if self.below(8) == 0 {
            WIMG & self.seed
        } else {
            COHERENT
        };
        let first = self.below(1 << 20) << 7 | large | VALID | self.below(2) << 6;
        [
            first,
            page | lp | wimg | rights | PP0 & self.seed | MODIFIED & self.seed >> 1,
        ]
    }

    pub fn enter(&mut self) {
        let [first, second] = self.entry();
        let index = self.below(ENTRIES + 1);
        let exact = if self.below(2) == 0 { H_EXACT } else { 0 };
        let (status, out) = self.call(enter, [exact, index, first, second, 0, 0, 0, 0]);
        let places = match exact {
            0 => index & !7..(index & !7) + 8,
            _ => index..index + 1,
        };
        match status {
            None => {}
            Some(H_PARAMETER) => assert!(index >= ENTRIES),
            Some(H_PTEG_FULL) => {
                assert!(
                    self.model[places.start as usize..places.end as usize]
                        .iter()
                        .all(Option::is_some)
                );
            }
            Some(H_SUCCESS) => {
                let place = out[0] as usize;
                assert!(places.contains(&out[0]) && self.model[place].is_none());
                self.model[place] = Some([first & !(LOCKED | ABSENT) | VALID, second & !MODIFIED]);
            }
            other => panic!("{other:?}"),
        }
    }

    /// What the model says of one that the guest asks for, with what the hardware has noted.
    pub fn is_told(&self, index: u64, told: [u64; 2]) {
        let [first, second] = self.model[index as usize].expect("there is an entry");
        let noted = REFERENCED | CHANGED;
        assert_eq!(told[0], first, "{index}");
        assert_eq!(told[1] & !noted, second & !noted, "{index}");
        assert_eq!(told[1] & second & noted, second & noted, "nothing is lost");
    }

    pub fn remove(&mut self) {
        let index = self.below(ENTRIES + 1);
        let there = self.model.get(index as usize).copied().flatten();
        let wanted = there.map_or(0, |[first, _]| first & AVPN) ^ (self.below(4) / 3) << 7;
        let flags = [0, H_AVPN, H_ANDCOND][self.below(3) as usize];
        let fits = there.is_some_and(|[first, _]| match flags {
            H_AVPN => first & AVPN == wanted,
            H_ANDCOND => first & wanted == 0,
            _ => true,
        });
        let changed = self.is_changed(index);
        let (status, out) = self.call(remove, [flags, index, wanted, 0, 0, 0, 0, 0]);
        match status {
            Some(H_PARAMETER) => assert!(index >= ENTRIES),
            Some(H_NOT_FOUND) => assert!(!fits),
            Some(H_SUCCESS) => {
                assert!(fits);
                self.is_told(index, [out[0], out[1]]);
                if let Some(page) = changed {
                    assert_ne!(out[1] & CHANGED, 0);
                    assert_ne!(self.word(page) & PAGE_CHANGED, 0, "the host hears of it");
                }
                self.model[index as usize] = None;
                assert_eq!(self.guest.entries.table.entry(index).unwrap().first(), 0);
            }
            other => panic!("{other:?}"),
        }
    }

    /// What the hardware has noted in this entry.
    pub fn noted(&self, index: u64) -> u64 {
        let entry = self.guest.entries.table.entry(index).unwrap();
        match entry.first() & VALID {
            0 => 0,
            _ => entry.second() & (REFERENCED | CHANGED),
        }
    }

    /// The page that the hardware has noted a change of in this entry.
    pub fn is_changed(&self, index: u64) -> Option<u64> {
        let entry = self.guest.entries.table.entry(index)?;
        let valid = entry.first() & VALID != 0 && entry.second() & CHANGED != 0;
        valid.then(|| (self.guest.entries.shadow.get(index) & REAL_PAGE) >> SHIFT)
    }

    pub fn bulk_remove(&mut self) {
        let mut args = [0; 8];
        for request in 0..4 {
            let index = self.below(ENTRIES);
            args[2 * request] = (self.below(9) / 8) << 63 | 1 << 62 | index;
        }
        let (status, out) = self.call(Guest::bulk_remove, args);
        for (asked, told) in args.as_chunks::<2>().0.iter().zip(out.as_chunks::<2>().0) {
            let index = asked[0] & 0xff;
            if asked[0] >> 62 == 3 {
                break;
            }
            match told[0] >> 60 {
                8 => assert!(self.model[index as usize].take().is_some()),
                9 => assert!(self.model[index as usize].is_none()),
                _ => panic!("{:#x}", told[0]),
            }
        }
        assert_eq!(status, Some(H_SUCCESS));
    }

    pub fn read(&mut self) {
        let (index, four) = (self.below(ENTRIES), self.below(2));
        let (status, out) = self.call(read, [four * H_READ_4, index, 0, 0, 0, 0, 0, 0]);
        assert_eq!(status, Some(H_SUCCESS));
        let (from, count) = if four == 0 {
            (index, 1)
        } else {
            (index & !3, 4)
        };
        for (at, pair) in out.as_chunks::<2>().0.iter().take(count).enumerate() {
            match self.model[from as usize + at] {
                None => assert_eq!(*pair, [0; 2], "nothing of an entry that is gone"),
                Some(_) => {
                    let index = from + at as u64;
                    self.is_told(index, *pair);
                    assert_eq!(pair[1] & self.noted(index), self.noted(index));
                    assert_eq!(pair[1] & MODIFIED, 0);
                }
            }
        }
    }

    pub fn protect(&mut self) {
        let index = self.below(ENTRIES);
        let flags = self.below(8) | PP0 >> 55 & self.seed | KEY & 0xfff & self.seed >> 3;
        let (status, _) = self.call(Guest::protect, [flags, index, 0, 0, 0, 0, 0, 0]);
        match (status, &mut self.model[index as usize]) {
            (None, Some(_)) => {}
            (Some(H_NOT_FOUND), None) => {}
            (Some(H_SUCCESS), Some([_, second])) => {
                let new = flags << 55 & PP0 | flags & 0xe07;
                *second = *second & !PROTECTION | new;
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn clear(&mut self) {
        let index = self.below(ENTRIES);
        let (call, bit): (fn(&Guest, &mut Registers) -> Option<u64>, _) = match self.below(2) {
            0 => (Guest::clear_referenced, REFERENCED),
            _ => (Guest::clear_changed, CHANGED),
        };
        let changed = self.is_changed(index);
        let (status, out) = self.call(call, [0, index, 0, 0, 0, 0, 0, 0]);
        let Some([first, _]) = self.model[index as usize] else {
            assert_eq!(status, Some(H_NOT_FOUND));
            return;
        };
        assert_eq!(status, Some(H_SUCCESS));
        self.is_told(index, [first, out[0]]);
        if let (Some(page), CHANGED) = (changed, bit) {
            assert_ne!(self.word(page) & PAGE_CHANGED, 0, "the host hears of it");
        }
        let [_, second] = self.model[index as usize].as_mut().unwrap();
        *second &= !bit;
        let entry = self.guest.entries.table.entry(index).unwrap();
        assert!(entry.first() & VALID == 0 || entry.second() & bit == 0);
    }

    /// The hardware uses an entry.
    pub fn touch(&mut self) {
        let index = self.below(ENTRIES);
        let entry = self.guest.entries.table.entry(index).unwrap();
        if entry.first() & VALID != 0 {
            let second = entry.second();
            let stored = if is_writable(second) { CHANGED } else { 0 };
            entry.set_second(second | REFERENCED | stored & self.seed);
        }
    }

    /// The host takes a page, or gives it back; or it has seen what has changed.
    pub fn host(&mut self) {
        let page = self.below(PAGES);
        let word = self.word(page);
        match self.below(3) {
            0 => {
                self.set_page(page, 0);
                let (start, end) = (page << SHIFT, (page + 1) << SHIFT);
                let mut first = 0;
                while let Unmapped::UpTo(next) = self.guest.unmap(first, 10, start, end) {
                    first = next;
                }
            }
            1 if word == 0 => {
                self.set_page(page, (HOST + (page << SHIFT)) | PAGE_READ | PAGE_WRITE)
            }
            _ => self.set_page(page, word & !PAGE_CHANGED),
        }
    }

    /// Nothing is locked, and no entry leads anywhere but to the page that the host has given.
    pub fn check(&self) {
        for index in 0..ENTRIES {
            let entry = self.guest.entries.table.entry(index).unwrap();
            let (first, second) = (entry.first(), entry.second());
            assert_eq!(first & LOCKED, 0);
            let there = first & (VALID | ABSENT) != 0;
            assert_eq!(there, self.model[index as usize].is_some(), "{index}");
            if first & VALID == 0 {
                continue;
            }
            let shift = size::shift(first, second).expect("a size that is served");
            let [told, wanted] = self.model[index as usize].unwrap();
            assert_eq!((first ^ told) & IDENTITY, 0);
            let within = (1_u64 << shift) - 1;
            let (from, real) = (wanted & REAL_PAGE & !within, second & REAL_PAGE & !within);
            for at in (0..=within).step_by(0x1000) {
                let page = (from + at) >> SHIFT;
                assert!(page < PAGES);
                let word = self.word(page);
                assert_ne!(word & PAGE_READ, 0);
                assert!(word & PAGE_WRITE != 0 || !is_writable(second));
                let given = (word & !0xfff) + ((from + at) & 0xffff);
                assert_eq!(real + at, given, "{index}");
                assert!((HOST..HOST + HOST_BYTES).contains(&given));
            }
        }
    }
}

//! The hashed page table of a partition in VRMA mode, in 16 MiB pages (Power ISA 2.07 Book III-S
//! 5.7.7).
//!
//! The virtual real mode area is one segment of 1 TiB with a VSID of its own (5.7.3.3). The table has
//! the smallest size that SDR1 can say.
use core::ops::Range;

/// Bytes of a table, which is aligned to as many.
pub const TABLE_BYTES: u64 = 256 << 10;
/// Bytes of a page.
pub const PAGE_BYTES: u64 = 1 << PAGE_SHIFT;
const PAGE_SHIFT: u32 = 24;
/// The VRMASD field for such pages: L = 1, LP = 0.
pub const VRMASD: u64 = 0x10;

/// The VSID of a virtual real mode area.
pub const VSID: u64 = 0x1ff_ffff;
const GROUP_BYTES: u64 = 128;
const GROUPS: u64 = TABLE_BYTES / GROUP_BYTES;
const ENTRIES_OF_GROUP: u64 = 8;

/// An entry's first doubleword: segment size 1 TiB, large page, valid.
const SEGMENT_1T: u64 = 1 << 62;
const LARGE: u64 = 1 << 2;
const VALID: u64 = 1;
/// Of the four bits of software's own, the one by which firmware and host call an entry absent.
const ABSENT: u64 = 1 << 5;
/// L of an SLB entry.
const SEGMENT_LARGE: u64 = 1 << 8;
/// Where the VSID and the page number begin in it.
const VSID_SHIFT: u32 = 24;
const PAGE_NUMBER_SHIFT: u32 = 16;
/// The second doubleword: referenced, changed, memory coherence required, readable and writable.
const REFERENCED: u64 = 1 << 8;
const CHANGED: u64 = 1 << 7;
const COHERENT: u64 = 1 << 4;
const READ_WRITE: u64 = 2;

/// A table, and where it lies.
pub struct PageTable {
    range: Range<u64>,
    words: &'static mut [[u8; 8]],
}

impl PageTable {
    /// An empty table in `bytes`, which are the memory at real addresses `range`.
    ///
    /// # Panics
    /// They aren't [`TABLE_BYTES`].
    pub fn new(range: Range<u64>, bytes: &'static mut [u8]) -> Self {
        assert_eq!(bytes.len() as u64, TABLE_BYTES, "a table's bytes");
        bytes.fill(0);
        let (words, _) = bytes.as_chunks_mut();
        Self { range, words }
    }

    /// SDR1: the table's address, and 0 for its size.
    pub fn sdr1(&self) -> u64 {
        self.range.start
    }

    /// Lets guest real `address` lead to `real`; both are multiples of [`PAGE_BYTES`]. False: no
    /// entry is free.
    pub fn map(&mut self, address: u64, real: u64) -> bool {
        self.enter(VSID, address, real, VALID)
    }

    /// The same for the page at `offset` of another segment of 1 TiB.
    pub fn map_in(&mut self, vsid: u64, offset: u64, real: u64) -> bool {
        self.enter(vsid, offset, real, VALID)
    }

    /// Lets guest real `address` have an entry that the hardware doesn't use, and of which the firmware
    /// tells the host.
    pub fn make_absent(&mut self, address: u64) -> bool {
        self.enter(VSID, address, 0, ABSENT)
    }

    fn enter(&mut self, vsid: u64, offset: u64, real: u64, state: u64) -> bool {
        let is_free = |&place: &usize| self.word(place) & (VALID | ABSENT) == 0;
        let place = group(vsid, offset).find(is_free);
        if let Some(place) = place {
            let rights = REFERENCED | CHANGED | COHERENT | READ_WRITE;
            self.set_word(place + 1, real | rights);
            self.set_word(place, tag(vsid, offset) | state);
        }
        place.is_some()
    }

    /// Takes the page of guest real `address` out. Whoever has translated it goes on using it until
    /// its translations are invalidated.
    pub fn unmap(&mut self, address: u64) {
        let own = group(VSID, address)
            .find(|&place| self.word(place) & !(VALID | ABSENT) == tag(VSID, address));
        if let Some(place) = own {
            self.set_word(place, 0);
        }
    }

    /// Every doubleword of the table, to be filled with anything.
    pub fn words(&mut self) -> &mut [[u8; 8]] {
        self.words
    }

    fn word(&self, place: usize) -> u64 {
        u64::from_be_bytes(self.words[place])
    }

    fn set_word(&mut self, place: usize, value: u64) {
        self.words[place] = value.to_be_bytes();
    }
}

/// Where the entries of an address's primary group begin, in doublewords.
fn group(vsid: u64, offset: u64) -> impl Iterator<Item = usize> {
    let hash = vsid ^ vsid << 25 ^ offset >> PAGE_SHIFT;
    let first = (hash % GROUPS * ENTRIES_OF_GROUP) as usize;
    (first..first + ENTRIES_OF_GROUP as usize).map(|entry| 2 * entry)
}

/// The first doubleword of the entry of the page at `offset` of a segment, valid or not.
fn tag(vsid: u64, offset: u64) -> u64 {
    let page = offset >> PAGE_NUMBER_SHIFT & !0xff;
    SEGMENT_1T | vsid << VSID_SHIFT | page | LARGE
}

/// RS of the SLB entry of a segment of 1 TiB with such pages.
pub fn segment(vsid: u64) -> u64 {
    SEGMENT_1T | vsid << VSID_SHIFT | SEGMENT_LARGE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> PageTable {
        let bytes = vec![0xff; TABLE_BYTES as usize].leak();
        PageTable::new(0x4000_0000..0x4000_0000 + TABLE_BYTES, bytes)
    }

    /// The entries that are there: where, and both doublewords.
    fn entries(table: &PageTable) -> Vec<(usize, u64, u64)> {
        (0..table.words.len())
            .step_by(2)
            .map(|place| (place, table.word(place), table.word(place + 1)))
            .filter(|(_, tag, _)| *tag != 0)
            .collect()
    }

    #[test]
    fn entries_lie_where_the_hash_says() {
        let mut table = table();
        assert_eq!(table.sdr1(), 0x4000_0000);
        assert!(table.map(0, 0x8000_0000));
        assert!(table.map(5 << 24, 0x8500_0000));
        // VSID 0x1ff_ffff: the hash's lower 11 bits are ones.
        let group = |hash: usize| hash * 16;
        assert_eq!(
            entries(&table),
            [
                (group(0x7ff ^ 5), 0x4001_ffff_ff00_0505, 0x8500_0192),
                (group(0x7ff), 0x4001_ffff_ff00_0005, 0x8000_0192),
            ]
        );
    }

    #[test]
    fn groups_fill_up_and_pages_go() {
        let mut table = table();
        // All of one group: 2^11 pages apart.
        let address = |n: u64| n << (24 + 11);
        for n in 0..8 {
            assert!(table.map(address(n), 0));
        }
        assert!(!table.map(address(8), 0));
        table.unmap(address(3));
        table.unmap(address(9));
        assert_eq!(entries(&table).len(), 7);
        assert!(table.map(address(8), 0));
    }
}

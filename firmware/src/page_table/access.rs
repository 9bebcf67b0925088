//! Whether an entry lets an access happen (Power ISA 2.07 Book III-S 5.7.9).
use super::entry::{GUARDED, KEY, NO_EXECUTE, PP, PP0};
use asm::ibm;

/// HDSISR and DSISR of a load or store, HSRR1 and SRR1 of a fetch (6.5.3, 6.5.5): no entry translates the address.
pub const NOT_FOUND: u64 = ibm(33);
/// SRR1: instructions aren't fetched from there.
pub const NO_FETCH: u64 = ibm(35);
/// The page's protection denies it.
pub const PROTECTION: u64 = ibm(36);
/// DSISR: a store.
pub const STORE: u64 = ibm(38);
/// The storage key denies it.
pub const KEY_DENIES: u64 = ibm(42);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Load,
    Store,
    Fetch,
}

/// What somebody wants with a page, and with which rights.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    pub kind: Kind,
    /// The segment's Ks or Kp, whichever counts in this state.
    pub has_key: bool,
    /// The segment's N: nothing is fetched there.
    pub segment_is_data: bool,
    /// AMR, for fetches IAMR: two bits for each of 32 storage keys.
    pub keys: u64,
}

/// Bits of an SLB entry, as `slbmte` takes it (5.7.6.1).
const KS: u64 = ibm(52);
const KP: u64 = ibm(53);
const N: u64 = ibm(54);

impl Access {
    /// Of a segment, given as `slbmte` takes it, in problem state or not.
    #[must_use]
    pub const fn new(kind: Kind, segment: u64, is_problem: bool, keys: u64) -> Self {
        let key = if is_problem { KP } else { KS };
        Self {
            kind,
            has_key: segment & key != 0,
            segment_is_data: segment & N != 0,
            keys,
        }
    }

    /// Why an entry with this second doubleword denies it: DSISR's bits or, of a fetch, SRR1's. 0: it doesn't.
    #[must_use]
    pub fn denied(&self, second: u64) -> u64 {
        let is_fetch = self.kind == Kind::Fetch;
        let fetches_data = self.segment_is_data || second & (NO_EXECUTE | GUARDED) != 0;
        let by_page = match is_fetch && fetches_data {
            true => NO_FETCH,
            false if self.page_allows(second) => 0,
            false => PROTECTION,
        };
        let by_key = if self.key_allows(second) {
            0
        } else {
            KEY_DENIES
        };
        let is_store = self.kind == Kind::Store;
        match by_page | by_key {
            0 => 0,
            why if is_store => why | STORE,
            why => why,
        }
    }

    /// The table in 5.7.9.2.
    fn page_allows(&self, second: u64) -> bool {
        let (reads, writes) = match (second & PP0 != 0, second & PP, self.has_key) {
            (false, 0 | 1, false) | (false, 2, _) => (true, true),
            (false, 1, true) | (false, 3, _) | (true, 2, false) => (true, false),
            // Reserved ones, too.
            _ => (false, false),
        };
        if self.kind == Kind::Store {
            writes
        } else {
            reads
        }
    }

    fn key_allows(&self, second: u64) -> bool {
        let key = second >> 57 & 0x18 | second >> 9 & 7;
        let of_key = self.keys >> (62 - 2 * key);
        let denies = if self.kind == Kind::Store { 2 } else { 1 };
        of_key & denies == 0
    }
}

const _: () = assert!(KEY == 3 << 60 | 7 << 9);

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;

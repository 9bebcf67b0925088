//! Against the tables of Power ISA 2.07 Book III-S 5.7.9, written down once more.
extern crate std;
use super::*;
use crate::page_table::entry::{COHERENT, REAL_PAGE};

/// By PP0 and PP, without and with the segment's key: what may be done.
const TABLE: [(u64, &str, &str); 8] = [
    (0, "rw", ""),
    (1, "rw", "r"),
    (2, "rw", "rw"),
    (3, "r", "r"),
    (PP0, "", ""),
    (PP0 | 1, "", ""),
    (PP0 | 2, "r", ""),
    (PP0 | 3, "", ""),
];

/// As the guest's hardware and its `slbmte` have them: written out, since each constant counts from its other end.
#[test]
fn bits_are_where_the_isa_has_them() {
    let causes = [NOT_FOUND, NO_FETCH, PROTECTION, STORE, KEY_DENIES];
    let written = [1 << 30, 1 << 28, 1 << 27, 1 << 25, 1 << 21];
    assert_eq!(causes, written);
    assert_eq!([KS, KP, N], [0x800, 0x400, 0x200]);
}

fn access(kind: Kind, segment: u64, is_problem: bool, keys: u64) -> Access {
    Access::new(kind, segment, is_problem, keys)
}

/// M5.
#[test]
fn pages_allow_what_the_isas_table_says() {
    for (protection, without_key, with_key) in TABLE {
        for (segment, is_problem) in [(KS, true), (KS, false), (KP, true), (KP, false)] {
            let allowed = match (segment == KP) == is_problem {
                true => with_key,
                false => without_key,
            };
            let second = protection | COHERENT | REAL_PAGE;
            let of = |kind| access(kind, segment, is_problem, 0).denied(second);
            let denied = |right: &str| !allowed.contains(right);
            let expected = |right, why| if denied(right) { why } else { 0 };
            assert_eq!(of(Kind::Load), expected("r", PROTECTION), "{protection:#x}");
            assert_eq!(of(Kind::Fetch), expected("r", PROTECTION));
            assert_eq!(of(Kind::Store), expected("w", PROTECTION | STORE));
        }
    }
}

#[test]
fn data_is_not_fetched() {
    for (segment, second) in [(N, 2), (0, 2 | NO_EXECUTE), (0, 2 | GUARDED), (N, 0)] {
        let of = |kind| access(kind, segment | KS, false, 0).denied(second);
        assert_eq!(of(Kind::Fetch), NO_FETCH);
        let expected = if second & PP == 0 { PROTECTION } else { 0 };
        assert_eq!(of(Kind::Load), expected);
    }
}

/// Each key has two bits of its own, of which the first is for stores, and the second one for the others.
#[test]
fn keys_deny_what_their_own_bits_say() {
    for key in 0..32_u64 {
        let second = (key >> 3) << 60 | (key & 7) << 9 | 2;
        for other in 0..32_u64 {
            for bits in 0..4_u64 {
                let of = |kind| access(kind, 0, false, bits << (62 - 2 * other)).denied(second);
                let denies = |bit| other == key && bits & bit != 0;
                let expected = |bit, why| if denies(bit) { why } else { 0 };
                assert_eq!(of(Kind::Load), expected(1, KEY_DENIES), "{key} {other}");
                assert_eq!(of(Kind::Fetch), expected(1, KEY_DENIES));
                assert_eq!(of(Kind::Store), expected(2, KEY_DENIES | STORE));
            }
        }
    }
    let both = access(Kind::Store, KS, false, u64::MAX).denied(1);
    assert_eq!(both, PROTECTION | KEY_DENIES | STORE);
}

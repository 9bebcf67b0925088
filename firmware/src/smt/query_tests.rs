//! What SMT_QUERY answers, by docs/calls/smt-query.md.
use super::calls::{smt_query, widths};
use super::fake_machine;
use crate::args::{Refused, one};

#[test]
fn every_index_has_its_answer() {
    let _machine = fake_machine::machine();
    let answers = [
        1 << 32 | 2,
        // RMOR, VRMA, little-endian, aligned, eager, cede, stats, reflect, table.
        0xc7f,
        8,
        // 1, 2, 4 and 8.
        0xf,
        0x1000,
        64,
        256,
        512,
        2046,
        u64::MAX >> 1,
        // 64 MiB, 128 MiB, 256 MiB, 1 GiB, 16 GiB, 256 GiB.
        1 << 26 | 1 << 27 | 1 << 28 | 1 << 30 | 1 << 34 | 1 << 38,
    ];
    for (index, answer) in answers.into_iter().enumerate() {
        let found = smt_query(&[index as u64, 0x55, 0, 0, 0, 0, 0, 0]);
        assert_eq!(found, Ok(one(answer)), "index {index}");
    }
    let refused = smt_query(&[answers.len() as u64; 8]);
    assert_eq!(refused, Err(Refused::Argument(1)));
}

#[test]
fn widths_are_the_powers_of_two_up_to_the_threads() {
    for (threads, bits) in [(1, 0b1), (2, 0b11), (4, 0b111), (8, 0b1111)] {
        assert_eq!(widths(threads), bits);
    }
}

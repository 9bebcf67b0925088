//! Trees that nobody meant.
use super::*;
use proptest::prelude::*;

/// Whatever tree it was read from, a machine holds together.
fn assert_sound(machine: &Machine) {
    assert!(!machine.cores.is_empty() && !machine.ram.is_empty() && !machine.chips.is_empty());
    assert!(machine.timebase_hz > 0);
    let mut next_pir = 0;
    for core in &machine.cores {
        assert!(core.pir >= next_pir && [1, 2, 4, 8].contains(&core.threads));
        next_pir = core.pir + core.threads as u32;
        assert!(machine.chips.iter().any(|chip| chip.id == core.chip));
        for thread in 0..core.threads {
            assert_eq!(core.servers[thread], core.pir + thread as u32);
            assert!(core.icp[thread] != 0 && core.icp[thread] % 4096 == 0);
        }
    }
    assert!(next_pir <= MAX_PIR);
    for pair in machine.ram.windows(2) {
        assert!(pair[0].end() <= pair[1].start());
    }
    assert!(machine.ram.iter().all(|ram| ram.end() <= MAX_REAL));
}

pub fn real_tree() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(ONE_THREAD), Just(TWO_CORES), Just(TWO_CHIPS)].prop_map(<[u8]>::to_vec)
}

/// A change of one word, of one byte, or a piece copied elsewhere.
pub fn mutation() -> impl Strategy<Value = (u8, prop::sample::Index, prop::sample::Index, u32)> {
    let word = prop_oneof![0_u32..16, Just(u32::MAX), Just(1 << 31), any::<u32>()];
    (
        0_u8..3,
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        word,
    )
}

pub fn apply(
    tree: &mut [u8],
    (kind, at, from, word): (u8, prop::sample::Index, prop::sample::Index, u32),
) {
    let words = tree.len() / 4;
    match kind {
        0 => {
            let at = at.index(words) * 4;
            tree[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
        1 => {
            let at = at.index(tree.len());
            tree[at] ^= word as u8;
        }
        _ => {
            let (at, from) = (at.index(words) * 4, from.index(words) * 4);
            let len = (word as usize % 64).min(tree.len() - at.max(from));
            tree.copy_within(from..from + len, at);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn mutated_trees_are_read_or_refused(
        mut tree in real_tree(),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        for mutation in mutations {
            apply(&mut tree, mutation);
        }
        match read(&tree) {
            Ok(machine) => assert_sound(&machine),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn cut_trees_are_refused(tree in real_tree(), len in any::<prop::sample::Index>()) {
        let cut = &tree[..len.index(tree.len())];
        prop_assert!(read(cut).is_err());
    }
}

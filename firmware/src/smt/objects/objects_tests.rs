//! The tables as tests see them: all that a refused call must leave alone, and what always holds.
extern crate std;
use super::*;
use core::sync::atomic::Ordering::Relaxed;
use std::collections::BTreeSet;
use std::format;
use std::string::String;

fn live() -> impl Iterator<Item = &'static Vcore> {
    VCORES.iter().filter(|vcore| vcore.handle() != 0)
}

/// Everything but counters, as text.
pub fn fingerprint() -> String {
    let mut text = String::new();
    for partition in PARTITIONS.lock().table.iter().flatten() {
        text += &format!("{partition:?}");
    }
    for vcore in live() {
        text += &format!(
            "{:x?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            vcore.handle(),
            vcore.roster,
            vcore.entry,
            vcore.pages,
            vcore.rules,
            vcore.number,
            vcore.partition,
            vcore.core,
        );
    }
    text
}

/// How many partitions, vcores and vcpus there are.
pub fn counts() -> [usize; 3] {
    let partitions = PARTITIONS.lock().table.iter().flatten().count();
    let vcpus = live().map(|vcore| vcore.roster.snapshot().present().count_ones() as usize);
    [partitions, live().count(), vcpus.sum()]
}

/// Whatever calls there were.
pub fn assert_consistent() {
    let (mut numbers, mut pages) = (BTreeSet::new(), BTreeSet::new());
    let partitions = PARTITIONS.lock();
    for vcore in &VCORES {
        let present = vcore.roster.snapshot().present();
        if vcore.handle() == 0 {
            assert!(vcore.pages.iter().all(|page| page.load(Relaxed) == 0));
            continue;
        }
        let (partition, number) = (vcore.partition.load(Relaxed), vcore.number.load(Relaxed));
        let settings = partitions.find(partition).expect("a partition").settings;
        assert!(numbers.insert((partition, number)), "a vcore twice (B3)");
        assert!((number as usize) < MAX_VCORES_PER_PARTITION);
        assert_eq!(vcore.rules.width.load(Relaxed) as usize, settings.width);
        // The last vcpu takes its vcore along.
        assert!(present != 0 && u32::from(present) < 1 << settings.width);
        for slot in 0..MAX_THREADS {
            let page = vcore.pages[slot].load(Relaxed);
            assert_eq!(page != 0, present & 1 << slot != 0, "slot {slot}");
            assert!(page == 0 || pages.insert(page), "a page twice");
        }
    }
    let lpids: BTreeSet<u32> = partitions
        .table
        .iter()
        .flatten()
        .map(|it| it.settings.lpid)
        .collect();
    assert_eq!(lpids.len(), partitions.table.iter().flatten().count());
}

#[test]
fn no_handle_passes_for_another() {
    let kinds = [PARTITION_KIND, VCORE_KIND];
    let mut handles = BTreeSet::new();
    for kind in kinds {
        for serial in [0, 1, 0xffff, u32::MAX] {
            for index in [0, 1, 63, 255] {
                assert!(handles.insert(handle(kind, serial, index)));
            }
        }
    }
}

#[test]
fn no_two_slots_ever_have_a_key_in_common() {
    use super::vcores::{first_key, next_key};
    let mut keys = BTreeSet::from([0]);
    for vcore in 0..MAX_VCORES as u64 {
        for slot in 0..MAX_THREADS {
            let first = first_key(vcore, slot);
            assert_eq!(next_key(first), first + 1);
            assert!(keys.insert(first), "vcore {vcore} slot {slot}");
            // After as many loads as can be counted it begins anew, in its own range.
            let last = first | ((1 << 52) - 1);
            assert!(keys.insert(last));
            assert_eq!(next_key(last), first);
        }
    }
}

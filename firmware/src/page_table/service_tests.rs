//! The service against a model: a list of what the guest has entered. Whatever it asks for, the hardware is
//! never led to memory that isn't the guest's.
extern crate std;
use super::*;
use crate::page_table::entry::{GUARDED, LARGE};
use core::sync::atomic::Ordering::Relaxed;
use hcalls::memory::{CHUNK_BYTES, PAGE_CHANGED, PAGE_READ, PAGE_WRITE};

#[path = "service_tests/setup.rs"]
mod setup;

use setup::*;

/// M3.
#[test]
fn whatever_a_guest_asks_for_it_reaches_only_its_own_memory() {
    for (seed, is_little) in [(0x1234_5678_9abc, true), (0xdead_beef_cafe, false)] {
        let mut setup = Setup::new(seed, is_little);
        setup.fill();
        for step in 0..STEPS {
            match setup.below(12) {
                0..=2 => setup.enter(),
                3 | 4 => setup.remove(),
                5 => setup.bulk_remove(),
                6 => setup.read(),
                7 => setup.protect(),
                8 => setup.clear(),
                9 | 10 => setup.touch(),
                _ => setup.host(),
            }
            if step % 8 == 0 {
                setup.check();
            }
        }
    }
}

#[test]
fn pages_larger_than_the_hosts_need_one_piece_of_memory() {
    let mut setup = Setup::new(1, true);
    setup.guest.map.page_shift = 12;
    setup.guest.map.len_bytes = 4096 << 12;
    let enter = |setup: &Setup, from: u64, second: u64| {
        let args = [H_EXACT, from, LARGE | VALID, second | COHERENT, 0, 0, 0, 0];
        let (status, _) = setup.call(enter, args);
        setup.call(remove, [0, from, 0, 0, 0, 0, 0, 0]);
        status
    };
    for page in 0..4096 {
        setup.set_page(page, (HOST + (page << 12)) | PAGE_READ | PAGE_WRITE);
    }
    // 16 MiB, and 64 KiB.
    assert_eq!(enter(&setup, 1, 0), Some(H_SUCCESS));
    assert_eq!(enter(&setup, 1, 0x3_1000), Some(H_SUCCESS));
    for page in [0, 37, 4095] {
        let word = setup.word(page);
        setup.set_page(page, word + 0x1000);
        assert_eq!(enter(&setup, 1, 0), None, "{page}");
        setup.set_page(page, word & !PAGE_WRITE);
        assert_eq!(enter(&setup, 1, 0), None, "{page}");
        setup.set_page(page, 0);
        assert_eq!(enter(&setup, 1, 0), None, "{page}");
        setup.set_page(page, word);
    }
    // One piece, but not at a multiple of its size.
    for page in 0..4096 {
        setup.set_page(page, (HOST + ((page + 1) << 12)) | PAGE_READ | PAGE_WRITE);
    }
    assert_eq!(enter(&setup, 1, 0), None);
}

/// The host's words say where chunks are, and are believed no more than its pages: nobody looks there.
#[test]
fn a_chunk_that_is_not_the_hosts_is_no_memory() {
    let setup = Setup::new(1, true);
    setup.set_page(0, HOST | PAGE_READ | PAGE_WRITE);
    let good = setup.root[0].load(Relaxed);
    assert!(matches!(
        setup.guest.map.backing(0, SHIFT),
        Backing::Memory { .. }
    ));
    let outside = HOST - CHUNK_BYTES;
    for chunk in [0, outside, HOST + HOST_BYTES, u64::from_be(good) + 8] {
        setup.root[0].store(chunk.to_be(), Relaxed);
        assert_eq!(setup.guest.map.backing(0, SHIFT), Backing::Hole);
        setup.guest.map.note_changed(0, SHIFT);
    }
    assert_eq!(setup.word(0) & PAGE_CHANGED, 0);
}

#[test]
fn whoever_finds_a_lock_for_too_long_leaves_it_to_the_host() {
    let setup = Setup::new(1, true);
    let entry = setup.guest.entries.table.entry(3).unwrap();
    entry.set_first(VALID);
    for call in [
        remove as fn(&Guest, &mut Registers) -> Option<u64>,
        Guest::protect,
        Guest::clear_referenced,
        read,
    ] {
        assert_eq!(setup.call(call, [0, 3, 0, 0, 0, 0, 0, 0]).0, None);
    }
    let all = [1 << 62 | 3, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(setup.call(Guest::bulk_remove, all).0, None);
    assert_eq!(setup.guest.unmap(0, 99, 0, 1), Unmapped::Stuck(3));
    assert_eq!(entry.first(), VALID | LOCKED);
}

/// Pages to be cleared or copied, and memory that is accessed as no memory is.
#[test]
fn unusual_pages_are_left_to_the_host() {
    let setup = Setup::new(1, true);
    setup.set_page(3, HOST | PAGE_READ | PAGE_WRITE);
    let contents = [H_ZERO_PAGE, H_COPY_PAGE, H_ZERO_PAGE | H_COPY_PAGE].map(|it| (it, COHERENT));
    let access = [0, GUARDED, WIMG, COHERENT | GUARDED].map(|it| (0, it));
    for (flags, wimg) in contents.into_iter().chain(access) {
        let second = 0x3_1000 | wimg | 2;
        let args = [flags | H_EXACT, 5, LARGE | VALID, second, 0, 0, 0, 0];
        for call in [Guest::enter_plain, Guest::enter] {
            assert_eq!(setup.call(call, args), (None, args), "{flags:#x} {wimg:#x}");
        }
        assert_eq!(setup.guest.entries.table.entry(5).unwrap().first(), 0);
    }
}

/// The hardware notes a first store by C, and the host has to hear of it: no entry begins with C unless it has.
#[test]
fn the_hardware_has_the_key_and_of_c_what_the_host_knows() {
    let setup = Setup::new(1, true);
    let told = 0x3_1000 | COHERENT | KEY | REFERENCED | CHANGED | 2;
    for (known, kept) in [(0, 0), (PAGE_CHANGED, CHANGED)] {
        setup.set_page(3, HOST | PAGE_READ | PAGE_WRITE | known);
        for call in [Guest::enter_plain, Guest::enter] {
            let args = [H_EXACT, 5, LARGE | VALID | ABSENT, told, 0, 0, 0, 0];
            assert_eq!(setup.call(call, args).0, Some(H_SUCCESS));
            let entry = setup.guest.entries.table.entry(5).unwrap();
            assert_eq!(entry.first(), LARGE | VALID);
            assert_eq!(entry.second(), HOST | told & !0x3_0000 & !CHANGED | kept);
            assert_eq!(setup.guest.entries.shadow.get(5), told | MODIFIED);
            setup.call(remove, [0, 5, 0, 0, 0, 0, 0, 0]);
        }
    }
}

/// A change that the short way can't tell of: it leaves everything as it was.
#[test]
fn what_the_short_way_leaves_is_not_lost() {
    let mut setup = Setup::new(1, true);
    setup.set_page(3, HOST | PAGE_READ | PAGE_WRITE);
    let args = [
        H_EXACT,
        5,
        LARGE | VALID,
        0x3_1000 | COHERENT | 2,
        0,
        0,
        0,
        0,
    ];
    assert_eq!(setup.call(enter, args).0, Some(H_SUCCESS));
    let entry = setup.guest.entries.table.entry(5).unwrap();
    entry.set_second(entry.second() | CHANGED);
    let before = [entry.first(), entry.second()];
    setup.guest.map.is_plainly_host = |_, _| false;
    let args = [0, 5, 0, 0, 0, 0, 0, 0];
    assert_eq!(setup.call(Guest::remove_plain, args), (None, args));
    assert_eq!([entry.first(), entry.second()], before);
    assert_eq!(setup.word(3) & PAGE_CHANGED, 0);
    let (status, out) = setup.call(remove, args);
    assert_eq!(status, Some(H_SUCCESS));
    assert_ne!(out[1] & CHANGED, 0);
    assert_ne!(setup.word(3) & PAGE_CHANGED, 0);
}

extern crate std;
use super::*;
use crate::flash::ecc;
use crate::flash::table::Name;
use core::cell::{Cell, RefCell};
use proptest::prelude::*;
use std::vec::Vec;

const NVRAM_BYTES: usize = 16384;

/// A flash whose power fails after so many words of four bytes.
struct Flash {
    bytes: RefCell<Vec<u8>>,
    words_left: Cell<usize>,
}

impl Flash {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes: RefCell::new(bytes),
            words_left: Cell::new(usize::MAX),
        }
    }

    fn read(&self, at: u64, to: &mut [u8]) -> Result<(), FlashError> {
        let at = at as usize;
        to.copy_from_slice(&self.bytes.borrow()[at..at + to.len()]);
        Ok(())
    }

    /// By words of the bus's, as the machine writes.
    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), FlashError> {
        for (index, &byte) in bytes.iter().enumerate() {
            let at = at as usize + index;
            if index == 0 || at.is_multiple_of(4) {
                let left = self.words_left.get().checked_sub(1);
                self.words_left.set(left.ok_or(FlashError::NoBus)?);
            }
            self.bytes.borrow_mut()[at] = byte;
        }
        Ok(())
    }
}

fn store(has_ecc: bool) -> Store {
    let partition = Partition {
        name: Name::new(b"NVRAM"),
        offset_bytes: 0,
        len_bytes: NVRAM_BYTES as u64 / 8 * if has_ecc { 9 } else { 8 },
        used_bytes: 0,
        has_ecc,
        is_read_only: false,
    };
    Store::new(&partition, 1 << 20)
}

fn fresh() -> Vec<u8> {
    let mut nvram = vec![0; NVRAM_BYTES];
    nvram::format(&mut nvram);
    nvram
}

fn raw(nvram: &[u8], has_ecc: bool) -> Vec<u8> {
    let (words, _) = nvram.as_chunks();
    match has_ecc {
        false => nvram.to_vec(),
        true => words
            .iter()
            .flat_map(|&word| ecc::encode(u64::from_be_bytes(word)))
            .collect(),
    }
}

fn load(store: &Store, flash: &Flash) -> Result<(bool, Vec<u8>), DataError> {
    let mut nvram = vec![0xa5; store.len_bytes()];
    let Loaded { again, lost_bytes } = store.load(
        &mut nvram,
        |at, to| flash.read(at, to),
        |at, from| flash.write(at, from),
    )?;
    assert_eq!(lost_bytes, 0);
    Ok((again, nvram))
}

/// Changes part of NVRAM, in a flash whose power fails after that many words.
fn change(
    store: &Store,
    flash: &Flash,
    old: &[u8],
    at: usize,
    new: &[u8],
    words: usize,
) -> (bool, Vec<u8>) {
    let mut nvram = old.to_vec();
    nvram[at..at + new.len()].copy_from_slice(new);
    flash.words_left.set(words);
    let range = at..at + new.len();
    let done = store
        .write(&nvram, range, |at, from| flash.write(at, from))
        .is_ok();
    flash.words_left.set(usize::MAX);
    (done, nvram)
}

/// Three blocks of 4096 bytes with their code have room for 10,920 bytes, half a unit too many.
#[test]
fn nvram_has_whole_units() {
    let partition = Partition {
        len_bytes: 3 * 4096,
        ..store(true).partition
    };
    let store = Store::new(&partition, 1 << 20);
    assert_eq!(store.len_bytes(), 10_912);
    let mut nvram = vec![0; store.len_bytes()];
    nvram::format(&mut nvram);
    assert!(nvram::is_valid(&nvram));
}

#[test]
fn a_write_lasts() {
    for has_ecc in [false, true] {
        let (store, old) = (store(has_ecc), fresh());
        assert_eq!(store.len_bytes(), NVRAM_BYTES);
        let flash = Flash::new(raw(&old, has_ecc));
        assert_eq!(load(&store, &flash), Ok((false, old.clone())));
        for (at, len) in [(16, 1), (21, 10), (4000, 200), (0, 8192), (8192, 16)] {
            let new: Vec<u8> = match at {
                8192 | 0 => old[at..at + len].to_vec(),
                _ => (0..len).map(|place| (place + at) as u8).collect(),
            };
            let (_, before) = load(&store, &flash).unwrap();
            let (done, nvram) = change(&store, &flash, &before, at, &new, usize::MAX);
            assert!(done);
            assert_eq!(load(&store, &flash), Ok((false, nvram)), "{at} {len}");
        }
    }
}

/// Power fails at each word of a write: the old or the new is there, and stays.
#[test]
fn a_torn_write_leaves_the_old_or_the_new() {
    for has_ecc in [false, true] {
        let (store, old) = (store(has_ecc), fresh());
        let new: Vec<u8> = (0..300).map(|place| place as u8 | 1).collect();
        let (mut olds, mut news, mut agains) = (0, 0, 0);
        for words in 0.. {
            let flash = Flash::new(raw(&old, has_ecc));
            let (done, nvram) = change(&store, &flash, &old, 100, &new, words);
            // The next start may fail, too.
            flash.words_left.set(words % 90);
            let first = load(&store, &flash).is_ok_and(|(again, _)| again);
            flash.words_left.set(usize::MAX);
            let (again, found) = load(&store, &flash).unwrap();
            let again = first || again;
            agains += usize::from(again);
            match found == old {
                true => olds += 1,
                false => assert_eq!(found, nvram, "{words} words"),
            }
            news += usize::from(found == nvram);
            assert_eq!(load(&store, &flash), Ok((false, found)));
            if done {
                assert!(!again);
                break;
            }
        }
        // Both happen, and a journal is carried out again.
        assert!(
            olds > 70 && news > 70 && agains > 70,
            "{olds} {news} {agains}"
        );
    }
}

#[test]
fn a_journal_that_lies_is_none() {
    let (store, old) = (store(false), fresh());
    let journal = NVRAM_BYTES - JOURNAL_BYTES;
    for (start, len) in [
        (journal as u64, 8),
        (0, 4104),
        (4, 8),
        (0, 12),
        (u64::from(u32::MAX), 8),
    ] {
        let flash = Flash::new(old.clone());
        let place = (start << 32 | len).to_be_bytes();
        let data = vec![0x5a; len as usize];
        let at = journal as u64;
        flash.write(at, &MARK.to_be_bytes()).unwrap();
        flash.write(at + 8, &place).unwrap();
        flash.write(at + 16, &sum(&place, &data)).unwrap();
        flash
            .write(at + 24, &data[..data.len().min(SLICE_BYTES)])
            .unwrap();
        assert_eq!(
            load(&store, &flash),
            Ok((false, old.clone())),
            "{start} {len}"
        );
    }
}

#[test]
fn without_free_space_writes_go_to_their_place() {
    let (store, old) = (store(true), fresh());
    let flash = Flash::new(raw(&old, true));
    // A journal was there.
    let (_, old) = change(&store, &flash, &old, 16, b"threads=host", usize::MAX);
    // Somebody takes all that was free, and finds what was there before.
    let mut header = old[8192..8208].to_vec();
    header[0] = 0x70;
    header[1] = header[1].wrapping_sub(0x7f - 0x70);
    let (_, nvram) = change(&store, &flash, &old, 8192, &header, usize::MAX);
    assert!(nvram::is_valid(&nvram));
    assert_eq!(load(&store, &flash), Ok((false, nvram.clone())));
    let (_, nvram) = change(
        &store,
        &flash,
        &nvram,
        NVRAM_BYTES - 100,
        &[7; 100],
        usize::MAX,
    );
    assert_eq!(load(&store, &flash), Ok((false, nvram)));
}

/// Two bits of a word are wrong, and elsewhere a block of 90 bytes is erased: all else is kept.
#[test]
fn what_is_whole_of_damaged_nvram_is_kept() {
    let (store, mut old) = (store(true), fresh());
    old[16..28].copy_from_slice(b"threads=host");
    let flash = Flash::new(raw(&old, true));
    let lost = [[48, 56], [720, 800]];
    let bad = flash.bytes.borrow()[48 / 8 * 9] ^ 3;
    flash.write(48 / 8 * 9, &[bad]).unwrap();
    flash.write(720 / 8 * 9, &[0xff; 90]).unwrap();
    let mut nvram = vec![0xa5; store.len_bytes()];
    let read = |at: u64, to: &mut [u8]| flash.read(at, to);
    let loaded = store.load(&mut nvram, read, |at, from| flash.write(at, from));
    let expected = Loaded {
        again: false,
        lost_bytes: 88,
    };
    assert_eq!(loaded, Ok(expected));
    for [from, to] in lost {
        old[from..to].fill(0);
    }
    assert_eq!(nvram, old);
    assert!(nvram::is_valid(&nvram));
}

#[test]
fn erased_flash_has_nothing_to_keep() {
    let store = store(true);
    let flash = Flash::new(vec![0xff; NVRAM_BYTES / 8 * 9]);
    assert!(matches!(load(&store, &flash), Err(DataError::Blank(_, 0))));
}

proptest! {
    /// Writes one after the other, each with the power failing somewhere or not.
    #[test]
    fn no_power_cut_loses_a_setting(
        cuts in prop::collection::vec((16usize..8000, 1usize..120, any::<u8>(), 0usize..400), 1..8),
        has_ecc: bool,
    ) {
        let store = store(has_ecc);
        let mut now = fresh();
        let flash = Flash::new(raw(&now, has_ecc));
        for (at, len, byte, words) in cuts {
            // Headers stay as they are.
            let at = if (4096 - len..4112).contains(&at) { 4112 } else { at };
            let (done, new) = change(&store, &flash, &now, at, &vec![byte; len], words);
            let (_, found) = load(&store, &flash).unwrap();
            prop_assert!(found == new || !done && found == now);
            now = found;
        }
    }
}

/// What has become of writes that were cut off.
#[derive(Debug, Default)]
struct Cut {
    old: u32,
    new: u32,
    again: u32,
}

/// Settings of the firmware and of hosts are written one after the other. The power fails during each write, and often
/// during the start that follows.
fn cut_power(times: u32, seed: u64) -> Cut {
    let mut state = seed;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005);
        state = state.wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let store = store(draw(2) == 1);
    let mut now = fresh();
    let flash = Flash::new(raw(&now, store.partition.has_ecc));
    let mut cut = Cut::default();
    for _ in 0..times {
        // In one of the two partitions, behind its header.
        let at = 16 + draw(4000);
        let len = 1 + draw(4096 - at);
        let new: Vec<u8> = (0..len).map(|_| draw(256) as u8).collect();
        let at = 4096 * draw(2) + at;
        let words = draw(len + 20);
        let (done, new) = change(&store, &flash, &now, at, &new, words);
        flash.words_left.set(draw(2000));
        let first = load(&store, &flash).is_ok_and(|(again, _)| again);
        flash.words_left.set(usize::MAX);
        let (again, found) = load(&store, &flash).unwrap();
        assert!(found == new || !done && found == now);
        cut.old += u32::from(found == now);
        cut.new += u32::from(found == new && !done);
        cut.again += u32::from(first || again);
        now = found;
    }
    cut
}

#[test]
fn ten_thousand_power_cuts_lose_no_setting() {
    let cuts = (0..100).map(|seed| cut_power(100, seed));
    let all = cuts.fold(Cut::default(), |all, cut| Cut {
        old: all.old + cut.old,
        new: all.new + cut.new,
        again: all.again + cut.again,
    });
    // Both happen often, and so does finishing what a journal has.
    assert!(
        all.old > 2000 && all.new > 1000 && all.again > 1000,
        "{all:?}"
    );
}

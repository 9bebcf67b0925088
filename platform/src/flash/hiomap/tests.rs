extern crate std;
use self::bmc::{BLOCK, Blocks, Bmc, FLASH_BYTES};
use super::message::State;
use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::vec;

mod bmc;

#[test]
fn windows_move_and_are_shorter_than_asked_for() {
    for (most, before, is_slow) in [(64, 0, false), (3, 1, true), (1, 0, false), (5, 9, true)] {
        let bmc = Bmc {
            is_slow,
            ..Bmc::new(most, before)
        };
        let mut windows = Windows::UNKNOWN;
        bmc.wait(&mut windows, Need::Size).unwrap();
        assert_eq!(windows.flash_bytes(), Some(FLASH_BYTES));
        for block in (0..64).chain([5, 63, 0]) {
            assert_eq!(bmc.read(&mut windows, block), Ok(block as u32));
        }
        if most == 64 {
            assert_eq!(bmc.windows.get(), 1);
        }
    }
}

#[test]
fn what_is_written_counts_when_it_is_flushed() {
    let bmc = Bmc::new(4, 1);
    let mut windows = Windows::UNKNOWN;
    bmc.read(&mut windows, 7).unwrap();
    bmc.put(&mut windows, 7, 70).unwrap();
    bmc.put(&mut windows, 8, 80).unwrap();
    assert_eq!(bmc.flash.borrow()[7..9], [7, 8]);
    // A write window is read as well.
    assert_eq!(bmc.read(&mut windows, 8), Ok(80));
    bmc.flush(&mut windows).unwrap();
    assert_eq!(bmc.flash.borrow()[6..10], [6, 70, 80, 9]);
    // The next window is opened when the last one is flushed.
    bmc.put(&mut windows, 7, 71).unwrap();
    bmc.put(&mut windows, 40, 400).unwrap();
    assert_eq!((bmc.flash.borrow()[7], bmc.flash.borrow()[40]), (71, 40));
    bmc.flush(&mut windows).unwrap();
    assert_eq!(bmc.flash.borrow()[40], 400);
    let opened = bmc.windows.get();
    bmc.flush(&mut windows).unwrap();
    assert_eq!(bmc.windows.get(), opened);
    assert_eq!(windows.lost_writes(), 0);
}

#[test]
fn a_window_that_is_taken_away_is_opened_again() {
    for event in [State::WINDOW_RESET, State::PROTOCOL_RESET, 3] {
        let bmc = Bmc::new(64, 0);
        let mut windows = Windows::UNKNOWN;
        bmc.read(&mut windows, 1).unwrap();
        let lost = windows.lost_windows();
        bmc.tell(&mut windows, event | State::DAEMON_READY);
        assert!(windows.has_events());
        assert_eq!(bmc.read(&mut windows, 9), Ok(9));
        assert_ne!(windows.lost_windows(), lost);
        assert_eq!(windows.lost_writes(), 0);
        assert_eq!((bmc.acknowledged.get(), bmc.windows.get()), (event, 2));
        bmc.put(&mut windows, 9, 90).unwrap();
        bmc.tell(&mut windows, event | State::DAEMON_READY);
        bmc.flush(&mut windows).unwrap();
        assert_eq!(windows.lost_writes(), 1);
        assert_eq!(bmc.read(&mut windows, 9), Ok(9));
    }
}

/// Taken away without a word: the BMC refuses what needs it.
#[test]
fn a_window_that_is_gone_loses_what_was_written() {
    let bmc = Bmc::new(64, 0);
    let mut windows = Windows::UNKNOWN;
    bmc.put(&mut windows, 9, 90).unwrap();
    *bmc.window.borrow_mut() = None;
    let refused = HiomapError::Refused("MARK_DIRTY", 0xcc);
    assert_eq!(bmc.flush(&mut windows), Err(refused));
    assert_eq!(windows.lost_writes(), 1);
    bmc.put(&mut windows, 9, 91).unwrap();
    bmc.flush(&mut windows).unwrap();
    assert_eq!(bmc.flash.borrow()[9], 91);
}

/// A host has asked for a window of its own, or a machine before this one.
#[test]
fn a_window_of_somebody_elses_is_not_used() {
    let bmc = Bmc::new(2, 0);
    let mut windows = Windows::UNKNOWN;
    assert_eq!(bmc.read(&mut windows, 3), Ok(3));
    bmc.open(30, 1, false);
    windows.distrust();
    assert_eq!(bmc.read(&mut windows, 3), Ok(3));
    let mut windows = Windows::UNKNOWN;
    bmc.open(30, 1, true);
    assert_eq!(bmc.read(&mut windows, 3), Ok(3));
}

#[test]
fn a_bmc_that_keeps_its_flash_is_left_alone_until_it_says_so() {
    let bmc = Bmc::new(64, 0);
    let mut windows = Windows::UNKNOWN;
    bmc.read(&mut windows, 1).unwrap();
    for away in [State::FLASH_CONTROL_LOST | State::DAEMON_READY, 0] {
        bmc.tell(&mut windows, away);
        assert_eq!(bmc.read(&mut windows, 1), Err(HiomapError::Away));
        let opened = bmc.windows.get();
        assert_eq!(bmc.put(&mut windows, 1, 5), Err(HiomapError::Away));
        assert_eq!(bmc.windows.get(), opened);
        bmc.tell(&mut windows, State::DAEMON_READY);
        assert_eq!(bmc.read(&mut windows, 1), Ok(1));
    }
}

/// What a BMC that answers each question with the same ends with.
fn ends_with(answer: &[u8], need: Need) -> Result<Option<Reached>, HiomapError> {
    let mut windows = Windows::UNKNOWN;
    windows.step(need, |request| {
        let mut data = answer.to_vec();
        if let [_, command, sequence, ..] = &mut data[..] {
            let asked = request.data();
            (*command, *sequence) = (asked[0], asked[1]);
        }
        Message::new(request.function | 4, request.command, &data)
    })
}

#[test]
fn answers_that_make_no_sense_are_told() {
    let info = HiomapError::Nonsense("GET_INFO");
    for (answer, why) in [
        (&[][..], info),
        (&[0], info),
        (&[0, 0, 0], info),
        (&[0, 0, 0, 2], info),
        (&[0, 0, 0, 2, 11, 0, 0], info),
        (&[0, 0, 0, 2, 21, 0, 0], info),
        (&[0, 0, 0, 2, 255, 0, 0], info),
        (&[0, 0, 0, 1, 12, 0, 0], HiomapError::Version(1)),
        (&[0xc1], HiomapError::None),
        (&[0xc3], HiomapError::Refused("GET_INFO", 0xc3)),
        // Its flash has no block, after an answer that both questions take.
        (
            &[0, 0, 0, 2, 20, 0, 0],
            HiomapError::Nonsense("GET_FLASH_INFO"),
        ),
    ] {
        assert_eq!(ends_with(answer, Need::Size), Err(why), "{answer:?}");
    }
    let mut windows = Windows::UNKNOWN;
    let other = windows.step(Need::Size, |request| {
        Message::new(
            request.function | 4,
            request.command,
            &[0, 2, 200, 2, 12, 0, 0],
        )
    });
    assert_eq!(other, Err(info));
}

#[test]
fn windows_that_make_no_sense_are_told() {
    for [lpc, len, flash] in [
        // Without the place that was asked for: behind it, before it, empty.
        [0, 10, 8],
        [0, 7, 0],
        [0, 0, 7],
        // Beyond the firmware space.
        [0xffff, 64, 0],
        [0xffff, 0xffff, 0],
    ] {
        let bmc = Bmc::new(64, 0);
        let mut windows = Windows::UNKNOWN;
        bmc.wait(&mut windows, Need::Size).unwrap();
        let why = windows.step(Need::Read(7 * BLOCK, BLOCK), |request| {
            let asked = request.data();
            let mut answer = vec![0, asked[0], asked[1]];
            answer.extend([lpc, len, flash].iter().flat_map(|n: &u16| n.to_le_bytes()));
            Message::new(request.function | 4, request.command, &answer)
        });
        let nonsense = HiomapError::Nonsense("CREATE_READ_WINDOW");
        assert_eq!(why, Err(nonsense), "{lpc} {len} {flash}");
        assert_eq!(bmc.read(&mut windows, 7), Ok(7));
    }
}

#[test]
fn a_bmc_that_has_events_without_end_is_given_up() {
    let bmc = Bmc::new(64, 0);
    let mut windows = Windows::UNKNOWN;
    for _ in 0..1000 {
        bmc.tell(&mut windows, State::DAEMON_READY | State::WINDOW_RESET);
    }
    assert_eq!(bmc.read(&mut windows, 1), Err(HiomapError::Restless));
}

/// Events of somebody else's, or none, are no reason to stop.
#[test]
fn other_events_are_passed_over() {
    let mut windows = Windows::UNKNOWN;
    let bmc = Bmc::new(64, 0);
    bmc.read(&mut windows, 1).unwrap();
    for record in [vec![0; 17], vec![0; 5], vec![0xc1], vec![]] {
        windows.look(false);
        windows.look(true);
        let mut records = VecDeque::from([record]);
        let mut exchange = |request: &Message| match request.command {
            0x35 => Message::new(0, 0, &records.pop_front().unwrap_or(vec![0x80])),
            _ => panic!("nothing else is asked"),
        };
        for _ in 0..2 {
            let _ = windows.step(Need::Read(BLOCK, 1), &mut exchange).unwrap();
        }
        assert!(!windows.has_events());
    }
    assert_eq!(windows.lost_windows(), 0);
}

proptest! {
    /// Whatever a BMC answers, and however late, nothing panics, and a window that is used has what it was asked for.
    #[test]
    fn any_answer_is_taken_or_refused(
        answers in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), 0..40),
        needs in prop::collection::vec((0u8..4, 0u64..1 << 30, 0u64..1 << 30), 1..20),
        echoes: bool,
    ) {
        let mut answers = answers.into_iter();
        let mut windows = Windows::UNKNOWN;
        for (kind, at, len) in needs {
            windows.look(at % 3 == 0);
            let need = match kind {
                0 => Need::Size,
                1 => Need::Read(at, len),
                2 => Need::Write(at, len),
                _ => Need::Flushed,
            };
            let reached = windows.step(need, |request| {
                let mut data = answers.next()??;
                if echoes && data.len() > 4 && request.data().len() > 1 {
                    data[..3].copy_from_slice(&[0, request.data()[0], request.data()[1]]);
                    data[3..5].copy_from_slice(&[2, 12]);
                }
                Message::new(request.function | 4, request.command, &data)
            });
            if let (Ok(Some(Reached(window))), 1 | 2) = (reached, kind) {
                let window = window.unwrap();
                let (lpc, left) = window.find(at).unwrap();
                prop_assert!(lpc + left <= FIRMWARE_SPACE_BYTES && (window.is_writable || kind == 1));
                if kind == 2 {
                    windows.wrote(at..at + left.min(len + 1));
                }
            }
        }
    }

    /// Blocks are written, read and flushed in any order while windows come and go.
    #[test]
    fn what_is_read_is_what_was_written(
        most in 1u16..70,
        before in 0u16..10,
        is_slow: bool,
        steps in prop::collection::vec((0u8..8, 0u64..64), 1..60),
    ) {
        let bmc = Bmc { is_slow, ..Bmc::new(most, before) };
        let mut windows = Windows::UNKNOWN;
        let mut kept: Blocks = *bmc.flash.borrow();
        let mut now = kept;
        for (place, (kind, block)) in steps.into_iter().enumerate() {
            let lost = windows.lost_writes();
            match kind {
                0..=3 => {
                    let found = bmc.read(&mut windows, block).unwrap();
                    prop_assert_eq!(found, now[block as usize]);
                }
                4 | 5 => {
                    bmc.put(&mut windows, block, 1000 + place as u32).unwrap();
                    now[block as usize] = 1000 + place as u32;
                }
                6 => bmc.flush(&mut windows).unwrap(),
                _ => {
                    bmc.flush(&mut windows).unwrap();
                    bmc.tell(&mut windows, State::WINDOW_RESET | State::DAEMON_READY);
                }
            }
            prop_assert_eq!(windows.lost_writes(), lost);
            if kind >= 6 {
                kept = now;
                prop_assert_eq!(*bmc.flash.borrow(), kept);
            }
        }
    }
}

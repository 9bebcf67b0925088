//! The firmware's `memcpy` and `memcmp`, which the test host is linked with as well.
use core::cmp::Ordering;

use crate::check::{Outcome, same};
use crate::lab::Lab;

#[cfg(target_arch = "powerpc64")]
#[path = "../../../../asm/src/copy.rs"]
mod shipped;

#[cfg(not(target_arch = "powerpc64"))]
mod shipped {
    pub unsafe fn memcpy(_to: *mut u8, _from: *const u8, _len_bytes: usize) -> *mut u8 {
        unreachable!("no POWER8")
    }

    pub unsafe fn memcmp(_one: *const u8, _other: *const u8, _len_bytes: usize) -> i32 {
        unreachable!("no POWER8")
    }
}

const LONGEST: usize = 140;
/// Bytes around a copy that must stay.
const MARGIN: usize = 40;
const ALIGNMENTS: usize = 9;
const ROOM: usize = MARGIN + ALIGNMENTS + LONGEST + MARGIN;
/// Differing bytes, in an order that signed bytes or another byte order would turn round.
const DIFFERING: [(u8, u8); 3] = [(0, 1), (0x7f, 0x80), (1, 0xff)];

/// Every length to 140 bytes at every alignment: copies are whole and write nothing else; comparisons go by the
/// first byte that differs.
pub fn copies(_lab: &mut Lab) -> Outcome {
    for len in 0..=LONGEST {
        for from in 0..ALIGNMENTS {
            for to in 0..ALIGNMENTS {
                copied(len, from, to)?;
            }
            for other in [0, 1, 4, 7] {
                compared(len, from, other)?;
            }
        }
    }
    Ok(())
}

fn pattern(at: usize) -> u8 {
    (at * 7 + 1) as u8
}

fn copied(len: usize, from: usize, to: usize) -> Outcome {
    let source: [u8; ROOM] = core::array::from_fn(pattern);
    let mut target = [0xee; ROOM];
    let place = MARGIN + to;
    let at = target[place..].as_mut_ptr();
    // SAFETY: both are as long as `ROOM`, which is enough for the longest.
    let answer = unsafe { shipped::memcpy(at, source[from..].as_ptr(), len) };
    same("what memcpy answers", answer, at)?;
    for (index, byte) in target.into_iter().enumerate() {
        let is_copied = (place..place + len).contains(&index);
        let wanted = if is_copied {
            pattern(from + index - place)
        } else {
            0xee
        };
        if byte != wanted {
            return same(
                "length, from, to, index and byte",
                (len, from, to, index, byte),
                (len, from, to, index, wanted),
            );
        }
    }
    Ok(())
}

fn compared(len: usize, one: usize, other: usize) -> Outcome {
    let mut left = [0xaa; ROOM];
    let mut right = [0x55; ROOM];
    for at in 0..len {
        left[one + at] = pattern(at);
        right[other + at] = pattern(at);
    }
    // SAFETY: as above.
    let order = |left: &[u8; ROOM], right: &[u8; ROOM]| unsafe {
        shipped::memcmp(left[one..].as_ptr(), right[other..].as_ptr(), len).cmp(&0)
    };
    same("equal", (len, order(&left, &right)), (len, Ordering::Equal))?;
    for at in 0..len {
        for (less, more) in DIFFERING {
            (left[one + at], right[other + at]) = (less, more);
            same(
                "less",
                (len, at, order(&left, &right)),
                (len, at, Ordering::Less),
            )?;
            (left[one + at], right[other + at]) = (more, less);
            same(
                "greater",
                (len, at, order(&left, &right)),
                (len, at, Ordering::Greater),
            )?;
        }
        (left[one + at], right[other + at]) = (pattern(at), pattern(at));
    }
    Ok(())
}

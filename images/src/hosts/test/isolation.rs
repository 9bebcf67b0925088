//! Partitions at the same time and one after the other: nothing of one reaches another.
use alloc::vec::Vec;

use hcalls::partition::{MemoryMode, PtidMode};
use images::behaviour::registers::ROUNDS;

use crate::check::{Outcome, same};
use crate::lab::{Lab, Wanted};
use crate::{cores, registers};

/// Four guests of eight vcpus, two on each core by turns, then the other way round: every one fills
/// all registers that a guest has, and finds none changed. They differ in byte order, memory mode
/// and ptid mode.
/// L1.
pub fn isolation(lab: &mut Lab) -> Outcome {
    let mut guests = Vec::new();
    for (little_endian, memory_mode, ptid_mode) in [
        (false, MemoryMode::Rmor, PtidMode::Packed),
        (true, MemoryMode::Vrma, PtidMode::Aligned),
        (false, MemoryMode::Vrma, PtidMode::Packed),
        (true, MemoryMode::Rmor, PtidMode::Aligned),
    ] {
        guests.push(lab.guest(&Wanted {
            little_endian,
            memory_mode,
            ptid_mode,
            uses_fp: true,
            ..Wanted::new("registers", 8)
        })?);
    }
    for round in 0..4 {
        *cores::LENT.lock() = guests.split_off(2);
        let anyone = &guests[0];
        cores::send(lab, anyone, |_| {
            let rounds = registers::by_turns(&mut cores::LENT.lock(), 0x7777_7777)?;
            same("rounds with a hypercall there", rounds, 2 * 8 * ROUNDS)
        })?;
        let rounds = registers::by_turns(&mut guests, 0x1111_1111 * (round + 1))?;
        same("rounds with a hypercall here", rounds, 2 * 8 * ROUNDS)?;
        cores::answer()?;
        // Who was there is here next, and one of each pair meets another.
        let mut there = core::mem::take(&mut *cores::LENT.lock());
        there.append(&mut guests);
        guests = there;
        guests.swap(1, 2);
    }
    Ok(())
}

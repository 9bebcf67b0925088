//! Rules of what guests bring along and find.
use asm::spr;

use super::decode::Op;
use super::flow::{Step, THREADS, World};
use super::rule::{Rule, Verdict};
use crate::bench::code::BASE;

const TM_REGISTERS: [u16; 3] = [spr::TFHAR, spr::TFIAR, spr::TEXASR];

/// A guest that was interrupted in a transaction has it suspended: to touch TM registers, or to go on
/// into another state by hrfid, is a TM Bad Thing then.
#[derive(Default)]
pub struct Transaction {
    /// The thread comes from a guest, and hasn't reclaimed.
    perhaps: [bool; THREADS],
}

impl Rule for Transaction {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        let perhaps = &mut self.perhaps[step.thread];
        if step.from == Some(World::Guest) {
            *perhaps = true;
        }
        match step.op {
            Op::Treclaim => *perhaps = false,
            Op::ReadSpr(spr) | Op::WriteSpr(spr) if TM_REGISTERS.contains(&spr) && *perhaps => {
                return Verdict::Broken("a TM register while a transaction may be suspended");
            }
            Op::Transaction => return Verdict::Broken("an instruction of transactions"),
            _ => {}
        }
        match step.to {
            Some(_) if std::mem::take(perhaps) => Verdict::Kept,
            _ => Verdict::Silent,
        }
    }
}

/// A guest's conditional store fails that no load of its own has begun.
#[derive(Default)]
pub struct Reservation([bool; THREADS]);

impl Rule for Reservation {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        let held = &mut self.0[step.thread];
        match step.op {
            Op::Reserve => *held = true,
            Op::Conditional => *held = false,
            _ => {}
        }
        match step.to {
            Some(World::Guest) if std::mem::take(held) => {
                Verdict::Broken("a reservation of the firmware's")
            }
            Some(World::Guest) => Verdict::Kept,
            _ => Verdict::Silent,
        }
    }
}

/// The vector of `sc 1`.
const HYPERCALL: u64 = BASE + 0xc00;

/// What the firmware does for a hypercall is not counted as the guest's.
#[derive(Default)]
pub struct Served {
    /// Of each thread: its guest has made one, and whether MMCR0 was looked at since.
    looked: [Option<bool>; THREADS],
}

impl Rule for Served {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        let looked = &mut self.looked[step.thread];
        if step.from == Some(World::Guest) {
            *looked = (step.pc == HYPERCALL).then_some(false);
        }
        if step.op == Op::ReadSpr(spr::MMCR0) {
            *looked = looked.map(|_| true);
        }
        if step.to != Some(World::Guest) {
            return Verdict::Silent;
        }
        match looked.take() {
            None => Verdict::Silent,
            Some(true) => Verdict::Kept,
            Some(false) => Verdict::Broken("nobody has looked whether counters count"),
        }
    }
}

/// What is true only while nothing counts.
const COUNTED: [u16; 9] = [
    spr::PMC1,
    spr::PMC2,
    spr::PMC3,
    spr::PMC4,
    spr::PMC5,
    spr::PMC6,
    spr::SIAR,
    spr::SDAR,
    spr::SIER,
];

/// How far a thread is that saves its guest's performance monitor.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Counting {
    /// There is no guest whose counters could count.
    #[default]
    No,
    Maybe,
    /// MMCR0 was read: the thread knows. The log doesn't.
    Known,
    /// MMCR0 or MMCR2 was written.
    Stopping,
    Stopped,
}

/// Counters are read when they stand still.
#[derive(Default)]
pub struct Counters([Counting; THREADS]);

impl Rule for Counters {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        let counting = &mut self.0[step.thread];
        if step.from == Some(World::Guest) {
            *counting = Counting::Maybe;
        }
        let verdict = match (step.op, *counting) {
            (_, Counting::No) => Verdict::Silent,
            (Op::ReadSpr(read), now) if COUNTED.contains(&read) => match now {
                Counting::Maybe => Verdict::Broken("nobody has looked whether they count"),
                Counting::Stopping => Verdict::Broken("no isync since they were stopped"),
                Counting::Stopped => Verdict::Kept,
                Counting::No | Counting::Known => Verdict::Silent,
            },
            (Op::ReadSpr(spr::MMCR0), Counting::Maybe) => {
                *counting = Counting::Known;
                Verdict::Silent
            }
            (Op::WriteSpr(spr::MMCR0 | spr::MMCR2), _) => {
                *counting = Counting::Stopping;
                Verdict::Silent
            }
            (op, Counting::Stopping) if op.synchronizes() => {
                *counting = Counting::Stopped;
                Verdict::Silent
            }
            _ => Verdict::Silent,
        };
        if matches!(step.to, Some(World::Guest | World::Host)) {
            *counting = Counting::No;
        }
        verdict
    }
}

/// A condition that comes between a look at HMER and its clearing is lost if it wasn't read.
#[derive(Default)]
pub struct Hmer([bool; THREADS]);

impl Rule for Hmer {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        let read = &mut self.0[step.thread];
        if step.from.is_some() {
            *read = false;
        }
        match step.op {
            Op::ReadSpr(spr::HMER) => *read = true,
            Op::WriteSpr(spr::HMER) if std::mem::take(read) => return Verdict::Kept,
            Op::WriteSpr(spr::HMER) => return Verdict::Broken("cleared unread"),
            _ => {}
        }
        Verdict::Silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{breaks, keeps};

    #[test]
    fn transactions() {
        keeps::<Transaction>("0 mfspr TFHAR; 0 < guest; 0 mfspr DEC; 0 hrfid > guest");
        keeps::<Transaction>("0 < guest; 0 nap > nap; 0 < guest treclaim.; 0 mfspr TFHAR");
        breaks::<Transaction>("0 < guest; 0 mfspr TFHAR");
        breaks::<Transaction>("0 < guest; 1 treclaim.; 0 mtspr TEXASR");
        breaks::<Transaction>("0 tbegin.");
    }

    #[test]
    fn reservations() {
        keeps::<Reservation>("0 lwarx; 0 stwcx.; 0 hrfid > guest");
        breaks::<Reservation>("0 lwarx; 0 hrfid > guest");
        breaks::<Reservation>("0 stwcx.; 0 lwarx; 1 stwcx.; 0 hrfid > guest");
    }

    /// The fixture's first entry is at the vector.
    #[test]
    fn hypercalls() {
        keeps::<Served>("0 < guest; 0 mfspr MMCR0; 0 hrfid > guest");
        keeps::<Served>("0 < guest; 0 mfspr MMCR0; 0 nap > nap; 0 < nap; 0 hrfid > guest");
        breaks::<Served>("0 < guest; 0 hrfid > guest");
        breaks::<Served>("0 < guest; 1 mfspr MMCR0; 0 nap > nap; 0 < nap; 0 hrfid > guest");
    }

    #[test]
    fn counters() {
        let stop = "0 < guest; 0 mfspr MMCR0; 0 mtspr MMCR2; 0 isync; 0 mtspr MMCR0; ";
        keeps::<Counters>(&format!("{stop} 0 isync; 0 mfspr PMC1"));
        keeps::<Counters>("0 mfspr PMC1; 0 < guest; 0 mtspr MMCR0; 0 isync; 0 mfspr SIER");
        breaks::<Counters>(&format!("{stop} 0 mfspr PMC1"));
        breaks::<Counters>(&format!("{stop} 1 isync; 0 mfspr PMC6"));
        breaks::<Counters>("0 < guest; 0 mfspr PMC1");
        breaks::<Counters>("0 < guest; 0 mfspr SIER; 0 mfspr MMCR0");
    }

    #[test]
    fn maintenance() {
        keeps::<Hmer>("0 mfspr HMER; 0 mtspr HMER");
        breaks::<Hmer>("0 mtspr HMER");
        breaks::<Hmer>("0 mfspr HMER; 0 nap > nap; 0 < nap; 0 mtspr HMER");
        breaks::<Hmer>("0 mfspr HMER; 0 mtspr HMER; 0 mtspr HMER");
    }
}

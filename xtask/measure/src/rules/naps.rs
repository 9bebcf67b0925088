//! Rules of naps.
use super::decode::Op;
use super::flow::{Step, THREADS, World};
use super::rule::{Rule, Verdict};

/// How far a thread is on its way into a nap.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    None,
    Fenced,
    Loaded,
    Compared,
    Branched,
}

/// All stores are done before the thread sleeps.
#[derive(Default)]
pub struct Sequence([Stage; THREADS]);

impl Rule for Sequence {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        let stage = &mut self.0[step.thread];
        let before = *stage;
        *stage = match (step.op, before) {
            (Op::Ptesync, _) => Stage::Fenced,
            (Op::Load(_) | Op::OtherLoad, Stage::Fenced) => Stage::Loaded,
            (Op::Compare(left, right), Stage::Loaded) if left == right => Stage::Compared,
            (Op::BranchIf, Stage::Compared) => Stage::Branched,
            _ => Stage::None,
        };
        match step.op {
            Op::Nap if before == Stage::Branched => Verdict::Kept,
            Op::Nap => Verdict::Broken("not ptesync, ld, cmp, bne before it"),
            _ => Verdict::Silent,
        }
    }
}

/// A thread that a host's vectors have had.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Back {
    #[default]
    No,
    Astray,
    Flushed,
    Synchronized,
}

/// What a thread has translated by the host's HRMOR is forgotten before its next wake-up.
#[derive(Default)]
pub struct Astray([Back; THREADS]);

impl Rule for Astray {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        let back = &mut self.0[step.thread];
        if step.from == Some(World::Astray) {
            *back = Back::Astray;
        }
        match step.op {
            Op::Slbia if *back == Back::Astray => *back = Back::Flushed,
            Op::Isync if *back == Back::Flushed => *back = Back::Synchronized,
            _ => {}
        }
        if step.to.is_none() {
            return Verdict::Silent;
        }
        match std::mem::take(back) {
            Back::No => Verdict::Silent,
            Back::Synchronized => Verdict::Kept,
            _ => Verdict::Broken("no slbia and isync before it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{breaks, keeps};

    #[test]
    fn sequences() {
        keeps::<Sequence>("0 std 8; 0 ptesync; 0 ld 8; 0 cmpd 0; 0 bne; 0 nap > nap");
        for broken in [
            "0 ld 8; 0 cmpd 0; 0 bne; 0 nap > nap",
            "0 sync; 0 ld 8; 0 cmpd 0; 0 bne; 0 nap > nap",
            "0 ptesync; 0 std 8; 0 ld 8; 0 cmpd 0; 0 bne; 0 nap > nap",
            "0 ptesync; 0 ld 8; 0 cmpd 1; 0 bne; 0 nap > nap",
            "0 ptesync; 0 ld 8; 0 bne; 0 nap > nap",
            "0 ptesync; 0 ld 8; 0 cmpd 0; 0 nap > nap",
            "0 ptesync; 0 ld 8; 0 cmpd 0; 0 bne; 0 std 8; 0 nap > nap",
            "0 ptesync; 0 nap > nap",
        ] {
            breaks::<Sequence>(broken);
        }
    }

    #[test]
    fn threads_from_a_hosts_vectors() {
        keeps::<Astray>("1 < astray slbmte; 1 slbia; 1 isync; 1 ptesync; 1 nap > nap");
        breaks::<Astray>("1 < astray; 1 ptesync; 1 nap > nap");
        breaks::<Astray>("1 < astray; 1 slbia; 1 nap > nap");
        breaks::<Astray>("1 < astray; 1 isync; 1 slbia; 1 nap > nap");
    }
}

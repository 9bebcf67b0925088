//! Rules of what a core's threads share.
//!
//! QEMU has SDR1, RMOR, LPIDR and PCR for each thread, so there a sibling writes the runner's values once
//! more. Values aren't in the log: what a sibling writes counts as a copy once the runner has switched.
use asm::spr;

use super::decode::Op;
use super::flow::{Step, THREADS, World};
use super::rule::{Rule, Verdict};

/// Of TSCR and TTR, which nothing else speaks of.
const TSCR: u16 = 921;
const TTR: u16 = 922;
/// Copied by siblings where each thread has its own.
const COPIED: [u16; 4] = [spr::SDR1, spr::RMOR, spr::LPIDR, spr::PCR];
/// Written by no sibling. HDEC isn't here: it is written to bring siblings out.
const SHARED: [u16; 10] = [
    spr::HRMOR,
    spr::HID0,
    spr::AMOR,
    spr::HMEER,
    spr::TBU40,
    spr::VTB,
    spr::DPDES,
    spr::TFMR,
    TSCR,
    TTR,
];

/// Core-wide registers change while nobody is there who would see it.
#[derive(Default)]
pub struct Shared {
    /// Thread 0 has written LPIDR since it came from its host.
    switched: bool,
}

impl Rule for Shared {
    fn step(&mut self, step: &Step, worlds: &[World; THREADS]) -> Verdict {
        if step.thread == 0 && step.from == Some(World::Host) {
            self.switched = false;
        }
        let Op::WriteSpr(written) = step.op else {
            return Verdict::Silent;
        };
        if !SHARED.contains(&written) && !COPIED.contains(&written) {
            return Verdict::Silent;
        }
        if step.thread == 0 && written == spr::LPIDR {
            self.switched = true;
        }
        let copies = step.thread != 0 && COPIED.contains(&written) && self.switched;
        let siblings = || worlds.iter().enumerate().filter(|(i, _)| *i != step.thread);
        if siblings().any(|(_, world)| *world == World::Host) {
            return Verdict::Broken("a sibling is the host's");
        }
        if !copies && siblings().any(|(_, world)| *world == World::Guest) {
            return Verdict::Broken("a sibling is in a guest");
        }
        Verdict::Kept
    }
}

/// How far a thread's switch of SDR1 and RMOR is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    /// LPIDR is written.
    Reserved,
    /// `ptesync` after it.
    Fenced,
    /// SDR1 or RMOR is written.
    Tables,
    /// LPIDR is written again.
    Named,
}

/// No translation is made by one space's table under the other's LPID.
#[derive(Default)]
pub struct Space([Stage; THREADS]);

impl Rule for Space {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        let stage = &mut self.0[step.thread];
        let before = *stage;
        let copies = step.thread != 0;
        match step.op {
            Op::WriteSpr(spr::LPIDR) => {
                *stage = match before {
                    Stage::Tables => Stage::Named,
                    _ => Stage::Reserved,
                }
            }
            Op::Ptesync if before == Stage::Reserved => *stage = Stage::Fenced,
            Op::WriteSpr(spr::SDR1 | spr::RMOR) => {
                *stage = Stage::Tables;
                if !copies && !matches!(before, Stage::Fenced | Stage::Tables) {
                    return Verdict::Broken("no LPIDR and ptesync before it");
                }
            }
            Op::Tlbiel if before == Stage::Named => {
                return Verdict::Broken("no isync after LPIDR");
            }
            op if op.synchronizes() && before != Stage::Tables => {
                *stage = Stage::Idle;
                if before == Stage::Named {
                    return Verdict::Kept;
                }
            }
            _ => {}
        }
        if step.to.is_some() && matches!(*stage, Stage::Tables | Stage::Named) {
            *stage = Stage::Idle;
            return Verdict::Broken("SDR1 or RMOR changed, and not LPIDR and isync after it");
        }
        Verdict::Silent
    }
}

/// Sets of a core's TLB.
const SETS: u32 = 512;

/// Translations of an LPID's last owner are forgotten.
#[derive(Default)]
pub struct Tlb {
    /// Since the host had more than thread 0.
    flushed: bool,
    /// Of the one thread that does it: `tlbiel`s since the `ptesync`.
    fenced: bool,
    sets: u32,
    done: bool,
}

impl Rule for Tlb {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        if step.thread != 0 && step.to == Some(World::Host) {
            self.flushed = false;
        }
        if step.to == Some(World::Guest) && !self.flushed {
            self.flushed = true;
            return Verdict::Broken("a guest before the first tlbiel");
        }
        match step.op {
            Op::Tlbiel if !self.fenced => return Verdict::Broken("no ptesync before it"),
            Op::Tlbiel => self.sets += 1,
            Op::Ptesync if step.thread == 0 || self.sets > 0 => {
                self.fenced = true;
                self.done = self.sets > 0;
                let all = self.sets == 0 || self.sets == SETS;
                self.sets = 0;
                if !all {
                    return Verdict::Broken("not all sets");
                }
            }
            Op::Isync if self.done => {
                (self.done, self.flushed) = (false, true);
                return Verdict::Kept;
            }
            Op::WriteSpr(spr::LPIDR) => self.fenced = false,
            _ => {}
        }
        if step.to.is_some() && (self.done || self.sets > 0) {
            (self.done, self.sets) = (false, 0);
            return Verdict::Broken("no ptesync and isync after tlbiel");
        }
        Verdict::Silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{breaks, keeps};

    #[test]
    fn shared_registers() {
        keeps::<Shared>(
            "0 < host; 0 mtspr LPIDR; 0 hrfid > guest; 1 < nap; 1 mtspr LPIDR; 1 mtspr SDR1",
        );
        keeps::<Shared>("0 < guest; 1 nap > nap; 0 mtspr HRMOR");
        breaks::<Shared>("1 hrfid > guest; 0 < host; 0 mtspr SDR1");
        breaks::<Shared>("1 hrfid > guest; 0 < host; 0 mtspr HRMOR");
        breaks::<Shared>("0 blr > host; 1 < nap; 1 mtspr LPIDR");
        breaks::<Shared>("0 mtspr LPIDR; 0 blr > host; 0 < host; 0 hrfid > guest; 1 mtspr LPIDR");
        breaks::<Shared>("0 mtspr LPIDR; 0 hrfid > guest; 1 < nap; 1 mtspr HID0");
    }

    #[test]
    fn spaces() {
        let switch = "0 mtspr LPIDR; 0 ptesync; 0 mtspr SDR1; 0 mtspr RMOR; 0 mtspr LPIDR; 0 ";
        keeps::<Space>(&format!("{switch} isync; 0 blr > host"));
        keeps::<Space>(&format!("{switch} hrfid > guest"));
        keeps::<Space>("1 mtspr SDR1; 1 mtspr RMOR; 1 mtspr LPIDR; 1 hrfid > guest");
        breaks::<Space>(&format!("{switch} blr > host"));
        breaks::<Space>(&format!("{switch} tlbiel"));
        breaks::<Space>("0 mtspr SDR1; 0 mtspr RMOR; 0 mtspr LPIDR; 0 isync");
        breaks::<Space>("0 mtspr LPIDR; 0 mtspr SDR1; 0 mtspr LPIDR; 0 isync");
        breaks::<Space>("0 mtspr LPIDR; 0 ptesync; 0 mtspr SDR1; 0 isync; 0 hrfid > guest");
        breaks::<Space>("1 mtspr LPIDR; 1 mtspr SDR1; 1 mtspr RMOR; 1 hrfid > guest");
    }

    #[test]
    fn translations() {
        let all = "0 tlbiel; ".repeat(SETS as usize);
        let good = format!("0 ptesync; {all} 0 ptesync; 0 isync; 0 hrfid > guest");
        keeps::<Tlb>(&good);
        breaks::<Tlb>("0 hrfid > guest");
        breaks::<Tlb>(&format!("{good}; 1 hrfid > host; 0 hrfid > guest"));
        breaks::<Tlb>(&format!("0 ptesync; 0 tlbiel; {all} 0 ptesync; 0 isync"));
        breaks::<Tlb>("0 ptesync; 0 tlbiel; 0 ptesync; 0 isync");
        breaks::<Tlb>(&format!("{all} 0 ptesync; 0 isync"));
        breaks::<Tlb>(&format!(
            "0 ptesync; 0 mtspr LPIDR; {all} 0 ptesync; 0 isync"
        ));
        breaks::<Tlb>(&format!("0 ptesync; {all} 0 ptesync; 0 hrfid > guest"));
        breaks::<Tlb>(&format!("0 ptesync; {all} 0 isync; 0 nap > nap"));
    }
}

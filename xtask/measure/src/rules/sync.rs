//! Rules of what must stand between a change and whatever depends on it.
use asm::spr;

use super::decode::Op;
use super::flow::{Step, THREADS, World};
use super::rule::{Rule, Verdict};

/// Registers whose new values count from the next context synchronization on.
const CONTEXT: [u16; 17] = [
    spr::SDR1,
    spr::RMOR,
    spr::HRMOR,
    spr::LPCR,
    spr::LPIDR,
    spr::PCR,
    spr::AMOR,
    spr::HFSCR,
    spr::FSCR,
    spr::DAWR,
    spr::DAWRX,
    spr::CIABR,
    spr::AMR,
    spr::IAMR,
    spr::UAMOR,
    spr::PID,
    spr::HID0,
];

/// A host goes on, or a thread naps, by what was written.
#[derive(Default)]
pub struct Context {
    /// Of each thread: something was written that matters to a host, to a nap.
    changed: [bool; THREADS],
    changed_for_nap: [bool; THREADS],
}

impl Rule for Context {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        let changed = &mut self.changed[step.thread];
        let for_nap = &mut self.changed_for_nap[step.thread];
        match step.op {
            Op::WriteSpr(written) if CONTEXT.contains(&written) => {
                *changed = true;
                *for_nap |= written == spr::LPCR || written == spr::HRMOR;
            }
            op if op.synchronizes() && *changed => {
                (*changed, *for_nap) = (false, false);
                return Verdict::Kept;
            }
            _ => {}
        }
        match step.to {
            Some(World::Host) if *changed => Verdict::Broken("no isync before the host"),
            Some(World::Napping) if *for_nap => {
                *for_nap = false;
                Verdict::Broken("no isync before nap")
            }
            _ => Verdict::Silent,
        }
    }
}

/// How far a thread is that has changed HRMOR.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    Written,
    Synchronized,
    /// Translations under the old one are forgotten.
    Flushed,
}

/// Translations that a thread has made under another HRMOR are forgotten.
#[derive(Default)]
pub struct Hrmor([Stage; THREADS]);

impl Rule for Hrmor {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        let stage = &mut self.0[step.thread];
        match (step.op, *stage) {
            (Op::WriteSpr(spr::HRMOR), _) => *stage = Stage::Written,
            (Op::WriteSpr(spr::LPIDR) | Op::Slbia | Op::Tlbiel, Stage::Synchronized) => {
                *stage = Stage::Flushed;
            }
            (op, Stage::Written) if op.synchronizes() => *stage = Stage::Synchronized,
            (op, Stage::Flushed) if op.synchronizes() => {
                *stage = Stage::Idle;
                return Verdict::Kept;
            }
            _ => {}
        }
        if step.to.is_some() && *stage != Stage::Idle {
            *stage = Stage::Idle;
            return Verdict::Broken("translations under the old HRMOR are left");
        }
        Verdict::Silent
    }
}

/// Reads that follow a write to HID0.
const HID0_READS: u8 = 6;

/// The sequence for HID0.
#[derive(Default)]
pub struct Hid0 {
    /// Of each thread: `sync` was the last instruction but for others that don't count.
    synced: [bool; THREADS],
    /// Reads that are still owed, and the `isync`.
    owed: [Option<u8>; THREADS],
}

impl Rule for Hid0 {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        let (synced, owed) = (&mut self.synced[step.thread], &mut self.owed[step.thread]);
        let was_synced = *synced;
        *synced = step.op == Op::Sync || was_synced && step.op == Op::Other;
        match (step.op, *owed) {
            (Op::WriteSpr(spr::HID0), _) => {
                *owed = Some(HID0_READS);
                match was_synced {
                    true => Verdict::Silent,
                    false => Verdict::Broken("no sync before it"),
                }
            }
            (Op::ReadSpr(spr::HID0), Some(reads)) => {
                *owed = Some(reads.saturating_sub(1));
                Verdict::Silent
            }
            (Op::Isync, Some(0)) => {
                *owed = None;
                Verdict::Kept
            }
            (Op::Other, _) | (_, None) => Verdict::Silent,
            _ => {
                *owed = None;
                Verdict::Broken("no six reads and isync after it")
            }
        }
    }
}

/// Segments are looked up as they were until the context is synchronized.
#[derive(Default)]
pub struct Slb([bool; THREADS]);

impl Rule for Slb {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        let changed = &mut self.0[step.thread];
        match step.op {
            Op::Slbmte | Op::Slbie | Op::Slbia => *changed = true,
            op if op.synchronizes() && *changed => {
                *changed = false;
                return Verdict::Kept;
            }
            _ => {}
        }
        if step.to.is_some() && std::mem::take(changed) {
            return Verdict::Broken("no isync after slbmte, slbie or slbia");
        }
        Verdict::Silent
    }
}

/// How far a thread is that has every other one forget a translation.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Forgetting {
    /// Nothing is under way, and stores may not have been performed yet.
    #[default]
    None,
    Fenced,
    /// `tlbie` was executed: once, or for several translations.
    Asked,
    Ordered,
    Awaited,
}

impl Forgetting {
    fn after(self, op: Op) -> Result<Self, &'static str> {
        match (op, self) {
            (Op::Tlbie, Self::None) => Err("no ptesync since the last store"),
            (Op::Tlbie, Self::Fenced | Self::Asked) => Ok(Self::Asked),
            (Op::Eieio, Self::Asked) => Ok(Self::Ordered),
            (Op::Tlbsync, Self::Ordered) => Ok(Self::Awaited),
            (Op::Ptesync, Self::None | Self::Awaited) => Ok(Self::Fenced),
            (Op::Store(_) | Op::OtherStore | Op::Conditional, Self::None | Self::Fenced) => {
                Ok(Self::None)
            }
            (Op::Store(_) | Op::OtherStore | Op::Conditional, _) => {
                Err("a store between tlbie and its last ptesync")
            }
            (
                Op::Tlbie | Op::Tlbsync | Op::Ptesync,
                Self::Asked | Self::Ordered | Self::Awaited,
            ) => Err("not tlbie, eieio, tlbsync, ptesync"),
            _ => Ok(self),
        }
    }
}

/// An entry of a page table that is gone is gone for all, with whatever was done by it, before anything else is
/// made of it.
#[derive(Default)]
pub struct Tlbie([Forgetting; THREADS]);

impl Rule for Tlbie {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        let stage = &mut self.0[step.thread];
        let before = std::mem::take(stage);
        match before.after(step.op) {
            Err(why) => Verdict::Broken(why),
            Ok(Forgetting::None | Forgetting::Fenced) if step.to.is_some() => Verdict::Silent,
            Ok(_) if step.to.is_some() => Verdict::Broken("no eieio, tlbsync, ptesync after tlbie"),
            Ok(after) => {
                *stage = after;
                match (before, after) {
                    (Forgetting::Awaited, Forgetting::Fenced) => Verdict::Kept,
                    _ => Verdict::Silent,
                }
            }
        }
    }
}

/// How far a thread is that has changed code.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Change {
    #[default]
    None,
    Stored,
    StoredSynced,
    Invalidated,
    InvalidatedSynced,
}

/// Changed instructions are fetched anew.
#[derive(Default)]
pub struct Code([Change; THREADS]);

impl Rule for Code {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        let change = &mut self.0[step.thread];
        *change = match (step.op, *change) {
            (Op::Dcbst, Change::None | Change::Stored) => Change::Stored,
            (Op::Sync, Change::Stored) => Change::StoredSynced,
            (Op::Icbi, Change::StoredSynced | Change::Invalidated) => Change::Invalidated,
            (Op::Sync, Change::Invalidated) => Change::InvalidatedSynced,
            (Op::Isync, Change::InvalidatedSynced) => {
                *change = Change::None;
                return Verdict::Kept;
            }
            (Op::Dcbst | Op::Icbi, _) => {
                *change = Change::None;
                return Verdict::Broken("not dcbst, sync, icbi, sync, isync");
            }
            (_, before) => before,
        };
        if step.to.is_some() && std::mem::take(change) != Change::None {
            return Verdict::Broken("no icbi, sync, isync after dcbst");
        }
        Verdict::Silent
    }
}

/// Whoever hears a doorbell sees what was stored before it was rung.
#[derive(Default)]
pub struct Doorbell([bool; THREADS]);

impl Rule for Doorbell {
    fn step(&mut self, step: &Step, _: &[World; THREADS]) -> Verdict {
        let synced = &mut self.0[step.thread];
        match step.op {
            Op::Sync => *synced = true,
            Op::Store(_) | Op::OtherStore | Op::Conditional => *synced = false,
            Op::Msgsnd if *synced => return Verdict::Kept,
            Op::Msgsnd => return Verdict::Broken("no sync since the last store"),
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
    fn contexts() {
        keeps::<Context>("0 mtspr LPCR; 0 isync; 0 nap > nap");
        keeps::<Context>("0 mtspr HFSCR; 0 hrfid > guest");
        keeps::<Context>("0 mtspr HFSCR; 0 mtmsrd; 0 blr > host");
        breaks::<Context>("0 mtspr LPCR; 0 nap > nap");
        breaks::<Context>("0 mtspr LPCR; 1 isync; 0 sync; 0 nap > nap");
        breaks::<Context>("0 mtspr HFSCR; 0 blr > host");
    }

    #[test]
    fn real_mode_offsets() {
        keeps::<Hrmor>("0 mtspr HRMOR; 0 isync; 0 slbia; 0 isync; 0 blr > host");
        keeps::<Hrmor>("0 mtspr HRMOR; 0 mtmsrd; 0 mtspr LPIDR; 0 hrfid > guest");
        breaks::<Hrmor>("0 mtspr HRMOR; 0 isync; 0 blr > host");
        breaks::<Hrmor>("0 mtspr HRMOR; 0 slbia; 0 isync; 0 hrfid > guest");
        breaks::<Hrmor>("0 mtspr HRMOR; 0 isync; 0 slbia; 0 nap > nap");
    }

    #[test]
    fn implementation_dependent_register() {
        let reads = "0 mfspr HID0; ".repeat(6);
        keeps::<Hid0>(&format!("0 sync; 0 nop; 0 mtspr HID0; {reads} 0 isync"));
        breaks::<Hid0>(&format!("0 mtspr HID0; {reads} 0 isync"));
        breaks::<Hid0>(&format!("0 sync; 0 std 0; 0 mtspr HID0; {reads} 0 isync"));
        breaks::<Hid0>(&format!("0 sync; 0 mtspr HID0; {reads} 0 blr > host"));
        breaks::<Hid0>("0 sync; 0 mtspr HID0; 0 mfspr HID0; 0 isync");
    }

    #[test]
    fn segments() {
        keeps::<Slb>("0 slbmte; 0 slbia; 0 isync; 0 nap > nap");
        keeps::<Slb>("0 slbmte; 0 hrfid > guest");
        breaks::<Slb>("0 slbmte; 0 blr > host");
        breaks::<Slb>("0 slbia; 1 isync; 0 nap > nap");
    }

    #[test]
    fn entries_of_page_tables() {
        let end = "0 eieio; 0 tlbsync; 0 ptesync; 0 std 0; 0 hrfid > guest";
        keeps::<Tlbie>(&format!("0 std 0; 0 ptesync; 0 ld 0; 0 tlbie; {end}"));
        keeps::<Tlbie>(&format!("0 ptesync; 0 tlbie; 0 nop; 0 tlbie; {end}"));
        keeps::<Tlbie>(&format!("0 ptesync; 0 tlbie; 1 std 0; 1 blr > host; {end}"));
        keeps::<Tlbie>(
            "0 ptesync; 0 tlbie; 0 eieio; 0 tlbsync; 0 ptesync; 0 nop; 0 tlbie; 0 eieio; 0 tlbsync; 0 ptesync",
        );
        breaks::<Tlbie>(&format!("0 tlbie; {end}"));
        breaks::<Tlbie>(&format!("1 ptesync; 0 tlbie; {end}"));
        breaks::<Tlbie>(&format!("0 ptesync; 0 std 0; 0 tlbie; {end}"));
        breaks::<Tlbie>(&format!("0 ptesync; 0 stwcx.; 0 sync; 0 tlbie; {end}"));
        breaks::<Tlbie>(&format!(
            "0 ptesync; 0 hrfid > guest; 0 < guest; 0 tlbie; {end}"
        ));
        breaks::<Tlbie>(&format!("0 ptesync; 0 tlbie; 0 std 0; {end}"));
        for short in [
            "tlbie; 0 tlbsync; 0 ptesync",
            "tlbie; 0 eieio; 0 ptesync",
            "tlbie; 0 ptesync",
            "tlbie; 0 eieio; 0 tlbie; 0 tlbsync; 0 ptesync",
            "tlbie; 0 tlbsync; 0 eieio; 0 ptesync",
            "tlbie; 0 eieio; 0 tlbsync; 0 std 0; 0 ptesync",
            "tlbie; 0 hrfid > guest",
            "tlbie; 0 eieio; 0 blr > host",
            "tlbie; 0 eieio; 0 tlbsync; 0 nap > nap",
            "tlbie; 0 eieio; 0 tlbsync; 0 hrfid > guest",
        ] {
            breaks::<Tlbie>(&format!("0 ptesync; 0 {short}"));
        }
        // What went before has nothing to do with the next one.
        keeps::<Tlbie>(&format!(
            "0 nap > nap; 0 < nap; 0 tlbsync; 0 ptesync; 0 tlbie; {end}"
        ));
    }

    #[test]
    fn changed_code() {
        keeps::<Code>("0 dcbst; 0 sync; 0 icbi; 0 sync; 0 isync");
        keeps::<Code>("0 dcbst; 0 bne; 0 dcbst; 0 sync; 0 nop; 0 icbi; 0 sync; 0 isync");
        breaks::<Code>("0 dcbst; 0 icbi; 0 sync; 0 isync");
        breaks::<Code>("0 icbi; 0 isync");
        breaks::<Code>("0 dcbst; 0 sync; 0 icbi; 0 isync; 0 blr > host");
        breaks::<Code>("0 dcbst; 0 isync; 0 hrfid > guest");
    }

    #[test]
    fn doorbells() {
        keeps::<Doorbell>("0 std 0; 0 sync; 0 nop; 0 msgsnd");
        breaks::<Doorbell>("0 msgsnd");
        breaks::<Doorbell>("0 sync; 0 std 0; 0 msgsnd");
        breaks::<Doorbell>("1 sync; 0 msgsnd");
    }
}

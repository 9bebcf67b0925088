//! Small logs, by hand: `0 mtspr LPIDR; 1 < nap; 1 hrfid > guest`.
//!
//! Each entry has a thread, where it comes from (`<`) if it was elsewhere, an instruction, and where
//! the thread goes (`>`) if it leaves the firmware.
use asm::spr;

use super::decode::decode;
use super::flow::{Step, THREADS, World};
use super::rule::{Rule, Verdict};
use crate::bench::code::BASE;

/// Where the first instruction lies: the vector of `sc 1`.
const FIRST: u64 = BASE + 0xc00;

fn world(name: &str) -> World {
    match name {
        "guest" => World::Guest,
        "host" => World::Host,
        "astray" => World::Astray,
        "nap" => World::Napping,
        _ => panic!("no world is called {name}"),
    }
}

fn number(register: &str) -> u32 {
    let number = match register {
        "LPIDR" => spr::LPIDR,
        "SDR1" => spr::SDR1,
        "RMOR" => spr::RMOR,
        "HRMOR" => spr::HRMOR,
        "HID0" => spr::HID0,
        "LPCR" => spr::LPCR,
        "HFSCR" => spr::HFSCR,
        "MMCR0" => spr::MMCR0,
        "MMCR2" => spr::MMCR2,
        "PMC1" => spr::PMC1,
        "PMC6" => spr::PMC6,
        "SIER" => spr::SIER,
        "HMER" => spr::HMER,
        "TFHAR" => spr::TFHAR,
        "TEXASR" => spr::TEXASR,
        "DEC" => spr::DEC,
        _ => panic!("no register is called {register}"),
    };
    u32::from(number)
}

fn word(text: &str) -> u32 {
    let words: Vec<_> = text.split_whitespace().collect();
    let of_spr = |opcode: u32, register| {
        let number = number(register);
        opcode | (number & 31) << 16 | number >> 5 << 11
    };
    let memory = |opcode: u32, place: &str| opcode | place.parse::<u32>().expect("a displacement");
    match words[..] {
        [] | ["nop"] => 0x6000_0000,
        ["mtspr", register] => of_spr(0x7c00_03a6, register),
        ["mfspr", register] => of_spr(0x7c00_02a6, register),
        ["ld", place] => memory(0xe80d_0000, place),
        ["std", place] => memory(0xf80d_0000, place),
        ["cmpd", register] => 0x7c20_0000 | register.parse::<u32>().expect("a register") << 11,
        ["mtmsrd"] => 0x7c00_0164,
        ["isync"] => 0x4c00_012c,
        ["sync"] => 0x7c00_04ac,
        ["ptesync"] => 0x7c40_04ac,
        ["tlbiel"] => 0x7c00_4a24,
        ["tlbie"] => 0x7d40_4a64,
        ["tlbsync"] => 0x7c00_046c,
        ["eieio"] => 0x7c00_06ac,
        ["slbia"] => 0x7c00_03e4,
        ["slbmte"] => 0x7c00_0324,
        ["nap"] => 0x4c00_0364,
        ["hrfid"] => 0x4c00_0224,
        ["blr"] => 0x4e80_0020,
        ["bne"] => 0x4082_fffc,
        ["lwarx"] => 0x7c00_0028,
        ["stwcx."] => 0x7c00_012d,
        ["dcbst"] => 0x7c00_006c,
        ["icbi"] => 0x7c00_07ac,
        ["msgsnd"] => 0x7c00_499c,
        ["treclaim."] => 0x7c00_075d,
        ["tbegin."] => 0x7c00_051d,
        _ => panic!("no instruction is called {text}"),
    }
}

/// An entry, and what it does to who has the threads.
fn step(entry: &str, pc: u64, worlds: &mut [World; THREADS]) -> Step {
    let (entry, to) = match entry.split_once('>') {
        Some((entry, to)) => (entry, Some(world(to.trim()))),
        None => (entry, None),
    };
    let (thread, rest) = entry.trim().split_once(' ').expect("a thread");
    let thread: usize = thread.parse().expect("a thread's number");
    let (from, text) = match rest.split_once('<') {
        Some((_, rest)) => {
            let (from, text) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
            (Some(world(from)), text)
        }
        None => (None, rest),
    };
    worlds[thread] = to.unwrap_or(World::Firmware);
    Step {
        core: 0,
        thread,
        pc,
        op: decode(word(text)),
        from,
        to,
    }
}

/// What a rule says of each entry.
fn verdicts<R: Rule + Default>(log: &str) -> Vec<Verdict> {
    let mut worlds = [World::Firmware; THREADS];
    let mut rule = R::default();
    let entries = log.split(';').zip((FIRST..).step_by(4));
    entries
        .map(|(entry, pc)| {
            let step = step(entry, pc, &mut worlds);
            rule.step(&step, &worlds)
        })
        .collect()
}

/// The log has something that the rule asks for, and nothing that breaks it.
#[track_caller]
pub fn keeps<R: Rule + Default>(log: &str) {
    let verdicts = verdicts::<R>(log);
    let broken = verdicts.iter().find(|v| matches!(v, Verdict::Broken(_)));
    assert_eq!(broken, None, "{log}");
    assert!(verdicts.contains(&Verdict::Kept), "never applied: {log}");
}

/// The rule finds that the log breaks it.
#[track_caller]
pub fn breaks<R: Rule + Default>(log: &str) {
    let verdicts = verdicts::<R>(log);
    let broken = verdicts.iter().any(|v| matches!(v, Verdict::Broken(_)));
    assert!(broken, "not found: {log}");
}

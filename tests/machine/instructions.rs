//! Sequences of instructions that POWER8 needs and QEMU does without, looked for in the image.
use libtest_mimic::Trial;
use tests::images;
use xtask::symbols;

use crate::{Outcome, trial};

const NAP: u32 = 0x4c00_0364;
const HRFID: u32 = 0x4c00_0224;
const ISYNC: u32 = 0x4c00_012c;
const PTESYNC: u32 = 0x7c40_04ac;
/// `bne` to the instruction before it.
const BNE_BACK: u32 = 0x4082_fffc;
/// `mtspr CFAR` and `stdcx.`, each with the bits that are neither a register's.
const SET_CFAR: (u32, u32) = (0x7c1c_03a6, 0xfc1f_ffff);
const END_RESERVATION: (u32, u32) = (0x7c00_01ad, 0xfc00_07ff);
/// How far before a nap LPCR's write is made effective.
const NAP_SEQUENCE: usize = 7;
/// The firmware is linked past HRMOR, at this address of real memory (decision 12).
const LINKED_AT: u64 = 0x8000_0000_3000_0000;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("instructions::nap", naps),
        trial("instructions::guest-entry", guest_entry),
        trial("instructions::cache-flush", cache_flush),
    ]
}

/// `ld r6, 0(r5)`; `addi r5, r5, 128`; `bdnz` to the first: a load from each line of the L1 data cache.
const FLUSH: [u32; 3] = [0xe8c5_0000, 0x38a5_0080, 0x4200_fff8];
/// `li r4, 1024`, some instructions before it: as many lines as twice the cache has.
const FLUSH_LINES: u32 = 0x3880_0400;
const FLUSH_BEGINS: usize = 6;

/// The mitigations' way into a guest (L9) reads one word of each line of 128 bytes, of twice the cache;
/// how many instructions that takes is counted by `budgets::mitigations`, whatever their stride.
fn cache_flush() -> Outcome {
    let words = image();
    let mut windows = words.array_windows();
    let at = windows.position(|window| *window == FLUSH);
    let at = at.ok_or("no loop that reads a cache line by line")?;
    match at.checked_sub(FLUSH_BEGINS).map(|begin| words[begin]) {
        Some(FLUSH_LINES) => Ok(()),
        other => Err(format!("how many lines are read: {other:x?}")),
    }
}

fn image() -> Vec<u32> {
    let image = images::read("catnap.lid");
    let words = image.as_chunks().0;
    words.iter().copied().map(u32::from_be_bytes).collect()
}

/// What each nap in the image lacks (Power ISA 2.07 Book III-S 3.3.2): what was written to LPCR is in effect,
/// and all stores are done, by a load after them that the nap waits for.
fn naps() -> Outcome {
    let words = image();
    let places: Vec<usize> = (NAP_SEQUENCE..words.len())
        .filter(|&at| words[at] == NAP)
        .collect();
    let wrong: Vec<String> = places
        .iter()
        .filter_map(|&at| Some((at, nap_lacks(&words[at - NAP_SEQUENCE..at])?)))
        .map(|(at, what)| format!("{:#x}: nap without {what}", 4 * at))
        .collect();
    match (places.len(), wrong.is_empty()) {
        // At reset, `nap` and `nap_for_good`.
        (3, true) => Ok(()),
        (3, false) => Err(wrong.join("\n")),
        (count, _) => Err(format!("{count} naps, not 3")),
    }
}

/// What a nap after these instructions lacks.
fn nap_lacks(before: &[u32]) -> Option<&'static str> {
    let [start @ .., ptesync, load, compare, branch] = before else {
        return Some("anything before it");
    };
    // `ld` or `lwz`, and `cmpd` of one register with itself.
    let is_load = matches!(load >> 26, 32 | 58);
    let loaded = load >> 21 & 31;
    let compares = *compare == 0x7c20_0000 | loaded << 16 | loaded << 11;
    match () {
        () if !start.contains(&ISYNC) => Some("isync"),
        () if *ptesync != PTESYNC => Some("ptesync"),
        () if !is_load => Some("a load"),
        () if !compares || *branch != BNE_BACK => Some("a branch on what was loaded"),
        () => None,
    }
}

/// On every way into a guest CFAR is made to name no place of the firmware, and the reservation that a failed
/// compare-and-swap leaves is ended.
fn guest_entry() -> Outcome {
    let words = image();
    let elf = images::read("catnap.elf");
    let [start] = symbols::functions(&elf, "guest_resume").map_err(|why| why.to_string())?[..]
    else {
        return Err("not one guest_resume".into());
    };
    let start = (start - LINKED_AT) as usize / 4;
    let way = words[start..].split(|&word| word == HRFID).next();
    let way = way.unwrap_or_default();
    for ((needed, bits), what) in [(SET_CFAR, "mtspr CFAR"), (END_RESERVATION, "stdcx.")] {
        if !way.iter().any(|word| word & bits == needed) {
            return Err(format!("no {what} from guest_resume to its hrfid"));
        }
    }
    Ok(())
}

//! Where a round trip's instructions go: functions, and labels in assembly.
use std::collections::HashMap;

use anyhow::Result;

use super::code::{Block, Code};
use super::report::digits;
use super::stretch::Round;

/// Thread 0's instructions, and all secondaries'.
type Counts = [u64; 2];

/// The most blocks that are shown.
const MOST: usize = 120;

/// What a run's instructions are for, in the order in which it needs them.
const PARTS: [&str; 11] = [
    "the host's call: its general registers, the results",
    "checks, and finding records",
    "roster: which vcpus run",
    "seats: which thread runs which vcpu",
    "world switch: the host's hypervisor registers",
    "entry word: who is in, who comes out",
    "IPIs, naps and wake-ups",
    "the guest's general registers, and interrupts",
    "the guest's other registers",
    "why vcpus came out, times and counts",
    "waiting for all threads",
];

/// The place in [`PARTS`] of a block of a run.
fn part(block: &Block) -> usize {
    match (&*block.file, &*block.name) {
        ("asm", "opal_entry" | "return_from_run") => 0,
        ("asm", "took_reset" | "woken" | "nap" | "nap_return" | "nap_for_good") => 6,
        ("asm", _) => 7,
        ("vcore/roster.rs", _) => 2,
        ("vcore/seating.rs", _) => 3,
        ("world.rs", _) => 4,
        ("vcore/entry.rs" | "vcore/start.rs", _) => 5,
        ("xics.rs" | "mmio.rs", _) | ("smt/run.rs", "call") => 6,
        ("guest.rs" | "guest/facility.rs" | "guest/slb.rs", _) => 8,
        ("smt/fates.rs", _) | ("smt/run.rs", "count" | "add") => 9,
        ("smt/leave.rs", "note_exit" | "note_first" | "note_reason") | ("smt/seat.rs", "tell") => 9,
        ("smt/run.rs", "wait") => 10,
        _ => 1,
    }
}

/// What a run's instructions are for: each is counted once.
pub fn parts(what: &str, round: &Round, firmware: &[u8]) -> Result<String> {
    let mut counts = [[0; 2]; PARTS.len()];
    for (block, [runner, others]) in blocks(round, firmware)? {
        let [of_runner, of_others] = &mut counts[part(&block)];
        *of_runner += runner;
        *of_others += others;
    }
    let rows = PARTS.into_iter().map(str::to_string).zip(counts);
    Ok(table(what, "what for", rows))
}

/// The functions and labels of these stretches, the largest first.
pub fn functions(what: &str, round: &Round, firmware: &[u8]) -> Result<String> {
    let mut blocks: Vec<_> = blocks(round, firmware)?.into_iter().collect();
    blocks.sort_by_key(|(block, [runner, others])| (u64::MAX - runner - others, block.clone()));
    let rows = blocks.into_iter().take(MOST);
    let rows = rows.map(|(Block { file, name }, counts)| (format!("{file:24} {name}"), counts));
    Ok(table(what, "function, or label in assembly", rows))
}

fn blocks(round: &Round, firmware: &[u8]) -> Result<HashMap<Block, Counts>> {
    let mut code = Code::read(firmware)?;
    let mut blocks = HashMap::<Block, Counts>::new();
    for stretch in round {
        for at in &stretch.steps {
            blocks.entry(code.block(*at)).or_default()[usize::from(stretch.cpu != 0)] += 1;
        }
    }
    Ok(blocks)
}

fn table(what: &str, names: &str, rows: impl Iterator<Item = (String, Counts)>) -> String {
    let mut lines = vec![
        format!("{what}, in instructions"),
        format!("  {:>9} {:>11}  {names}", "thread 0", "secondaries"),
    ];
    for (name, [runner, others]) in rows {
        let (runner, others) = (digits(runner), digits(others));
        lines.push(format!("  {runner:>9} {others:>11}  {name}"));
    }
    lines.join("\n")
}

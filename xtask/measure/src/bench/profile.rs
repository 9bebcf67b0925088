//! Where a round trip's instructions go: functions, and labels in assembly.
use std::collections::HashMap;

use anyhow::Result;

use super::code::{Block, Code};
use super::report::digits;
use super::stretch::Round;

/// Thread 0's instructions, and all secondaries'.
pub type Counts = [u64; 2];

/// The most blocks that are shown.
const MOST: usize = 120;

/// The functions and labels of these stretches, the largest first.
pub fn functions(what: &str, round: &Round, firmware: &[u8]) -> Result<String> {
    let mut blocks: Vec<_> = blocks(round, firmware)?.into_iter().collect();
    blocks.sort_by_key(|(block, [runner, others])| (u64::MAX - runner - others, block.clone()));
    let rows = blocks.into_iter().take(MOST);
    let rows = rows.map(|(Block { file, name }, counts)| (format!("{file:24} {name}"), counts));
    Ok(table(what, rows))
}

pub fn blocks(round: &Round, firmware: &[u8]) -> Result<HashMap<Block, Counts>> {
    let mut code = Code::read(firmware)?;
    let mut blocks = HashMap::<Block, Counts>::new();
    for stretch in round {
        for at in &stretch.steps {
            blocks.entry(code.block(*at)).or_default()[usize::from(stretch.cpu != 0)] += 1;
        }
    }
    Ok(blocks)
}

fn table(what: &str, rows: impl Iterator<Item = (String, Counts)>) -> String {
    let mut lines = vec![
        format!("{what}, in instructions"),
        format!(
            "  {:>9} {:>11}  function, or label in assembly",
            "thread 0", "secondaries"
        ),
    ];
    for (name, [runner, others]) in rows {
        let (runner, others) = (digits(runner), digits(others));
        lines.push(format!("  {runner:>9} {others:>11}  {name}"));
    }
    lines.join("\n")
}

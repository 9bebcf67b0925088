//! Where a round trip's instructions go: functions, and labels in assembly.
use std::collections::HashMap;

use anyhow::Result;

use super::code::{Block, Code};
use super::report::digits;
use super::rounds::Row;

/// Instructions of a block: thread 0's, and all secondaries'.
type Shares = HashMap<Block, [u64; 2]>;

/// A table for a row of round trips, the largest blocks first.
pub fn text(row: &Row, firmware: &[u8]) -> Result<String> {
    let mut code = Code::read(firmware)?;
    let mut shares = Shares::new();
    let round = row.usual()?;
    for stretch in round {
        for at in &stretch.steps {
            shares.entry(code.block(*at)).or_default()[usize::from(stretch.cpu != 0)] += 1;
        }
    }
    let mut shares: Vec<_> = shares.into_iter().collect();
    shares.sort_by_key(|(block, [runner, others])| (u64::MAX - runner - others, block.clone()));
    let total: u64 = shares.iter().flat_map(|(_, both)| both).sum();
    let mut lines = vec![
        format!("profile of `{}`: {} instructions", row.name, digits(total)),
        format!(
            "  {:>8} {:>11}  {:24} function or label",
            "thread 0", "secondaries", "file"
        ),
    ];
    for (Block { file, name }, [runner, others]) in shares {
        lines.push(format!(
            "  {:>8} {:>11}  {file:24} {name}",
            digits(runner),
            digits(others)
        ));
    }
    Ok(lines.join("\n"))
}

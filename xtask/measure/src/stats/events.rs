//! `trace`: how often each thread did what. [`crate::trace`] shows when.
use std::collections::BTreeMap;

use anyhow::Result;
use hcalls::trace::{Event, Trace};

use super::columns::{columns, heading};

pub fn show(bytes: &[u8]) -> Result<String> {
    let trace = Trace::read(bytes)?;
    let mut rows = vec![heading(&["thread", "records", "lost", "events"])];
    for ring in trace.rings() {
        let mut counts = BTreeMap::<u8, u64>::new();
        for record in ring.records() {
            *counts.entry(record.event).or_default() += 1;
        }
        let texts = counts
            .iter()
            .map(|(event, count)| format!("{} {count}", name(*event)));
        rows.push(vec![
            format!("{:#x}", ring.pir()),
            counts.values().sum::<u64>().to_string(),
            ring.lost().to_string(),
            texts.collect::<Vec<_>>().join(", "),
        ]);
    }
    let state = match trace.is_on() {
        true => "the trace is on",
        false => "the trace is off",
    };
    Ok(format!("{state}\n\n{}", columns(&rows)))
}

fn name(event: u8) -> String {
    Event::try_from(event).map_or_else(|_| event.to_string(), |it| format!("{it:?}"))
}

//! `opal_calls`: how often hosts made which call, and what it took.
use anyhow::{Context, Result};
use hcalls::call_log::{Count, Header, ThreadLog, Traced, VERSION};
use hcalls::trace::TB_HZ;
use zerocopy::FromBytes;
use zerocopy::big_endian::U32;

use super::columns::{columns, heading};
use crate::trace::names;

/// One thread's part.
struct Part<'a> {
    log: &'a ThreadLog,
    counts: &'a [Count],
}

pub fn show(bytes: &[u8]) -> Result<String> {
    read(bytes).context("cut short, or of another version")
}

fn read(bytes: &[u8]) -> Option<String> {
    let (header, rest) = Header::ref_from_prefix(bytes).ok()?;
    if header.version.get() != VERSION {
        return None;
    }
    let calls = header.calls.get() as usize;
    let traced = header.traced.get() as usize;
    // Padded to 8 bytes.
    let (tokens, mut rest) =
        <[U32]>::ref_from_prefix_with_elems(rest, calls.next_multiple_of(2)).ok()?;
    let mut parts = Vec::new();
    for _ in 0..header.threads.get() {
        let (log, after) = ThreadLog::ref_from_prefix(rest).ok()?;
        let (counts, after) = <[Count]>::ref_from_prefix_with_elems(after, calls).ok()?;
        let (_, after) = <[Traced]>::ref_from_prefix_with_elems(after, traced).ok()?;
        parts.push(Part { log, counts });
        rest = after;
    }
    Some(format!(
        "{}\n\n{}",
        of_calls(tokens, &parts),
        of_threads(&parts)
    ))
}

/// All threads together, those first that took most.
fn of_calls(tokens: &[U32], parts: &[Part<'_>]) -> String {
    let mut sums = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        let counts = || parts.iter().filter_map(|part| part.counts.get(place));
        let calls: u64 = counts().map(|count| count.calls.get()).sum();
        let total_tb: u64 = counts().map(|count| count.total_tb.get()).sum();
        let most_tb = counts().map(|count| count.most_tb.get()).max().unwrap_or(0);
        if calls > 0 {
            sums.push((token.get(), calls, total_tb, most_tb));
        }
    }
    sums.sort_by_key(|sum| u64::MAX - sum.2);
    let mut rows = vec![heading(&[
        "call",
        "times",
        "mean ns",
        "most ns",
        "in all µs",
    ])];
    rows.extend(sums.into_iter().map(|(token, calls, total_tb, most_tb)| {
        vec![
            names::of_call(token),
            calls.to_string(),
            ns(total_tb / calls),
            ns(most_tb),
            super::us(total_tb, TB_HZ),
        ]
    }));
    columns(&rows)
}

fn of_threads(parts: &[Part<'_>]) -> String {
    let mut rows = vec![heading(&["thread", "calls"])];
    let used = parts.iter().filter(|part| part.log.calls.get() > 0);
    rows.extend(used.map(|part| {
        let pir = part.log.pir.get();
        vec![format!("{pir:#x}"), part.log.calls.to_string()]
    }));
    columns(&rows)
}

fn ns(ticks: u64) -> String {
    (u128::from(ticks) * 1_000_000_000 / u128::from(TB_HZ)).to_string()
}

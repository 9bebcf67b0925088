//! `cargo xtask stats FILE`: what the firmware exports, as tables.
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use hcalls::{call_log, trace, vcore_table};

mod calls;
mod columns;
mod events;
mod vcores;

#[cfg(test)]
mod tests;

#[derive(Args)]
pub struct StatsOptions {
    /// A copy of a file below Linux's /sys/firmware/opal/exports: smt_stats, opal_calls or trace
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// The command.
pub fn stats(options: &StatsOptions) -> Result<ExitCode> {
    let path = &options.file;
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let text = show(&bytes).with_context(|| path.display().to_string())?;
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// What the bytes are is told by how they begin.
pub fn show(bytes: &[u8]) -> Result<String> {
    let magic = bytes.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    match magic {
        Some(vcore_table::MAGIC) => vcores::show(bytes),
        Some(call_log::MAGIC) => calls::show(bytes),
        Some(trace::MAGIC) => events::show(bytes),
        _ => bail!("neither smt_stats nor opal_calls nor trace of catnap's exports"),
    }
}

/// Ticks, in microseconds.
fn us(ticks: u64, tb_hz: u64) -> String {
    format!("{:.1}", ticks as f64 * 1e6 / tb_hz.max(1) as f64)
}

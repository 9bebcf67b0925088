//! `cargo xtask trace`: what each hardware thread did, as a picture and as a file for Perfetto.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use hcalls::trace::Trace;

use self::timeline::Timeline;
use crate::told::Told;
use xtask::guest;
use xtask::project::Workspace;
use xtask::qemu::Machine;
use xtask::run::{self, RunOptions};

pub mod names;
pub mod perfetto;
pub mod svg;
pub mod timeline;

#[cfg(test)]
mod tests;

/// The test host's behaviour that is made to be looked at.
pub const SCENARIO: &str = "timeline";
/// Has the test host tell the trace.
const TELL: &str = "tell=trace";
const LIMIT_S: u64 = 300;
/// Of a Linux guest's round trip: how much is shown.
const BEFORE_US: f64 = 10.0;
const AFTER_US: f64 = 40.0;

#[derive(Args)]
pub struct TraceOptions {
    /// Show this trace instead of making one: a copy of SMT_TRACE's memory, such as Linux's
    /// /sys/firmware/opal/exports/trace.
    #[arg(long, value_name = "FILE", conflicts_with = "test")]
    open: Option<PathBuf>,
    /// Show a Linux guest of eight threads at work, which all come out and go in again.
    #[arg(long, conflicts_with_all = ["open", "test"])]
    linux_guest: bool,
    /// Show another behaviour of the test host, from its beginning.
    #[arg(long, value_name = "NAME")]
    test: Option<String>,
    /// Show only what comes after so many microseconds.
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0.0)]
    from: f64,
    /// And before so many, from the same beginning.
    #[arg(long, value_name = "MICROSECONDS", default_value_t = f64::INFINITY, hide_default_value = true)]
    to: f64,
    /// Where the files go [default: target/catnap]
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
}

/// The command.
pub fn trace(options: &TraceOptions) -> Result<ExitCode> {
    let (bytes, title, note, code) = match &options.open {
        Some(path) => {
            let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            (bytes, format!("{}", path.display()), "", ExitCode::SUCCESS)
        }
        None => {
            let (bytes, title, code) = record(options)?;
            (bytes, title, note(&machine(options)), code)
        }
    };
    let timeline = read(&bytes)?;
    let (from, to) = match options.linux_guest && options.is_whole() {
        true => round_trip(&timeline).context("the guest's threads never were all at work")?,
        false => (options.from, options.to),
    };
    let timeline = timeline.part(from, to);
    let timeline = timeline.context("the trace has nothing between --from and --to")?;
    let out = match &options.out {
        Some(out) => out.clone(),
        None => Workspace::read()?.image_dir()?,
    };
    fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
    let json = serde_json::to_string(&perfetto::json(&timeline))? + "\n";
    write(&out.join("trace.bin"), &bytes)?;
    write(&out.join("trace.json"), json.as_bytes())?;
    write(
        &out.join("trace.svg"),
        svg::draw(&timeline, &escaped(&title), note).as_bytes(),
    )?;
    println!("trace: trace.json is for https://ui.perfetto.dev, trace.svg for any browser");
    for track in timeline.tracks.iter().filter(|track| track.lost > 0) {
        println!(
            "trace: of thread {:#x} the first {} records are gone",
            track.pir, track.lost
        );
    }
    Ok(code)
}

impl TraceOptions {
    /// No part is asked for.
    fn is_whole(&self) -> bool {
        self.from == 0.0 && self.to == f64::INFINITY
    }
}

/// The last time that all threads were in the guest and came out, and what follows, in microseconds: enough to
/// see them go in again.
pub fn round_trip(timeline: &Timeline) -> Option<(f64, f64)> {
    let last = timeline.last_end_of_all()?;
    let us = timeline.us(last);
    Some((us - BEFORE_US, us + AFTER_US))
}

/// The bytes of a trace, as a timeline.
pub fn read(bytes: &[u8]) -> Result<Timeline> {
    let trace = Trace::read(bytes)?;
    Timeline::of(&trace).context("nothing was recorded: the trace was never on")
}

/// Boots the test host and has it tell its trace: that, what to call it, and how the run ended. One that
/// has failed is worth looking at most.
fn record(options: &TraceOptions) -> Result<(Vec<u8>, String, ExitCode)> {
    if options.linux_guest {
        return record_linux(options);
    }
    let name = options.test.as_deref().unwrap_or(SCENARIO);
    let (words, title) = match &options.test {
        // The scenario switches the trace on by itself.
        None => (
            TELL.to_string(),
            "Eight vcpus on eight hardware threads, twice".to_string(),
        ),
        Some(name) => (format!("{TELL} catnap.trace=on"), name.clone()),
    };
    let wanted = &options.machine;
    let cores = wanted.cores.unwrap_or(2) * wanted.chips.unwrap_or(1);
    ensure!(
        options.test.is_some() || (wanted.threads.unwrap_or(8) == 8 && cores >= 2),
        "what is shown needs two cores of eight threads; --test NAME shows something else"
    );
    let mut console = Told::default();
    let run = RunOptions::of_test(name, words, LIMIT_S, machine(options));
    let code = run::run_to(&run, &mut console)?;
    Ok((console.bytes()?, title, code))
}

/// The same of a host that is a Linux, with a guest of eight threads.
fn record_linux(options: &TraceOptions) -> Result<(Vec<u8>, String, ExitCode)> {
    let mut console = Told::default();
    let code = guest::traced(&options.machine, &mut console)?;
    let title = "A Linux guest on eight hardware threads: all come out, and go in again";
    Ok((console.bytes()?, title.into(), code))
}

/// The machine as asked for; as a rule one whose runs are alike.
fn machine(options: &TraceOptions) -> Machine {
    let other = options.machine.mttcg || options.machine.single;
    Machine {
        icount: options.machine.icount || !other,
        ..options.machine.clone()
    }
}

/// What its times are, where that isn't what it seems.
fn note(machine: &Machine) -> &'static str {
    match machine.icount {
        true => {
            "time is QEMU's count of instructions: 1 µs is 1,000 of them, of all threads together"
        }
        false => "",
    }
}

/// For XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))?;
    println!("trace: wrote {}", path.display());
    Ok(())
}

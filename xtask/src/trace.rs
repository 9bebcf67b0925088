//! `cargo xtask trace`: what each hardware thread did, as a picture and as a file for Perfetto.
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use hcalls::trace::{Header, Trace};

use self::timeline::Timeline;
use crate::project::Workspace;
use crate::qemu::Machine;
use crate::run::{self, RunOptions};

mod names;
pub mod perfetto;
pub mod svg;
pub mod timeline;

#[cfg(test)]
mod tests;

/// The test host's behaviour that is made to be looked at.
pub const SCENARIO: &str = "timeline";
/// Has the test host tell the trace.
pub const TELL: &str = "tell=trace";
/// How it begins the lines.
const LINE: &str = "trace ";
/// The largest trace that is believed.
const MOST_BYTES: usize = 64 << 20;
const LIMIT_S: u64 = 300;

#[derive(Args)]
pub struct TraceOptions {
    /// Show this trace instead of making one: a copy of SMT_TRACE's memory, such as Linux's
    /// /sys/firmware/opal/exports/trace.
    #[arg(long, value_name = "FILE", conflicts_with = "test")]
    open: Option<PathBuf>,
    /// Show another behaviour of the test host, from its beginning.
    #[arg(long, value_name = "NAME")]
    test: Option<String>,
    /// Where the files go [default: target/catnap]
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
}

/// The command.
pub fn trace(options: &TraceOptions) -> Result<ExitCode> {
    let (bytes, title) = match &options.open {
        Some(path) => {
            let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            (bytes, format!("{}", path.display()))
        }
        None => match record(options)? {
            Some(recorded) => recorded,
            None => return Ok(ExitCode::FAILURE),
        },
    };
    let timeline = read(&bytes)?;
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
        svg::draw(&timeline, &escaped(&title)).as_bytes(),
    )?;
    println!("trace: trace.json is for https://ui.perfetto.dev, trace.svg for any browser");
    for track in timeline.tracks.iter().filter(|track| track.lost > 0) {
        println!(
            "trace: of thread {:#x} the first {} records are gone",
            track.pir, track.lost
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The bytes of a trace, as a timeline.
pub fn read(bytes: &[u8]) -> Result<Timeline> {
    let trace = Trace::read(bytes)?;
    Timeline::of(&trace).context("nothing was recorded: the trace was never on")
}

/// Boots the test host and has it tell its trace, and what to call it; none if it failed.
fn record(options: &TraceOptions) -> Result<Option<(Vec<u8>, String)>> {
    let name = options.test.as_deref().unwrap_or(SCENARIO);
    let (words, title) = match &options.test {
        // The scenario switches the trace on by itself.
        None => (
            TELL.to_string(),
            "Eight vcpus on eight hardware threads, twice".to_string(),
        ),
        Some(name) => (format!("{TELL} catnap.trace=on"), name.clone()),
    };
    let other = options.machine.mttcg || options.machine.single;
    let machine = Machine {
        icount: options.machine.icount || !other,
        ..options.machine.clone()
    };
    let mut console = Dump::default();
    let run = RunOptions::of_test(name, words, LIMIT_S, machine);
    let code = run::run_to(&run, &mut console)?;
    match code == ExitCode::SUCCESS {
        true => Ok(Some((console.bytes()?, title))),
        false => Ok(None),
    }
}

/// The console, without the lines that tell the trace: what these tell.
#[derive(Default)]
pub struct Dump {
    line: Vec<u8>,
    pieces: Vec<(usize, Vec<u8>)>,
}

impl Write for Dump {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            self.line.push(byte);
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                if !self.take(String::from_utf8_lossy(&line).trim_end()) {
                    io::stdout().write_all(&line)?;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

impl Dump {
    /// A line of the console; whether it tells of the trace.
    pub fn take(&mut self, line: &str) -> bool {
        let piece = line.strip_prefix(LINE).and_then(piece);
        let tells = piece.is_some();
        self.pieces.extend(piece);
        tells
    }

    /// All of the trace, with zeros where nothing was told.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let first = self
            .pieces
            .iter()
            .take_while(|(at, _)| *at < size_of::<Header>());
        let start: Vec<u8> = first.flat_map(|(_, bytes)| bytes.clone()).collect();
        let Ok((header, _)) = <Header as zerocopy::FromBytes>::read_from_prefix(&start) else {
            bail!("the test host told no trace");
        };
        let rings = header.rings.get() as usize * header.ring_bytes.get() as usize;
        let len_bytes = header.header_bytes.get() as usize + rings;
        ensure!(len_bytes <= MOST_BYTES, "a trace of {len_bytes} bytes");
        let mut all = vec![0; len_bytes];
        for (at, bytes) in &self.pieces {
            let place = all.get_mut(*at..at + bytes.len());
            place
                .context("a piece of the trace lies outside of it")?
                .copy_from_slice(bytes);
        }
        Ok(all)
    }
}

/// An offset and bytes, both in hexadecimal.
fn piece(text: &str) -> Option<(usize, Vec<u8>)> {
    let (at, digits) = text.split_once(' ')?;
    let at = usize::from_str_radix(at, 16)
        .ok()
        .filter(|at| *at < MOST_BYTES)?;
    let bytes = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair)
            .ok()
            .filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    Some((at, bytes.collect::<Option<_>>()?))
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

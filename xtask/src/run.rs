//! `cargo xtask run`: boot the reference host and check what its guests computed.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::claims::Claims;
use crate::console::{self, End, Limits};
use crate::cross::Endian;
use crate::image::{self, Images};
use crate::qemu::{self, Boot, Machine, power_of_two};
use crate::{cpio, setup};

/// The host's last line.
const DONE: &str = "host: done";
/// The guest that the reference host runs.
const GUEST: &str = "hash";
/// The payload whose guests' digests are checked.
const HOST: &str = "host";

/// Which hardware thread a vcpu runs on.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PtidMode {
    /// The lowest threads, in the order in which vcpus became runnable.
    Packed,
    /// The thread of the vcpu's own number.
    Aligned,
}

#[derive(Args)]
pub struct RunOptions {
    /// The file that the guests hash [default: Cargo.lock of the repository]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Run this guest instead of the repository's own: an ELF file linked at 0 that hashes its
    /// share and reports it as guest-hash does.
    #[arg(long, value_name = "FILE")]
    guest: Option<PathBuf>,
    /// A guest for each number, with that many vcpus in its vcore: 1, 2, 4 or 8, with commas
    /// between [default: 1,2,4,8]
    #[arg(long, value_name = "N", value_parser = power_of_two, value_delimiter = ',')]
    smt: Vec<u32>,
    /// Which hardware threads a vcore's vcpus get [default: the host's choice]
    #[arg(long, value_enum)]
    ptid: Option<PtidMode>,
    /// What to boot: the reference host, or the host of the behaviour tests.
    #[arg(long, value_parser = ["host", "testhost"], default_value = HOST)]
    payload: String,
    /// More boot arguments for it, such as `test=NAME` for testhost.
    #[arg(long, value_name = "WORDS")]
    append: Option<String>,
    /// End the run after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    time_limit: u64,
    /// Show each cargo command and QEMU's, and keep the initrd.
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    machine: Machine,
}

/// Images, and the files that go with them for one boot.
pub struct Prepared {
    pub images: Images,
    pub input: Vec<u8>,
    pub initrd: PathBuf,
    pub qemu: Command,
}

impl RunOptions {
    /// Build, pack the initrd, and make QEMU's command line.
    pub fn prepare(&self) -> Result<Prepared> {
        // What the user got wrong is told before minutes of building.
        let input = self.input.clone().unwrap_or_else(image::default_input);
        let input = read(&input)?;
        let guest = self.guest.as_deref().map(read).transpose()?;
        setup::quick()?;
        let images = image::build(self.verbose)?;

        let initrd = images
            .dir
            .join(format!("initrd-{}.cpio", std::process::id()));
        fs::write(&initrd, pack(&images, &input, guest)?)
            .with_context(|| format!("writing {}", initrd.display()))?;
        let qemu = self.machine.command(&Boot {
            firmware: &images.lid(),
            payload: &images.payload(&self.payload),
            initrd: &initrd,
            bootargs: &self.bootargs(),
        });
        if self.verbose {
            eprintln!("run: {}", qemu::typed(&qemu));
        }
        Ok(Prepared {
            images,
            input,
            initrd,
            qemu,
        })
    }

    fn limits(&self) -> Limits {
        let switch_off_s = if self.machine.no_bmc { 0 } else { 10 };
        Limits {
            run: Duration::from_secs(self.time_limit),
            switch_off: Duration::from_secs(switch_off_s),
        }
    }

    /// What is wrong with the way in which the run ended.
    fn end_faults(&self, end: End) -> Vec<String> {
        let fault = match end {
            End::Exited(Some(0)) => return vec![],
            End::PoweredOff if self.machine.no_bmc => return vec![],
            End::PoweredOff => "the BMC didn't switch the machine off".to_string(),
            End::Exited(Some(status)) => format!("QEMU ended with status {status}"),
            End::Exited(None) => "QEMU was killed".to_string(),
            End::Panicked => "the firmware panicked".to_string(),
            End::TimedOut => format!("no end within {} s", self.time_limit),
        };
        vec![fault]
    }

    /// Only what was asked for: the rest is the host's to decide.
    fn bootargs(&self) -> String {
        let widths: Vec<_> = self.smt.iter().map(u32::to_string).collect();
        let smt = (!widths.is_empty()).then(|| format!("smt={}", widths.join(",")));
        let cores = self.machine.cores.map(|n| format!("cores={n}"));
        let ptid = self.ptid.map(|mode| match mode {
            PtidMode::Packed => "ptid=packed".to_string(),
            PtidMode::Aligned => "ptid=aligned".to_string(),
        });
        let words = [smt, cores, ptid, self.append.clone()];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let path = path.as_ref();
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

fn pack(images: &Images, input: &[u8], guest: Option<Vec<u8>>) -> Result<Vec<u8>> {
    if let Some(guest) = guest {
        return Ok(cpio::archive(&[("input", input), ("guest", &guest)]));
    }
    let big = read(images.guest(GUEST, Endian::Big))?;
    let little = read(images.guest(GUEST, Endian::Little))?;
    Ok(cpio::archive(&[
        ("input", input),
        ("guest.be", &big),
        ("guest.le", &little),
    ]))
}

/// The command.
pub fn run(options: &RunOptions) -> Result<ExitCode> {
    let mut prepared = options.prepare()?;
    let started = Instant::now();
    let mut claims = Claims::default();
    let mut done = false;
    let end = console::watch(
        &mut prepared.qemu,
        options.limits(),
        &mut io::stdout(),
        |line| {
            claims.read_line(line);
            done |= line == DONE;
        },
    );
    if !options.verbose {
        fs::remove_file(&prepared.initrd).ok();
    }
    let mut faults = options.end_faults(end?);
    let mut verified = String::new();
    if options.payload == HOST {
        if !done {
            faults.push(format!("the host never said `{DONE}`"));
        }
        match claims.check(&prepared.input) {
            Ok(found) => {
                verified = format!(
                    ": {} digests of {} slices in {} guests are right, {} bytes of input in all",
                    found.guests, found.slices, found.guests, found.bytes
                )
            }
            Err(found) => faults.extend(found),
        }
    }
    verdict(faults, &verified, started.elapsed())
}

fn verdict(faults: Vec<String>, verified: &str, taken: Duration) -> Result<ExitCode> {
    let seconds = taken.as_secs_f32();
    if faults.is_empty() {
        println!("run: PASSED in {seconds:.1} s{verified}");
        return Ok(ExitCode::SUCCESS);
    }
    for fault in &faults {
        println!("run: {fault}");
    }
    println!("run: FAILED in {seconds:.1} s");
    Ok(ExitCode::FAILURE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        run: RunOptions,
    }

    fn parse(words: &str) -> Result<RunOptions, clap::Error> {
        let words = words.split_ascii_whitespace();
        Cli::try_parse_from(std::iter::once("run").chain(words)).map(|cli| cli.run)
    }

    #[test]
    fn bootargs_hold_only_what_was_asked_for() {
        assert_eq!(parse("").unwrap().bootargs(), "");
        assert_eq!(parse("--threads 4 --chips 1").unwrap().bootargs(), "");
        let all = parse("--smt 4,8 --cores 1 --ptid aligned --append x=y -- -d int").unwrap();
        assert_eq!(all.bootargs(), "smt=4,8 cores=1 ptid=aligned x=y");
        assert_eq!(all.machine.extra, ["-d", "int"]);
    }

    #[test]
    fn wrong_use_is_refused() {
        let wrong = [
            "--smt 3",
            "--smt 4,",
            "--cores 0",
            "--ptid odd",
            "--mttcg --icount",
            "--mttcg --single",
            "--payload other",
            "stray",
        ];
        for words in wrong {
            assert!(parse(words).is_err(), "{words}");
        }
    }

    #[test]
    fn a_missing_input_is_named() {
        let error = parse("--input /no/such/file")
            .unwrap()
            .prepare()
            .err()
            .unwrap();
        assert!(format!("{error:#}").contains("/no/such/file"), "{error:#}");
    }

    #[test]
    fn only_a_clean_end_is_no_fault() {
        let (with, without) = (parse("").unwrap(), parse("--no-bmc").unwrap());
        assert!(with.end_faults(End::Exited(Some(0))).is_empty());
        assert!(without.end_faults(End::PoweredOff).is_empty());
        let bad = [
            End::Exited(Some(1)),
            End::Exited(None),
            End::Panicked,
            End::TimedOut,
        ];
        for end in bad.into_iter().chain([End::PoweredOff]) {
            assert_eq!(with.end_faults(end).len(), 1, "{end:?}");
        }
    }
}

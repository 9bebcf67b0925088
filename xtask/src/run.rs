//! `cargo xtask run`: boot the reference host and check what its guests computed.
use std::fs;
use std::io::{self, Write};
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
use crate::{cpio, pnor, setup};

/// The host's last line.
const DONE: &str = "host: done";
/// The guest that the reference host runs.
const GUEST: &str = "guest-hash";
/// The payloads.
const HOST: &str = "host";
pub const TEST_HOST: &str = "testhost";
/// How the test host begins the line of a behaviour that isn't there.
const TEST_FAILED: &str = "FAILED ";

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
    /// Boot the test host instead, and have it show this behaviour, or `all`.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["input", "guest", "smt", "ptid"])]
    test: Option<String>,
    /// More boot arguments for the host.
    #[arg(long, value_name = "WORDS")]
    append: Option<String>,
    /// Boot from a flash image, as `pnor` writes them, instead of what QEMU loads.
    #[arg(long)]
    flash: bool,
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

        let initrd = initrd_path(&images.dir)?;
        let packed = match self.test {
            Some(_) => pack_guests(&images)?,
            None => pack_input(&images, &input, guest)?,
        };
        fs::write(&initrd, packed).with_context(|| format!("writing {}", initrd.display()))?;
        let bootargs = self.bootargs();
        let payload = images.payload(self.payload());
        let machine = self.machine();
        let qemu = match self.flash {
            true => {
                let (flash_bytes, nvram_bytes) = (pnor::SMALLEST_BYTES, pnor::NVRAM_DATA_BYTES);
                let bootargs = format!("{bootargs} flash={flash_bytes} nvram={nvram_bytes}");
                let content = pnor::Content {
                    kernel: &payload,
                    initrd: &initrd,
                    bootargs: &bootargs,
                    sign: None,
                    for_all: false,
                };
                let written = pnor::for_boot(&images, &content)?;
                machine.flash_command(&written.lid, &written.flash, false)
            }
            false => machine.command(&Boot {
                firmware: &images.lid(),
                payload: &payload,
                initrd: &initrd,
                bootargs: &bootargs,
                interactive: false,
            }),
        };
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

    /// What boots the test host.
    pub fn of_test(name: &str, append: String, time_limit_s: u64, machine: Machine) -> Self {
        Self {
            input: None,
            guest: None,
            smt: Vec::new(),
            ptid: None,
            test: Some(name.to_string()),
            flash: false,
            append: Some(append),
            time_limit: time_limit_s,
            verbose: false,
            machine,
        }
    }

    /// The machine as asked for; the reference host's figures are to be instructions.
    fn machine(&self) -> Machine {
        let other = self.machine.mttcg || self.machine.single || self.test.is_some();
        Machine {
            icount: self.machine.icount || !other,
            ..self.machine.clone()
        }
    }

    fn payload(&self) -> &'static str {
        match self.test {
            Some(_) => TEST_HOST,
            None => HOST,
        }
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
            End::Panicked => "the firmware or the host gave up".to_string(),
            End::TimedOut => format!("no end within {} s", self.time_limit),
        };
        vec![fault]
    }

    /// Only what was asked for: the rest is the host's to decide.
    pub(crate) fn bootargs(&self) -> String {
        let widths: Vec<_> = self.smt.iter().map(u32::to_string).collect();
        let smt = (!widths.is_empty()).then(|| format!("smt={}", widths.join(",")));
        let cores = self.machine.cores.map(|n| format!("cores={n}"));
        let ptid = self.ptid.map(|mode| match mode {
            PtidMode::Packed => "ptid=packed".to_string(),
            PtidMode::Aligned => "ptid=aligned".to_string(),
        });
        let test = self.test.as_ref().map(|name| format!("test={name}"));
        let words = [smt, cores, ptid, test, self.append.clone()];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let path = path.as_ref();
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

/// A file of this process's own; those of processes that were ended early are removed.
fn initrd_path(dir: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let pid = name
            .strip_prefix("initrd-")
            .and_then(|name| name.strip_suffix(".cpio"));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            fs::remove_file(&path).ok();
        }
    }
    Ok(dir.join(format!("initrd-{}.cpio", std::process::id())))
}

/// What the reference host wants: the input, and its guest in both byte orders or one for all.
fn pack_input(images: &Images, input: &[u8], guest: Option<Vec<u8>>) -> Result<Vec<u8>> {
    if let Some(guest) = guest {
        return Ok(cpio::archive(&[("input", input), ("guest", &guest)]));
    }
    let big = read(images.dir.join(image::guest_file(GUEST, Endian::Big)))?;
    let little = read(images.dir.join(image::guest_file(GUEST, Endian::Little)))?;
    Ok(cpio::archive(&[
        ("input", input),
        ("guest.be", &big),
        ("guest.le", &little),
    ]))
}

/// What the test host wants: all guests, by the names of their files.
pub fn pack_guests(images: &Images) -> Result<Vec<u8>> {
    let mut files = Vec::new();
    for guest in &images.guests {
        for endian in [Endian::Big, Endian::Little] {
            let name = image::guest_file(guest, endian);
            let bytes = read(images.dir.join(&name))?;
            files.push((name, bytes));
        }
    }
    let entries: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (&**name, &**bytes))
        .collect();
    Ok(cpio::archive(&entries))
}

/// The command.
pub fn run(options: &RunOptions) -> Result<ExitCode> {
    run_to(options, &mut io::stdout())
}

/// The command, with the console copied to `out`.
pub fn run_to(options: &RunOptions, out: &mut impl Write) -> Result<ExitCode> {
    let mut prepared = options.prepare()?;
    let started = Instant::now();
    let mut heard = Heard::default();
    let on_line = |line: &str| heard.line(line);
    let end = console::watch(&mut prepared.qemu, options.limits(), out, on_line);
    if !options.verbose {
        fs::remove_file(&prepared.initrd).ok();
    }
    let mut faults = options.end_faults(end?);
    if !heard.done {
        faults.push(format!("the host never said `{DONE}`"));
    }
    let mut verified = String::new();
    match (&options.test, heard.claims.check(&prepared.input)) {
        (Some(name), _) => {
            faults.extend(heard.failed);
            verified = format!(": test={name}");
        }
        (None, Ok(found)) => verified = format!(": {found}"),
        (None, Err(found)) => faults.extend(found),
    }
    verdict(faults, &verified, started.elapsed())
}

/// What the host said on the console that a verdict needs.
#[derive(Default)]
struct Heard {
    claims: Claims,
    done: bool,
    /// The test host's lines of behaviours that failed.
    failed: Vec<String>,
}

impl Heard {
    fn line(&mut self, line: &str) {
        self.claims.read_line(line);
        self.done |= line == DONE;
        if line.starts_with(TEST_FAILED) {
            self.failed.push(line.to_string());
        }
    }
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
            "--test x --smt 4",
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

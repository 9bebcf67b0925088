//! What the test host's rows cost, from the firmware's instructions.
use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::code::{BASE, Code, VECTOR_PAGE_BYTES};
use super::exec_log;
use super::stretch::{Cutter, From, Places, Round, Stretch, To};
use xtask::qemu::{Boot, Machine};

/// How the test host announces a row.
const ROW: &str = "bench row ";
const LIMIT: Duration = Duration::from_secs(240);
/// Bytes of the image that may hold code.
pub const CODE_BYTES: u64 = 0x40_0000;
/// Threads of a core; the first core's are QEMU's first.
const THREADS: u32 = 8;
/// Of `sc 1`.
const HYPERCALL: From = From::Guest(0xc00);
/// Of a load or store that no entry translates.
const PAGE_FAULT: From = From::Guest(0xe00);

/// The files that a machine boots.
#[derive(Clone, Debug)]
pub struct Files {
    /// Where images are, these and others.
    pub folder: PathBuf,
    pub lid: PathBuf,
    pub elf: PathBuf,
    /// The test host.
    pub host: PathBuf,
    /// The payload that makes OPAL's calls.
    pub calls: PathBuf,
    /// All guests.
    pub initrd: PathBuf,
}

/// A row of rounds.
pub struct Row {
    pub name: String,
    pub rounds: Vec<Round>,
}

/// What was executed.
pub struct Measured {
    /// From reset to the first row.
    pub boot: Round,
    pub rows: Vec<Row>,
    /// Lines of the console.
    pub console: Vec<String>,
}

/// Boots catnap and has the test host show a behaviour, with more boot arguments; the instructions of
/// all threads are those of the firmware alone.
pub fn measure(
    files: &Files,
    machine: &Machine,
    behaviour: &str,
    arguments: &str,
) -> Result<Measured> {
    let read = |path: &PathBuf| fs::read(path).with_context(|| path.display().to_string());
    let (elf, host) = (read(&files.elf)?, read(&files.host)?);
    let (code, host) = (Code::read(&elf)?, Code::read(&host)?);
    let places = Places::new(&code, &host)?;
    let mut qemu = machine.command(&Boot {
        firmware: &files.lid,
        payload: &files.host,
        initrd: &files.initrd,
        bootargs: &format!("test={behaviour} {arguments}"),
        interactive: false,
    });
    exec_log::log_instructions(&mut qemu, &ranges(places));
    let mut cutter = Cutter::new(places, &code);
    let topic = format!("{behaviour}, instruction by instruction");
    let console = exec_log::run(&mut qemu, &topic, LIMIT, |step| cutter.take(step))?;
    shown(&console, behaviour)?;
    let (boot, rounds) = cutter.finish();
    let names = console.iter().filter_map(|line| line.strip_prefix(ROW));
    let names: Vec<_> = names.map(str::to_string).collect();
    ensure!(
        names.len() == rounds.len(),
        "{} rows, {} marks",
        names.len(),
        rounds.len()
    );
    let rows = names.into_iter().zip(rounds);
    let rows = rows.map(|(name, rounds)| Row { name, rounds }).collect();
    Ok(Measured {
        boot,
        rows,
        console,
    })
}

/// The test host's verdict.
pub fn shown(console: &[String], behaviour: &str) -> Result<()> {
    let wanted = format!("ok {behaviour}");
    ensure!(
        console.contains(&wanted),
        "the test host never said `{wanted}`:\n{}",
        console.join("\n")
    );
    Ok(())
}

/// Where the firmware and the host's marks are, as effective addresses.
fn ranges(places: Places) -> Vec<RangeInclusive<u64>> {
    let (first, last) = (BASE, BASE + CODE_BYTES - 1);
    vec![
        0..=VECTOR_PAGE_BYTES - 1,
        first..=last,
        first | 1 << 63..=last | 1 << 63,
        places.row..=places.row,
        places.round..=places.round,
    ]
}

/// One core, or two, of eight threads; time counts instructions.
pub fn machine(cores: u32, threads: u32) -> Machine {
    Machine {
        cores: Some(cores),
        threads: Some(threads),
        icount: true,
        ..Machine::default()
    }
}

impl Measured {
    pub fn row(&self, name: &str) -> Result<&Row> {
        let row = self.rows.iter().find(|row| row.name == name);
        row.with_context(|| format!("the test host has no row `{name}`"))
    }
}

/// Whether a stretch is of the core that runs the vcore.
fn of_core(stretch: &&Stretch) -> bool {
    stretch.cpu < THREADS
}

impl Row {
    /// The median of a number that each round has.
    fn median(&self, what: &str, of: impl Fn(&Round) -> u64) -> Result<u64> {
        median(self.rounds.iter().map(of).collect())
            .with_context(|| format!("row `{}`: no {what}", self.name))
    }

    /// The median of all stretches that `wanted` selects.
    fn each(&self, what: &str, wanted: impl Fn(&Stretch) -> bool) -> Result<u64> {
        let all = self.rounds.iter().flatten();
        median(
            all.filter(|stretch| wanted(stretch))
                .map(Stretch::count)
                .collect(),
        )
        .with_context(|| format!("row `{}`: no {what}", self.name))
    }

    /// All instructions that the core's threads spend on a run.
    pub fn round_trip(&self) -> Result<u64> {
        self.median("run", total)
    }

    /// The round whose cost is the median.
    pub fn usual(&self) -> Result<&Round> {
        let median = self.round_trip()?;
        let usual = self.rounds.iter().find(|round| total(round) == median);
        usual.context("a median is one of its numbers")
    }

    /// Thread 0, from the host into its guest.
    pub fn runner_in(&self) -> Result<u64> {
        self.each("entry", |s| s.cpu == 0 && s.is(From::Call, To::Guest))
    }

    /// Thread 0, out of its guest and back to the host.
    pub fn runner_out(&self) -> Result<u64> {
        self.each("exit", |s| s.cpu == 0 && s.left_guest() && s.to == To::Host)
    }

    /// A secondary, from its nap into the guest.
    pub fn secondary_in(&self) -> Result<u64> {
        self.each("wake-up", |s| s.is(From::Nap, To::Guest))
    }

    /// A secondary, out of its guest into its nap.
    pub fn secondary_out(&self) -> Result<u64> {
        self.each("nap", |s| {
            s.cpu < THREADS && s.left_guest() && s.to == To::Nap
        })
    }

    /// Every `nth` of the hypercalls of a round that are served in the firmware, and go back into
    /// the guest.
    pub fn served(&self, nth: usize) -> Result<u64> {
        self.back(HYPERCALL, nth)
    }

    /// Page faults that go back into the guest, as its own interrupts.
    pub fn reflected(&self) -> Result<u64> {
        self.back(PAGE_FAULT, 1)
    }

    fn back(&self, from: From, nth: usize) -> Result<u64> {
        let back = |s: &&Stretch| s.is(from, To::Guest);
        let of_round = |round: &Round| {
            let served = round.iter().filter(back).skip(nth - 1).step_by(nth);
            served.map(Stretch::count).collect::<Vec<_>>()
        };
        median(self.rounds.iter().flat_map(of_round).collect())
            .with_context(|| format!("row `{}`: nothing served", self.name))
    }

    /// The first call that the other core makes in a round.
    pub fn others_call(&self) -> Result<u64> {
        let call = |round: &Round| {
            let call = round
                .iter()
                .find(|s| s.cpu >= THREADS && s.from == From::Call);
            call.map_or(0, Stretch::count)
        };
        self.median("call of the other core", call)
    }

    /// All threads, from their guests back to the host or into their naps.
    pub fn all_out(&self) -> Result<u64> {
        let out = |round: &Round| {
            let out = round.iter().filter(of_core).filter(|s| s.left_guest());
            out.map(Stretch::count).sum()
        };
        self.median("exit", out)
    }
}

/// All instructions of the core's threads.
fn total(round: &Round) -> u64 {
    round.iter().filter(of_core).map(Stretch::count).sum()
}

/// The middle one, the upper one of two: it is a number that was measured.
fn median(mut numbers: Vec<u64>) -> Result<u64> {
    if numbers.is_empty() {
        bail!("nothing was measured");
    }
    numbers.sort_unstable();
    Ok(numbers[numbers.len() / 2])
}

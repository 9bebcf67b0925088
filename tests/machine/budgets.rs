//! Exact counts of instructions, none above its budget.
//!
//! Runs and hypercalls are counted from QEMU's log of executed instructions, as `cargo xtask bench`
//! does. Boots and OPAL's calls are counted by time: under `-icount shift=0` QEMU executes the
//! machine's threads in turn, and its clock advances by a nanosecond with each instruction of any of
//! them, as long as one is awake. Counts are alike in each run, so they can be judged.
use libtest_mimic::Trial;
use measure::bench::boot::Further;
use measure::bench::rounds::{self, Files, Measured, Row};
use measure::bench::{self, boot, opal, page, vcore};
use tests::console::Expected;
use tests::images;
use tests::qemu::{Boot, End, Tcg};

use crate::{Outcome, behaviours, trial};

/// From reset to the payload's first instruction: threads of the one core, and the budget of all
/// together.
const BOOTS: [(u32, u64); 2] = [(1, 560_000), (8, 570_000)];

/// What one more of something may add to that.
const FURTHER: [(&str, Further, u64); 2] = [
    ("core", Further::Core, 100_000),
    ("device", Further::Device, 20_000),
];

/// What one of the test host's rows may cost, in instructions of the firmware.
type Budget = (&'static str, Count, u64);
type Count = fn(&Row) -> anyhow::Result<u64>;

/// Round trips are all instructions of the core's threads from one VCORE_RUN to the next; hypercalls
/// are from a guest and back into it.
const BUDGETS: [Budget; 17] = [
    ("smt1", Row::round_trip, 1_000),
    ("smt2", Row::round_trip, 1_570),
    ("smt4", Row::round_trip, 2_570),
    ("smt8", Row::round_trip, 4_350),
    ("smt8", Row::secondary_in, 182),
    ("smt8", Row::secondary_out, 252),
    ("smt8 fp", Row::round_trip, 5_320),
    ("smt1 all", Row::round_trip, 1_700),
    ("smt8 all", Row::round_trip, 9_200),
    ("H_PROD of itself", |row| row.served(1), 168),
    ("H_PROD of a sibling in H_CEDE", |row| row.served(1), 185),
    ("H_PROD, H_CEDE", |row| row.served(2), 153),
    ("H_CONFER", |row| row.served(1), 106),
    ("own page fault", Row::reflected, 255),
    ("H_READ of one", |row| row.served(1), 150),
    ("H_ENTER, H_REMOVE", |row| row.served(1), 300),
    ("H_ENTER, H_REMOVE", |row| row.served(2), 300),
];

/// What `callbench` tells of OPAL's calls: the most that each may be. Other OPAL firmware takes, in
/// this order, 24490, 2869, 4700, 4073, 5600, 388, 407, 341, 299, 11270, 156, 342, 364
/// (`cargo xtask bench opal`).
const CALLS: [(&str, u64); 13] = [
    ("CONSOLE_WRITE", 3_800),
    ("CONSOLE_READ", 920),
    ("RTC_READ", 7_300),
    ("HANDLE_INTERRUPT", 790),
    ("POLL_EVENTS", 710),
    ("SET_XIVE", 325),
    ("GET_XIVE", 244),
    ("CONSOLE_WRITE_BUFFER_SPACE", 180),
    ("QUERY_CPU_STATUS", 185),
    ("REINIT_CPUS", 3_200),
    ("CHECK_TOKEN", 94),
    ("GET_MSG", 190),
    ("CONSOLE_FLUSH", 140),
];

/// The same of PCI calls, on a machine with a host bridge. Other OPAL firmware takes 551, 888, 329144, 247526,
/// 420.
const PCI_CALLS: [(&str, u64); 5] = [
    ("PCI_CONFIG_READ_WORD", 300),
    ("PCI_EEH_FREEZE_STATUS", 465),
    ("PCI_SET_PE", 5_000),
    ("PCI_RESET", 60_000),
    ("PCI_MSI_EOI", 250),
];

pub fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = BOOTS
        .into_iter()
        .map(|(threads, budget)| {
            let run = move || boot_within(threads, budget);
            trial(format!("budgets::boot-of-{threads}-threads"), run)
        })
        .collect();
    trials.extend(FURTHER.map(|(name, kind, budget)| {
        trial(format!("budgets::boot-of-a-further-{name}"), move || {
            let count = boot::further_ns(&files(), kind);
            within(name, count.map_err(|why| format!("{why:#}"))?, budget)
        })
    }));
    trials.push(trial("budgets::calls", calls_within));
    trials.push(trial("budgets::page", page_is_true));
    trials.push(trial("budgets::mitigations", mitigations_are_done));
    trials.push(trial("budgets::opal-calls", || {
        opal_calls_within(&CALLS, &[])
    }));
    trials.push(trial("budgets::pci-calls", || {
        opal_calls_within(&PCI_CALLS, &opal::HOST_BRIDGE)
    }));
    trials
}

/// What docs/performance.md tells.
fn page_is_true() -> Outcome {
    let tables = bench::tables(&files()).map_err(|why| format!("{why:#}"))?;
    let page = include_str!("../../docs/performance.md");
    match page::differences(page, &tables) {
        wrong if wrong.is_empty() => Ok(()),
        wrong => Err(format!(
            "`cargo xtask bench --page docs/performance.md` puts right:\n{}",
            wrong.join("\n")
        )),
    }
}

fn boot_within(threads: u32, budget: u64) -> Outcome {
    let files = files();
    let machine = rounds::machine(1, threads);
    let instructions = boot::entered_ns(&files, &files.lid, &machine);
    let instructions = instructions.map_err(|why| format!("{why:#}"))?;
    within("reset to payload entry", instructions, budget)
}

pub fn files() -> Files {
    Files {
        folder: images::folder(),
        lid: images::path("catnap.lid"),
        elf: images::path("catnap.elf"),
        host: images::path("testhost"),
        calls: images::path("callbench"),
        initrd: behaviours::initrd(),
    }
}

fn within(what: &str, instructions: u64, budget: u64) -> Outcome {
    println!("{what}: {instructions} instructions, may be {budget}");
    match instructions <= budget {
        true => Ok(()),
        false => Err(format!(
            "{what}: {instructions} instructions, more than {budget}"
        )),
    }
}

/// As below, of OPAL's calls.
fn opal_calls_within(calls: &[(&str, u64)], devices: &[&str]) -> Outcome {
    let boot = Boot {
        tcg: Tcg::Counting,
        payload: Some(images::path("callbench")),
        extra: devices.iter().map(ToString::to_string).collect(),
        ..Boot::new(1, 1)
    };
    let lines = boot.check(&End::Off, &Expected::lines(["host: done"]))?;
    let mut faults = Vec::new();
    for &(name, budget) in calls {
        let line = format!("call {name}: ");
        let found = lines.iter().find_map(|text| {
            let (number, _) = text.strip_prefix(&line)?.split_once(" ns")?;
            number.parse().ok()
        });
        let judged = match found {
            Some(ns) => within(name, ns, budget),
            None => Err(format!("{name}: not said")),
        };
        faults.extend(judged.err());
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults.join("\n")),
    }
}

/// With the mitigations on (L9) each way into a guest reads twice the L1 data cache, line by line, and
/// each way out makes as many calls as the link stack has places. That each read is of another line,
/// `instructions::cache-flush` sees.
fn mitigations_are_done() -> Outcome {
    const LINES: u64 = 128 * 1024 / 128;
    const IN: u64 = 3 * LINES;
    const OUT: u64 = 32;
    let measure = |arguments| vcore::measure(&files(), arguments).map_err(|why| format!("{why:#}"));
    let on = measure("catnap.mitigations=on")?;
    let off = measure("catnap.mitigations=off")?;
    let served: Count = |row| row.served(1);
    for (name, count) in [("smt1", Row::round_trip as Count), ("H_CONFER", served)] {
        let of = |all: &Measured| all.row(name).and_then(count);
        let (with, without) = match (of(&on), of(&off)) {
            (Ok(with), Ok(without)) => (with, without),
            (Err(why), _) | (_, Err(why)) => return Err(format!("{name}: {why:#}")),
        };
        println!("{name}: {without} instructions, with mitigations {with}");
        let more = with.saturating_sub(without);
        if !(IN + OUT..IN + OUT + 50).contains(&more) {
            return Err(format!("{name}: mitigations take {more} instructions"));
        }
    }
    Ok(())
}

/// All numbers are looked at, so that one that is too high doesn't hide another.
fn calls_within() -> Outcome {
    let measured = vcore::measure(&files(), "").map_err(|why| format!("{why:#}"))?;
    let judge = |(name, count, budget): Budget| {
        let count = measured.row(name).and_then(count);
        within(name, count.map_err(|why| format!("{why:#}"))?, budget)
    };
    let faults: Vec<_> = BUDGETS
        .into_iter()
        .filter_map(|budget| judge(budget).err())
        .collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults.join("\n")),
    }
}

//! Exact counts of instructions, none above its budget.
//!
//! Under `-icount shift=0` QEMU executes the machine's threads in turn and its clock advances by a
//! nanosecond with each instruction of any of them: while at least one thread is awake, time is
//! the number of instructions that all threads have executed, naps costing none. With one thread
//! it is that thread's own. The time base counts 512 ticks of 1000 ns; counts are alike in each
//! run, so they can be judged.
use libtest_mimic::Trial;
use tests::console::Expected;
use tests::qemu::{Boot, End, Tcg};
use tests::{elf, gdb, images};

use crate::{Outcome, behaviours, trial};

/// The time base begins with 0 at reset.
const TIME_BASE_HZ: u64 = 512_000_000;
const NS_IN_S: u64 = 1_000_000_000;

/// From reset to the payload's first instruction: threads of the one core, and the budget of all
/// together.
const BOOTS: [(u32, u64); 2] = [(1, 5_000_000), (8, 8_000_000)];

/// Where a payload notes the time base, and how: `mftb r10; lis r11,0x4000; std r10,0(r11); b .`
const NOTE: u64 = 0x4000_0000;
const NOTE_TIME: [u32; 4] = [0x7d4c_42e6, 0x3d60_4000, 0xf94b_0000, 0x4800_0000];

/// Lines of the behaviour `bench`: how they begin, which of their numbers, and the most it may be.
/// `round trip` leaves out the time that the vcpus count as in their guests, `run` leaves out
/// nothing: neither the guests' own instructions nor the host's around the call.
const BENCH: [(&str, &str, u64); 9] = [
    ("bench smt1:", "round trip", 950),
    ("bench smt1:", "run", 1_090),
    ("bench smt1 with FP:", "round trip", 1_130),
    ("bench smt8:", "round trip", 4_500),
    ("bench smt8:", "run", 4_800),
    ("bench smt8 with FP:", "round trip", 5_900),
    ("bench smt1:", "H_PROD", 200),
    ("bench smt1:", "H_CONFER", 200),
    // Two calls.
    ("bench smt1:", "H_PROD and H_CEDE", 410),
];

/// What `callbench` tells of OPAL's calls: the most that each may be. Other OPAL firmware takes, in
/// this order, 24490, 2869, 4700, 4073, 5600, 388, 407, 341, 299, 11270, 156, 342, 364
/// (`cargo xtask bench opal`).
const CALLS: [(&str, u64); 13] = [
    ("CONSOLE_WRITE", 1_000),
    ("CONSOLE_READ", 850),
    ("RTC_READ", 2_300),
    ("HANDLE_INTERRUPT", 600),
    ("POLL_EVENTS", 550),
    ("SET_XIVE", 205),
    ("GET_XIVE", 380),
    ("CONSOLE_WRITE_BUFFER_SPACE", 235),
    ("QUERY_CPU_STATUS", 270),
    ("REINIT_CPUS", 5_000),
    ("CHECK_TOKEN", 155),
    ("GET_MSG", 190),
    ("CONSOLE_FLUSH", 145),
];

pub fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = BOOTS
        .into_iter()
        .map(|(threads, budget)| {
            let run = move || boot_within(threads, budget);
            trial(format!("budgets::boot-of-{threads}-threads"), run)
        })
        .collect();
    trials.push(trial("budgets::calls", calls_within));
    trials.push(trial("budgets::opal-calls", opal_calls_within));
    trials
}

/// The payload's first instructions are replaced by [`NOTE_TIME`]. The debugger can't read the time
/// base: time leaps when it stops a machine.
fn boot_within(threads: u32, budget: u64) -> Outcome {
    let boot = Boot {
        tcg: Tcg::Counting,
        payload: Some(images::path("testhost")),
        initrd: Some(behaviours::initrd()),
        ..Boot::new(1, threads)
    };
    let entry = elf::entry_in_place(&images::read("testhost"));
    let (_running, mut debugger) = gdb::start(&boot, &format!("boot-of-{threads}"))?;
    for (instruction, at) in NOTE_TIME.into_iter().zip((entry..).step_by(4)) {
        debugger.write(at, &instruction.to_be_bytes())?;
    }
    debugger.run_to(entry + 4 * (NOTE_TIME.len() as u64 - 1))?;
    let noted = debugger.read(NOTE, 8)?;
    let ticks = u64::from_be_bytes(noted.try_into().map_err(|_| "not 8 bytes")?);
    let instructions = ticks * NS_IN_S / TIME_BASE_HZ;
    within("reset to payload entry", instructions, budget)
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
fn opal_calls_within() -> Outcome {
    let boot = Boot {
        tcg: Tcg::Counting,
        payload: Some(images::path("callbench")),
        ..Boot::new(1, 1)
    };
    let lines = boot.check(&End::Off, &Expected::lines(["host: done"]))?;
    let mut faults = Vec::new();
    for (name, budget) in CALLS {
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

/// All numbers are looked at, so that one that is too high doesn't hide another.
fn calls_within() -> Outcome {
    let boot = behaviours::boot("bench", Tcg::Counting);
    let lines = boot.check(&End::Off, &behaviours::expected("bench"))?;
    let mut faults = Vec::new();
    for (line, number, budget) in BENCH {
        let what = format!("{line} {number}");
        let found = lines.iter().find_map(|text| {
            text.strip_prefix(line)?
                .split(", ")
                .find_map(|part| ns(part, number))
        });
        let judged = match found {
            Some(ns) => within(&what, ns, budget),
            None => Err(format!("{what}: not said")),
        };
        faults.extend(judged.err());
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{}\n  | {}",
            faults.join("\n"),
            lines.join("\n  | ")
        )),
    }
}

/// The number of a part such as `round trip 812 ns`.
fn ns(part: &str, name: &str) -> Option<u64> {
    let number = part.trim().strip_prefix(name)?.strip_suffix(" ns")?;
    number.trim().parse().ok()
}

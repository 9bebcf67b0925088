//! The main job: the reference host's guests hash a file, and every digest is right.
use std::time::Duration;

use libtest_mimic::Trial;
use tests::console::Expected;
use tests::images;
use tests::qemu::{Boot, End, Tcg};
use xtask::claims::Claims;

use crate::{Outcome, trial};

/// Bytes of the file: not a multiple of anything.
const INPUT_BYTES: usize = 100_003;

/// Name, cores, threads, and the host's boot arguments.
const JOBS: [(&str, u32, u32, &str); 7] = [
    ("all-widths", 2, 8, ""),
    ("all-widths-aligned", 2, 8, "ptid=aligned"),
    ("all-widths-on-one-core", 1, 8, ""),
    ("two-of-eight", 2, 8, "smt=8,8"),
    ("four-of-eight", 2, 8, "smt=8,8,8,8"),
    ("4-threads", 2, 4, "smt=1,2,4"),
    ("1-thread", 1, 1, "smt=1,1"),
];

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, cores, threads, arguments) in JOBS {
        for (mode, tcg) in [("single", Tcg::Single), ("multi", Tcg::Multi)] {
            let run = move || is_done(tcg, cores, threads, arguments);
            trials.push(trial(format!("job::{name}::{mode}"), run));
        }
    }
    trials
}

fn is_done(tcg: Tcg, cores: u32, threads: u32, arguments: &str) -> Outcome {
    let input = input();
    let archive = images::job(&input);
    let boot = Boot {
        tcg,
        payload: Some(images::path("host")),
        initrd: Some(images::scratch_file("job.cpio", &archive)),
        bootargs: arguments.into(),
        limit: Duration::from_secs(240),
        ..Boot::new(cores, threads)
    };
    let expected = Expected::lines(["catnap: to the host", "host: done"]).forbid("host: failed");
    let lines = boot.check(&End::Off, &expected)?;
    let mut claims = Claims::default();
    lines.iter().for_each(|line| claims.read_line(line));
    let wrong =
        |faults: Vec<String>| format!("{}\n  | {}", faults.join("\n"), lines.join("\n  | "));
    let verified = claims.check(&input).map_err(wrong)?;
    match verified.guests == guests(arguments) {
        true => Ok(()),
        false => Err(format!("{} guests did the job", verified.guests)),
    }
}

/// How many guests these arguments ask for.
fn guests(arguments: &str) -> usize {
    match arguments.strip_prefix("smt=") {
        Some(widths) => widths.split(',').count(),
        None => 4,
    }
}

/// The same bytes each time, none like its neighbours.
fn input() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..INPUT_BYTES).map(|_| byte()).collect()
}

//! QEMU's log of executed instructions: its options, its lines, and a machine that writes it.
//!
//! With one instruction in each translated block, `-d exec` writes a line for each instruction just
//! before it is executed. A block that was stopped before its first instruction, since another
//! thread's turn has come, gets a second line that says so, and is no instruction.
use std::io::{self, BufRead, BufReader, Read};
use std::ops::RangeInclusive;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use xtask::process;

/// The bit of QEMU's translation flags that says that a thread is in hypervisor state.
const FLAG_HYPERVISOR: u64 = 1 << 1;
/// How often the count of instructions is shown, in instructions.
const SHOW_EVERY: u64 = 1 << 16;

/// An instruction of the hypervisor's that a thread has executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// QEMU's number of the thread.
    pub cpu: u32,
    /// Effective address.
    pub pc: u64,
}

/// Has a machine that counts instructions write those at these effective addresses to its standard
/// error.
pub fn log_instructions(qemu: &mut Command, ranges: &[RangeInclusive<u64>]) {
    let ranges = ranges
        .iter()
        .map(|range| format!("{:#x}..{:#x}", range.start(), range.end()));
    let filter = ranges.collect::<Vec<_>>().join(",");
    qemu.args(["-accel", "tcg,one-insn-per-tb=on"]);
    qemu.args(["-d", "exec,nochain", "-dfilter", &filter]);
}

/// What a line of the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Step(Step),
    /// An instruction of a guest's.
    Guests,
    /// The one before was not executed.
    Stopped,
    /// Something else: QEMU's own messages.
    Other,
}

fn line(text: &str) -> Line {
    if text.starts_with("Stopped execution") {
        return Line::Stopped;
    }
    step(text).unwrap_or(Line::Other)
}

/// `Trace 0: 0x7fee0c000100 [00000000/8000000030012345/fc100006/ff002201] `: thread, place in QEMU's
/// memory, then a base that this processor hasn't, address, flags, and QEMU's own flags.
fn step(text: &str) -> Option<Line> {
    let (cpu, rest) = text.strip_prefix("Trace ")?.split_once(": ")?;
    let mut fields = rest.split_once('[')?.1.split('/').skip(1);
    let mut hex = || u64::from_str_radix(fields.next()?, 16).ok();
    let (pc, flags) = (hex()?, hex()?);
    let cpu = cpu.parse().ok()?;
    Some(match flags & FLAG_HYPERVISOR != 0 {
        true => Line::Step(Step { cpu, pc }),
        false => Line::Guests,
    })
}

/// Gives `on_step` each instruction of the hypervisor's; answers the lines that tell of none.
fn read(log: impl Read, mut on_step: impl FnMut(Step)) -> Result<Vec<String>> {
    let mut log = BufReader::with_capacity(1 << 18, log);
    let mut others = Vec::new();
    let mut last = None;
    let mut text = String::new();
    loop {
        text.clear();
        if log.read_line(&mut text)? == 0 {
            break;
        }
        let next = match line(&text) {
            Line::Step(step) => Some(step),
            Line::Stopped => {
                last = None;
                continue;
            }
            Line::Guests => None,
            Line::Other => {
                others.push(text.trim_end().to_string());
                continue;
            }
        };
        if let Some(step) = std::mem::replace(&mut last, next) {
            on_step(step);
        }
    }
    last.into_iter().for_each(on_step);
    Ok(others)
}

/// Runs a machine that writes its instructions, until it ends by itself; gives each to `on_step`.
/// Answers the lines of its console.
pub fn run(
    qemu: &mut Command,
    topic: &str,
    limit: Duration,
    on_step: impl FnMut(Step),
) -> Result<Vec<String>> {
    run_heard(qemu, topic, limit, |_| (), on_step)
}

/// The same; gives each line of the console to `on_line` as it comes, from another thread.
pub fn run_heard(
    qemu: &mut Command,
    topic: &str,
    limit: Duration,
    on_line: impl FnMut(&str) + Send + 'static,
    mut on_step: impl FnMut(Step),
) -> Result<Vec<String>> {
    qemu.stdin(Stdio::null());
    qemu.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process::spawn(qemu)?;
    let console = child.stdout.take().expect("piped");
    let log = child.stderr.take().expect("piped");
    let console = thread::spawn(move || lines(console, on_line));
    let (ended, end) = mpsc::channel::<()>();
    let watch = thread::spawn(move || wait(child, &end, limit));
    let bar = progress(topic);
    let mut count = 0;
    let others = read(log, |step| {
        count += 1;
        if count % SHOW_EVERY == 0 {
            bar.set_message(format!(
                "{topic}: {} instructions",
                super::report::digits(count)
            ));
        }
        on_step(step);
    });
    drop(ended);
    let (late, status) = watch.join().expect("the watch never panics");
    let status = status.context(topic.to_string())?;
    bar.finish_and_clear();
    let console = console.join().expect("reading never panics")?;
    let others = others.context("reading QEMU's log")?;
    if late || !status.success() {
        let why = match late {
            true => format!("took longer than {} s", limit.as_secs()),
            false => format!("ended with {status}"),
        };
        let told = [others, console].concat();
        bail!("{topic}: QEMU {why}\n{}", told.join("\n"));
    }
    Ok(console)
}

/// A console's lines.
fn lines(console: impl Read, mut on_line: impl FnMut(&str)) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    for bytes in BufReader::new(console).split(b'\n') {
        let line = String::from_utf8_lossy(&bytes?).replace('\r', "");
        on_line(&line);
        lines.push(line);
    }
    Ok(lines)
}

/// Waits for QEMU, at most until it has said all that it may; whether that took longer than `limit`, and
/// how QEMU ended.
fn wait(mut child: Child, end: &Receiver<()>, limit: Duration) -> (bool, io::Result<ExitStatus>) {
    let late = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
    if late {
        child.kill().ok();
    }
    (late, child.wait())
}

/// A line that tells what goes on, for as long as it goes on.
pub fn progress(topic: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("  {spinner} {wide_msg}").expect("valid");
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(150));
    bar.set_message(topic.to_string());
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "Trace 0: 0x7fee0c000100 [00000000/0000000000000100/fc100006/ff002201] \n";
    const SECOND: &str =
        "Trace 12: 0x7fee0c000240 [00000000/8000000030001234/fc100006/ff002201] opal_entry\n";
    const GUESTS: &str = "Trace 1: 0x7fee0c000240 [00000000/0000000000000c00/fc100004/ff002201] \n";
    const STOPPED: &str =
        "Stopped execution of TB chain before 0x7fee0c003640 [0000000000001aa4] \n";

    fn steps(text: &str) -> (Vec<(u32, u64)>, Vec<String>) {
        let mut steps = Vec::new();
        let others = read(text.as_bytes(), |step| steps.push((step.cpu, step.pc))).unwrap();
        (steps, others)
    }

    #[test]
    fn each_line_is_an_instruction() {
        let (found, others) = steps(&[FIRST, SECOND].concat());
        assert_eq!(found, [(0, 0x100), (12, 0x8000_0000_3000_1234)]);
        assert!(others.is_empty());
    }

    #[test]
    fn a_stopped_instruction_counts_once() {
        let (found, _) = steps(&[FIRST, SECOND, STOPPED, SECOND].concat());
        assert_eq!(found, [(0, 0x100), (12, 0x8000_0000_3000_1234)]);
    }

    #[test]
    fn guests_instructions_are_left_out() {
        assert_eq!(steps(&[FIRST, GUESTS, STOPPED].concat()).0, [(0, 0x100)]);
    }

    #[test]
    fn other_lines_are_kept() {
        let (found, others) = steps("qemu: warning\nTrace x\n");
        assert!(found.is_empty());
        assert_eq!(others, ["qemu: warning", "Trace x"]);
    }

    #[test]
    fn a_machine_that_never_ends_is_ended() {
        let mut sleep = Command::new("sleep");
        sleep.arg("86400");
        let error = run(&mut sleep, "sleep", Duration::from_millis(100), |_| ()).unwrap_err();
        assert!(error.to_string().contains("took longer"), "{error}");
    }
}

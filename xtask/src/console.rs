//! A machine's console: shown as it comes, read line by line, with a time limit.
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::process;

/// After a panic the machine is left this long to say the rest.
const EPITAPH_TIME: Duration = Duration::from_secs(2);

/// The firmware's warning of a call that has taken a second. Where time is the build host's it is no
/// fault: the host can stop any thread for that long.
pub const SLOW: &str = "has taken";

/// How a run of the machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// QEMU ended by itself, with this exit status (None: by a signal).
    Exited(Option<i32>),
    /// The firmware said that it is powered off, but QEMU went on, as it must without a BMC.
    PoweredOff,
    /// The firmware or the host gave up.
    Panicked,
    /// Neither happened within the time limit.
    TimedOut,
}

impl End {
    /// What is wrong with it, for a machine that was to switch itself off.
    pub fn fault(self, no_bmc: bool) -> Option<String> {
        match self {
            Self::Exited(Some(0)) => None,
            Self::PoweredOff if no_bmc => None,
            other => Some(format!("it should switch off; instead: {other:?}")),
        }
    }
}

/// What the firmware and the host print when they give up; the other threads may go on.
const PANIC_MARKS: [&str; 3] = ["catnap: PANIC", "EPITAPH", "host: thread 0x"];
/// What it prints when the host has asked for power-off.
const OFF_MARK: &str = "catnap: powered off";

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the end of the whole run.
    pub run: Duration,
    /// After the firmware's last line, for the BMC to end QEMU; zero if there is none.
    pub switch_off: Duration,
}

impl Limits {
    /// Of a boot that is to end within so many seconds.
    pub fn of_boot(seconds: u64, no_bmc: bool) -> Self {
        Self {
            run: Duration::from_secs(seconds),
            switch_off: Duration::from_secs(if no_bmc { 0 } else { 10 }),
        }
    }
}

/// The terminal is the machine's until QEMU ends.
///
/// # Errors
/// QEMU can't be started.
pub fn leave_to(qemu: &mut Command) -> Result<ExitCode> {
    let status = process::spawn(qemu)?.wait()?;
    Ok(match status.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Run QEMU with its serial port on standard output until it ends or has to be ended, and hand
/// each line to `on_line`. Everything is also copied to `out` as it comes.
pub fn watch(
    qemu: &mut Command,
    limits: Limits,
    out: &mut impl Write,
    on_line: impl FnMut(&str),
) -> Result<End> {
    talk(qemu, limits, out, &[], on_line)
}

/// The same, with somebody at the keyboard: of each pair the second line is typed when the first has been
/// said, after what was said for the pair before.
pub fn talk(
    qemu: &mut Command,
    limits: Limits,
    out: &mut impl Write,
    talk: &[(&str, &str)],
    mut on_line: impl FnMut(&str),
) -> Result<End> {
    let keyboard = if talk.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    };
    let mut child = process::spawn(qemu.stdin(keyboard).stdout(Stdio::piped()))?;
    let mut typist = Typist::new(child.stdin.take(), talk);
    let chunks = chunks(child.stdout.take().expect("piped"));
    let mut lines = Lines::default();
    let mut deadline = Instant::now() + limits.run;
    let mut end = None;
    loop {
        // Asked about first: a machine that never stops talking never lets us wait.
        let left = deadline.saturating_duration_since(Instant::now());
        match chunks.recv_timeout(left) {
            Ok(chunk) if !left.is_zero() => {
                show(out, &chunk);
                typist.hear(&chunk);
                for line in lines.push(&chunk) {
                    on_line(&line);
                    if end.is_none() && PANIC_MARKS.iter().any(|mark| line.contains(mark)) {
                        end = Some(End::Panicked);
                        deadline = Instant::now() + EPITAPH_TIME;
                    }
                    if end.is_none() && line.contains(OFF_MARK) {
                        end = Some(End::PoweredOff);
                        deadline = Instant::now() + limits.switch_off;
                    }
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                end = end.or(Some(End::TimedOut));
                break;
            }
        }
    }
    finish(child, &mut lines, end, out, on_line)
}

fn finish(
    mut child: Child,
    lines: &mut Lines,
    end: Option<End>,
    out: &mut impl Write,
    mut on_line: impl FnMut(&str),
) -> Result<End> {
    let status = child.wait()?;
    if let Some(rest) = lines.rest() {
        show(out, b"\n");
        on_line(&rest);
    }
    match end {
        None | Some(End::PoweredOff) if status.code().is_some() => Ok(End::Exited(status.code())),
        None => Ok(End::Exited(None)),
        Some(end) => Ok(end),
    }
}

/// Who types.
struct Typist<'a> {
    keyboard: Option<ChildStdin>,
    talk: &'a [(&'a str, &'a str)],
    /// Since something was typed.
    heard: Vec<u8>,
}

impl<'a> Typist<'a> {
    fn new(keyboard: Option<ChildStdin>, talk: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            keyboard,
            talk,
            heard: Vec::new(),
        }
    }

    fn hear(&mut self, chunk: &[u8]) {
        let (Some(keyboard), [(awaited, typed), rest @ ..]) = (&mut self.keyboard, self.talk)
        else {
            return;
        };
        self.heard.extend_from_slice(chunk);
        if String::from_utf8_lossy(&self.heard).contains(awaited) {
            // A machine that has ended hears nothing more, and is judged by what it has said.
            let _ = writeln!(keyboard, "{typed}").and_then(|()| keyboard.flush());
            self.talk = rest;
            self.heard.clear();
        }
    }
}

fn show(out: &mut impl Write, chunk: &[u8]) {
    // A reader that went away shall not keep the run from being judged.
    let _ = out.write_all(chunk).and_then(|()| out.flush());
}

fn chunks(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = stream.read(&mut buffer) {
            if sender.send(buffer[..len].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Cuts chunks into lines.
#[derive(Default)]
struct Lines {
    unfinished: Vec<u8>,
}

impl Lines {
    /// The lines that this chunk completes, without line ends.
    fn push(&mut self, chunk: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        for &byte in chunk {
            if byte == b'\n' {
                complete.push(text(&std::mem::take(&mut self.unfinished)));
            } else {
                self.unfinished.push(byte);
            }
        }
        complete
    }

    /// What came after the last line end.
    fn rest(&mut self) -> Option<String> {
        let rest = text(&std::mem::take(&mut self.unfinished));
        (!rest.is_empty()).then_some(rest)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches('\r')
        .to_string()
}

/// Prints what was wrong with a boot that a command has judged, and the verdict.
pub fn verdict(command: &str, faults: &[String], started: Instant) -> ExitCode {
    for fault in faults {
        println!("{command}: {fault}");
    }
    let seconds = started.elapsed().as_secs_f32();
    let (verdict, code) = match faults.is_empty() {
        true => ("PASSED", ExitCode::SUCCESS),
        false => ("FAILED", ExitCode::FAILURE),
    };
    println!("{command}: {verdict} in {seconds:.1} s");
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(100);

    #[test]
    fn a_machine_ends_well_if_it_is_off() {
        for (end, no_bmc, is_good) in [
            (End::Exited(Some(0)), false, true),
            (End::Exited(Some(1)), false, false),
            (End::Exited(None), true, false),
            (End::PoweredOff, true, true),
            (End::PoweredOff, false, false),
            (End::Panicked, true, false),
            (End::TimedOut, true, false),
        ] {
            assert_eq!(end.fault(no_bmc).is_none(), is_good, "{end:?} {no_bmc}");
        }
    }

    fn watch_shell(script: &str, run: Duration, switch_off: Duration) -> (End, Vec<String>) {
        let mut lines = Vec::new();
        let limits = Limits { run, switch_off };
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let note = |line: &str| lines.push(line.to_string());
        let end = watch(&mut command, limits, &mut std::io::sink(), note).unwrap();
        (end, lines)
    }

    #[test]
    fn lines_are_put_together_from_chunks() {
        let mut lines = Lines::default();
        assert!(lines.push(b"cat").is_empty());
        assert_eq!(lines.push(b"nap\r\nhost: ok\nho"), ["catnap", "host: ok"]);
        assert_eq!(lines.rest().as_deref(), Some("ho"));
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn an_exit_is_told_with_its_status() {
        let (end, lines) = watch_shell("echo host: done; printf half; exit 7", LONG, LONG);
        assert_eq!(end, End::Exited(Some(7)));
        assert_eq!(lines, ["host: done", "half"]);
    }

    #[test]
    fn what_is_awaited_is_answered_in_turn() {
        let script =
            "printf 'login: '; read name; echo; printf '# '; read order; echo $name $order";
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let limits = Limits {
            run: LONG,
            switch_off: LONG,
        };
        let mut lines = Vec::new();
        let note = |line: &str| lines.push(line.to_string());
        let talked = [("login: ", "root"), ("# ", "off")];
        let end = talk(&mut command, limits, &mut std::io::sink(), &talked, note).unwrap();
        assert_eq!(end, End::Exited(Some(0)));
        assert_eq!(lines, ["login: ", "# root off"]);
    }

    #[test]
    fn a_silent_machine_is_ended_at_the_limit() {
        let (end, _) = watch_shell("exec sleep 86400", SHORT, LONG);
        assert_eq!(end, End::TimedOut);
    }

    #[test]
    fn an_endless_talker_is_ended_at_the_limit() {
        let talk = "while echo y; do sleep 0.01; done";
        let (end, lines) = watch_shell(talk, Duration::from_secs(3), LONG);
        assert_eq!(end, End::TimedOut);
        assert!(lines.len() > 1 && lines.iter().all(|line| line == "y"));
    }

    #[test]
    fn a_machine_without_bmc_is_ended_when_it_is_off() {
        let (end, lines) = watch_shell("echo 'catnap: powered off'; exec sleep 86400", LONG, SHORT);
        assert_eq!((end, lines.len()), (End::PoweredOff, 1));
    }

    #[test]
    fn a_bmc_may_take_a_moment_to_end_the_machine() {
        let (end, _) = watch_shell("echo 'catnap: powered off'; sleep 0.1", LONG, LONG);
        assert_eq!(end, End::Exited(Some(0)));
    }

    #[test]
    fn a_panic_is_heard_out() {
        let script =
            "echo 'catnap: PANIC at x'; sleep 0.05; echo 'ring: last words'; exec sleep 86400";
        let (end, lines) = watch_shell(script, LONG, LONG);
        assert_eq!(end, End::Panicked);
        assert_eq!(lines, ["catnap: PANIC at x", "ring: last words"]);
        let (end, _) = watch_shell("echo EPITAPH; exit 0", LONG, LONG);
        assert_eq!(end, End::Panicked);
    }
}

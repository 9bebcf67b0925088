//! Running other programs: plainly, for their answer, or with their output condensed to a line.
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// Lines of a failed program's output that are shown.
const TAIL_LINES: usize = 25;

/// A command as one would type it.
pub fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| quoted(&word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Start a program, with a message that names it if it isn't there.
pub fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().map_err(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        if error.kind() == ErrorKind::NotFound {
            anyhow::anyhow!("{program} isn't installed, or isn't in PATH")
        } else {
            anyhow::Error::new(error).context(format!("starting {program}"))
        }
    })
}

/// Run with the terminal's own input and output; an error unless it ends with success.
pub fn run(command: &mut Command) -> Result<()> {
    let status = spawn(command)?.wait().with_context(|| typed(command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", typed(command));
    }
    Ok(())
}

/// Run for what it writes to standard output; an error, with what it wrote to standard error,
/// unless it ends with success.
pub fn output(command: &mut Command) -> Result<String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = spawn(command)?
        .wait_with_output()
        .with_context(|| typed(command))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` failed ({}): {}",
            typed(command),
            output.status,
            complaint.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Run with all output condensed to one changing line; what it wrote last is shown if it fails
/// or takes longer than `limit`.
pub fn condensed(command: &mut Command, topic: &str, limit: Duration) -> Result<()> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = spawn(command)?;
    let started = Instant::now();
    let (sender, lines) = mpsc::channel();
    send_lines(child.stdout.take().expect("piped"), sender.clone());
    send_lines(child.stderr.take().expect("piped"), sender);

    let (in_time, tail) = show_last(&lines, started + limit);
    if !in_time {
        child.kill().ok();
    }
    let status = child.wait().with_context(|| typed(command))?;
    if in_time && status.success() {
        eprintln!(
            "  {topic}: done in {:.1} s",
            started.elapsed().as_secs_f32()
        );
        return Ok(());
    }
    for line in tail {
        eprintln!("  | {line}");
    }
    match in_time {
        true => bail!("{topic} failed ({status}): `{}`", typed(command)),
        false => bail!(
            "{topic} took longer than {} s: `{}`",
            limit.as_secs(),
            typed(command)
        ),
    }
}

/// A line that shows that something goes on, with a message that changes.
pub fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("  {spinner} {wide_msg}").expect("valid");
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(150));
    bar
}

/// Show the latest line in place of the one before until there are no more; whether that was
/// before the deadline, and the last lines.
fn show_last(lines: &Receiver<String>, deadline: Instant) -> (bool, VecDeque<String>) {
    let bar = bar();
    let mut tail = VecDeque::new();
    let in_time = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) if !left.is_zero() => {
                bar.set_message(line.clone());
                tail.push_back(line);
                if tail.len() > TAIL_LINES {
                    tail.pop_front();
                }
            }
            Err(RecvTimeoutError::Disconnected) => break true,
            Ok(_) | Err(RecvTimeoutError::Timeout) => break false,
        }
    };
    bar.finish_and_clear();
    (in_time, tail)
}

fn send_lines(stream: impl Read + Send + 'static, sender: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            // Programs that redraw a line separate its states by carriage returns.
            let last = line
                .trim_end()
                .rsplit('\r')
                .next()
                .unwrap_or_default()
                .to_string();
            if !last.is_empty() && sender.send(last).is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn words_that_need_quotes_get_them() {
        let mut command = Command::new("qemu");
        command.args(["-append", "smt=4 cores=1", "it's", ""]);
        assert_eq!(
            typed(&command),
            r"qemu -append 'smt=4 cores=1' 'it'\''s' ''"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = output(&mut Command::new("no-such-program-at-all")).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("no-such-program-at-all isn't installed"),
            "{error}"
        );
    }

    #[test]
    fn failure_carries_the_complaint() {
        let error = output(&mut shell("echo no room >&2; exit 3"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no room") && error.contains('3'), "{error}");
    }

    #[test]
    fn condensed_ends_at_its_limit() {
        let mut nap = shell("exec sleep 86400");
        let error = condensed(&mut nap, "nap", Duration::from_millis(200));
        assert!(error.unwrap_err().to_string().contains("nap took longer"));
    }

    #[test]
    fn condensed_tells_failure_from_success() {
        condensed(&mut shell("echo fine"), "echo", Duration::from_secs(10)).unwrap();
        condensed(&mut shell("exit 1"), "exit", Duration::from_secs(10)).unwrap_err();
    }
}

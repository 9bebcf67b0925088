//! QEMU as a process: a machine's command line, its console, and its end.
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use xtask::{process, qemu, socket};

use crate::console::{self, Expected, Lines};
use crate::images;

/// After its last words, or its last line where nothing can switch it off, a machine may say more.
const LINGER: Duration = Duration::from_secs(1);

/// Who has said something: the machine's console, QEMU itself.
const CONSOLE: usize = 0;
const OWN: usize = 1;

/// How QEMU executes the machine's threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tcg {
    /// In turn, in one host thread.
    Single,
    /// Each in a host thread of its own.
    Multi,
    /// In turn, and time counts instructions, one a nanosecond.
    Counting,
}

/// A machine and what it boots.
#[derive(Clone, Debug)]
pub struct Boot {
    pub chips: u32,
    /// Of each chip.
    pub cores: u32,
    /// Of each core.
    pub threads: u32,
    pub tcg: Tcg,
    /// A BMC, which can switch the machine off.
    pub bmc: bool,
    /// All that QEMU's machine has by itself, a BMC among it.
    pub default_devices: bool,
    pub payload: Option<PathBuf>,
    pub initrd: Option<PathBuf>,
    pub bootargs: String,
    /// What is typed, each after the console has said something since the last.
    pub talk: Vec<(String, String)>,
    /// The same for QEMU's monitor.
    pub orders: Vec<(String, String)>,
    pub extra: Vec<String>,
    /// When to give up.
    pub limit: Duration,
    /// Where to look for QEMU first.
    pub programs: Option<PathBuf>,
}

impl Boot {
    /// One chip with a BMC and no other devices, and no payload.
    pub fn new(cores: u32, threads: u32) -> Self {
        Self {
            chips: 1,
            cores,
            threads,
            tcg: Tcg::Multi,
            bmc: true,
            default_devices: false,
            payload: None,
            initrd: None,
            bootargs: String::new(),
            talk: Vec::new(),
            orders: Vec::new(),
            extra: Vec::new(),
            limit: Duration::from_secs(120),
            programs: None,
        }
    }

    /// With a thread of the second core elected to boot. The last `-bios` counts.
    #[must_use]
    pub fn elected_elsewhere(mut self) -> Self {
        let firmware = images::firmware_elected_elsewhere();
        self.extra
            .extend(["-bios".to_string(), firmware.display().to_string()]);
        self
    }

    /// Runs it; it has to end as `end` says, and its console to be as expected.
    ///
    /// # Errors
    /// What was wrong, with the whole console.
    pub fn check(&self, end: &End, expected: &Expected) -> Result<Vec<String>, String> {
        self.start().check(end, expected)
    }

    /// Starts it.
    ///
    /// # Panics
    /// QEMU can't be started.
    pub fn start(&self) -> Running {
        let monitor = (!self.orders.is_empty()).then(monitor_path);
        let mut command = self.command(monitor.as_deref());
        command.stdin(match self.talk.is_empty() {
            true => Stdio::null(),
            false => Stdio::piped(),
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process::spawn(&mut command).unwrap_or_else(|error| panic!("{error:#}"));
        let (sender, output) = mpsc::channel();
        pass_on(CONSOLE, child.stdout.take().expect("piped"), sender.clone());
        pass_on(OWN, child.stderr.take().expect("piped"), sender);
        let mut listeners = Vec::new();
        if let Some(keyboard) = child.stdin.take() {
            listeners.push(Listener::new(keyboard, &self.talk));
        }
        if let Some(socket) = &monitor {
            let monitor = socket::connect(socket).unwrap_or_else(|error| panic!("{error}"));
            listeners.push(Listener::new(monitor, &self.orders));
        }
        Running {
            child,
            listeners,
            output,
            command: qemu::typed(&command),
            tcg: self.tcg,
            limit: self.limit,
        }
    }

    /// QEMU has no children of its own, and dies with the thread that started it.
    fn command(&self, monitor: Option<&Path>) -> Command {
        let monitor = monitor.map_or("none".into(), socket::listens);
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", qemu::PROGRAM]);
        match &self.programs {
            Some(dir) => qemu::search_first(&mut command, dir),
            None => qemu::find_by_path(&mut command),
        }
        command.args(["-machine", "powernv8", "-m", "2G", "-smp", &self.smp()]);
        command.args(["-display", "none", "-monitor", &monitor, "-serial", "stdio"]);
        if !self.default_devices {
            command.arg("-nodefaults");
            if self.bmc {
                command.args(["-device", "ipmi-bmc-sim,id=bmc0"]);
                command.args(["-device", "isa-ipmi-bt,bmc=bmc0,irq=10"]);
            }
        }
        match self.tcg {
            Tcg::Single => command.args(["-accel", "tcg,thread=single"]),
            Tcg::Multi => command.args(["-accel", "tcg,thread=multi"]),
            Tcg::Counting => command.args(["-icount", "shift=0,sleep=off"]),
        };
        command.arg("-bios").arg(images::path("catnap.lid"));
        if let Some(payload) = &self.payload {
            command.arg("-kernel").arg(payload);
        }
        if let Some(initrd) = &self.initrd {
            command.arg("-initrd").arg(initrd);
        }
        if !self.bootargs.is_empty() {
            command.args(["-append", &self.bootargs]);
        }
        command.args(&self.extra);
        command
    }

    fn smp(&self) -> String {
        let (chips, cores, threads) = (self.chips, self.cores, self.threads);
        let all = chips * cores * threads;
        format!("{all},sockets={chips},cores={cores},threads={threads}")
    }
}

/// How a machine is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Switched off, so that QEMU ends by itself and with success.
    Off,
    /// With nothing to switch it off: this is the last that it says.
    Stops(&'static str),
}

/// A machine at work. Ends when dropped.
pub struct Running {
    child: Child,
    listeners: Vec<Listener>,
    output: Receiver<(usize, Vec<u8>)>,
    command: String,
    tcg: Tcg,
    limit: Duration,
}

impl Running {
    /// As [`Boot::check`].
    ///
    /// # Errors
    /// What was wrong, with the whole console.
    pub fn check(mut self, end: &End, expected: &Expected) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        let closed = self.read(&mut lines, |line| {
            console::is_last_word(line) || matches!(end, End::Stops(last) if line.contains(last))
        });
        let expected = match self.tcg {
            Tcg::Counting => expected.clone(),
            Tcg::Single | Tcg::Multi => expected.clone().allow(xtask::console::SLOW),
        };
        let mut faults = expected.faults(&lines);
        faults.extend(self.end_fault(closed, end));
        match faults.is_empty() {
            true => Ok(lines),
            false => Err(report(&faults, &self.command, &lines)),
        }
    }

    /// Reads the console until QEMU closes it (true), or it has been quiet for a moment after a
    /// line that `is_last` tells, or the time is up (false).
    fn read(&mut self, lines: &mut Vec<String>, is_last: impl Fn(&str) -> bool) -> bool {
        // What QEMU says itself must not cut a line of the console in two.
        let mut cutters = [Lines::default(), Lines::default()];
        let mut deadline = Instant::now() + self.limit;
        let mut lingers = false;
        let closed = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok((source, bytes)) if !left.is_zero() => {
                    for listener in &mut self.listeners {
                        listener.hear(&bytes);
                    }
                    let more = cutters[source].push(&bytes);
                    if !lingers && more.iter().any(|line| is_last(line)) {
                        lingers = true;
                        deadline = Instant::now() + LINGER;
                    }
                    lines.extend(more);
                }
                Err(RecvTimeoutError::Disconnected) => break true,
                Ok(_) | Err(RecvTimeoutError::Timeout) => break false,
            }
        };
        lines.extend(cutters.iter_mut().filter_map(Lines::rest));
        closed
    }

    fn end_fault(&mut self, closed: bool, end: &End) -> Option<String> {
        match (closed, end) {
            (true, End::Off) => {
                let status = self.child.wait().expect("QEMU is this process's child");
                (!status.success()).then(|| format!("QEMU ended with {status}"))
            }
            // Whether it stays as it is, or ends by itself since somebody has switched it off.
            (_, End::Stops(_)) => None,
            (false, End::Off) => {
                let seconds = self.limit.as_secs();
                Some(format!(
                    "it doesn't end by itself (waited up to {seconds} s)"
                ))
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Somebody who says something when the console has.
struct Listener {
    input: Box<dyn Write>,
    talk: VecDeque<(String, String)>,
    /// Bytes of the console since the last answer.
    heard: Vec<u8>,
}

impl Listener {
    fn new(input: impl Write + 'static, talk: &[(String, String)]) -> Self {
        Self {
            input: Box::new(input),
            talk: talk.iter().cloned().collect(),
            heard: Vec::new(),
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
        while let Some((wanted, answer)) = self.talk.front() {
            let wanted = wanted.as_bytes();
            let Some(at) = self
                .heard
                .windows(wanted.len())
                .position(|part| part == wanted)
            else {
                return;
            };
            // A machine that has ended hears nothing; its console tells why.
            let _ = self.input.write_all(answer.as_bytes());
            self.heard.drain(..at + wanted.len());
            self.talk.pop_front();
        }
    }
}

/// Where a machine's monitor listens, if it does.
fn monitor_path() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    images::scratch_path(&format!("monitor-{}", NEXT.fetch_add(1, Relaxed)))
}

fn report(faults: &[String], command: &str, lines: &[String]) -> String {
    let (faults, lines) = (faults.join("\n"), lines.join("\n  | "));
    format!("{faults}\n{command}\n  | {lines}")
}

fn pass_on(
    source: usize,
    mut stream: impl Read + Send + 'static,
    to: mpsc::Sender<(usize, Vec<u8>)>,
) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = stream.read(&mut buffer) {
            if to.send((source, buffer[..len].to_vec())).is_err() {
                return;
            }
        }
    });
}

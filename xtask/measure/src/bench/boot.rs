//! From reset to the host's first instruction, beside the firmware that comes with QEMU.
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::code::Code;
use super::exec_log::progress;
use super::opal;
use super::report::{Row, Table};
use super::rounds::{self, Files, Measured};
use super::stretch::Round;
use xtask::qemu::{Boot, Machine};
use xtask::{gdb, process, socket};

const LIMIT: Duration = Duration::from_secs(120);
/// The host's first label.
const HOST_START: &str = "host_start";
/// How the payload tells when it was entered.
const ENTERED: &str = "entered at ";
/// The source of the boot's own steps.
const STEPS: &str = "firmware/src/boot.rs";

pub fn tables(files: &Files, peer: &Path, measured: &Measured) -> Result<Vec<Table>> {
    let phases = phases(files, measured)?;
    let (own, theirs) = (Boots::of(files, &files.lid)?, Boots::of(files, peer)?);
    let row = |name: &str, of: fn(&Boots) -> u64| {
        Row::new(name, of(&own)).beside(Some(super::skiboot(of(&theirs), peer)))
    };
    let further = |kind| further_ns(files, kind);
    let instructions = vec![
        row("1 thread", |boots| boots.one),
        row("1 core of 8 threads", |boots| boots.eight_ns),
        Row::new("each further core of 8 threads", further(Further::Core)?),
        Row::new("each further PCI device", further(Further::Device)?),
    ];
    let microseconds = vec![
        row("1 thread", |boots| boots.one_ns / 1000),
        row("1 core of 8 threads", |boots| boots.eight_ns / 1000),
        row("1 thread, QEMU's default devices", |boots| {
            boots.default_ns / 1000
        }),
    ];
    Ok(vec![
        sizes(files, peer)?,
        Table {
            bench: "boot",
            title: "from reset to the host, all threads",
            unit: "instructions",
            rows: instructions,
            notes: vec![],
        },
        Table {
            bench: "boot",
            title: "from reset to the host, in the machine's time, waits included",
            unit: "µs of 1,000 instructions",
            rows: microseconds,
            notes: vec![],
        },
        phases,
    ])
}

/// One firmware's boots. In a machine of eight threads some thread is always awake, in either
/// firmware: there a nanosecond is an instruction.
struct Boots {
    /// Instructions.
    one: u64,
    one_ns: u64,
    eight_ns: u64,
    /// With all of QEMU's default devices, and one thread.
    default_ns: u64,
}

impl Boots {
    fn of(files: &Files, firmware: &Path) -> Result<Self> {
        let one = rounds::machine(1, 1);
        let default_devices = Machine {
            default_devices: true,
            ..one.clone()
        };
        Ok(Self {
            one: counted(files, firmware, &one)?,
            one_ns: entered_ns(files, firmware, &one)?,
            eight_ns: entered_ns(files, firmware, &rounds::machine(1, 8))?,
            default_ns: entered_ns(files, firmware, &default_devices)?,
        })
    }
}

fn sizes(files: &Files, peer: &Path) -> Result<Table> {
    let len_bytes = |path: &Path| {
        let len_bytes = fs::metadata(path).map(|file| file.len());
        len_bytes.with_context(|| format!("reading {}", path.display()))
    };
    let theirs = super::skiboot(len_bytes(peer)?, peer);
    Ok(Table {
        bench: "boot",
        title: "the image",
        unit: "bytes",
        rows: vec![Row::new("flat image", len_bytes(&files.lid)?).beside(Some(theirs))],
        notes: vec![],
    })
}

fn boot<'a>(files: &'a Files, firmware: &'a Path) -> Boot<'a> {
    Boot {
        firmware,
        payload: &files.calls,
        // The payload wants none, but the machine's command line has one.
        initrd: &files.calls,
        bootargs: "",
        interactive: false,
    }
}

/// Instructions until the host's first one, by QEMU's own count, which it keeps while it records.
fn counted(files: &Files, firmware: &Path, machine: &Machine) -> Result<u64> {
    let host = fs::read(&files.calls)?;
    let entry = Code::read(&host)?.symbol(HOST_START)?;
    let socket = files
        .calls
        .with_file_name(format!("bench-{}.gdb", std::process::id()));
    let mut qemu = machine.command(&boot(files, firmware));
    qemu.args(["-icount", "rr=record,rrfile=/dev/null"]);
    qemu.args(["-S", "-gdb", &socket::listens(&socket)]);
    qemu.stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = process::spawn(&mut qemu)?;
    let counted = count_at(&socket, entry).map_err(|why| anyhow!(why));
    child.kill().ok();
    child.wait()?;
    fs::remove_file(&socket).ok();
    counted.with_context(|| format!("booting {}", firmware.display()))
}

fn count_at(socket: &Path, entry: u64) -> Result<u64, String> {
    let mut debugger = gdb::connect(socket, LIMIT)?;
    debugger.run_to(entry)?;
    let said = debugger.monitor("info replay")?;
    let count = said.rsplit_once("instruction count = ");
    let count = count.and_then(|(_, count)| count.trim().parse().ok());
    count.ok_or_else(|| format!("QEMU tells no count of instructions, but: {said}"))
}

/// What a machine can have one more of.
#[derive(Clone, Copy, Debug)]
pub enum Further {
    /// Of eight threads.
    Core,
    /// Behind a root port.
    Device,
}

/// What one more adds to catnap's boot: by time, as some thread is always awake.
pub fn further_ns(files: &Files, kind: Further) -> Result<u64> {
    let (fewer, more) = match kind {
        Further::Core => (rounds::machine(1, 8), rounds::machine(2, 8)),
        Further::Device => {
            let plugged = |device: &[&str]| Machine {
                extra: [&opal::HOST_BRIDGE, device]
                    .concat()
                    .into_iter()
                    .map(String::from)
                    .collect(),
                ..rounds::machine(1, 1)
            };
            (plugged(&[]), plugged(&["-device", "nvme,serial=1,bus=rp0"]))
        }
    };
    let (fewer, more) = (
        entered_ns(files, &files.lid, &fewer)?,
        entered_ns(files, &files.lid, &more)?,
    );
    Ok(more.saturating_sub(fewer))
}

/// The time at the host's first instruction.
pub fn entered_ns(files: &Files, firmware: &Path, machine: &Machine) -> Result<u64> {
    let mut qemu = machine.command(&boot(files, firmware));
    qemu.stdin(Stdio::null());
    qemu.stdout(Stdio::piped()).stderr(Stdio::piped());
    let bar = progress(&format!("booting {}", firmware.display()));
    let mut child = process::spawn(&mut qemu)?;
    let lines = BufReader::new(child.stdout.take().expect("piped")).split(b'\n');
    let (told, entered) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = lines.map_while(Result::ok);
        let found = lines.find_map(|line| ns(String::from_utf8_lossy(&line).trim_end()));
        // Whoever has given up waiting needs no answer.
        let _ = told.send(found);
    });
    let entered = entered.recv_timeout(LIMIT);
    child.kill().ok();
    child.wait()?;
    bar.finish_and_clear();
    let entered = entered.ok().flatten();
    entered.with_context(|| format!("{}: no host was entered", firmware.display()))
}

/// Of a line such as `entered at 1051490 ns`.
fn ns(line: &str) -> Option<u64> {
    line.strip_prefix(ENTERED)?
        .strip_suffix(" ns")?
        .parse()
        .ok()
}

/// catnap's boot, on one core of eight threads.
pub fn measure(files: &Files) -> Result<Measured> {
    rounds::measure(files, &rounds::machine(1, 8), "query", "")
}

/// What each step of catnap's boot costs, by the function of its source that was entered last.
fn phases(files: &Files, measured: &Measured) -> Result<Table> {
    let elf = fs::read(&files.elf)?;
    let code = Code::read(&elf)?;
    let boot_thread = steps(&measured.boot, &code)?;
    let others = measured.boot.iter().filter(|stretch| stretch.cpu != 0);
    let others = others.map(super::stretch::Stretch::count).sum();
    let mut rows = boot_thread;
    rows.push(Row::new("the other seven threads", others));
    rows.push(Row::new("all", rows.iter().map(|row| row.count).sum()));
    Ok(Table {
        bench: "boot",
        title: "catnap's steps, 1 core of 8 threads",
        unit: "instructions",
        rows,
        notes: vec![
            "the payload is the test host, which is larger than that of the other tables".into(),
        ],
    })
}

/// Steps of the boot thread in their order.
fn steps(boot: &Round, code: &Code<'_>) -> Result<Vec<Row>> {
    let first = boot.iter().find(|stretch| stretch.cpu == 0);
    let first = first.context("no instruction of the boot thread")?;
    let mut known = HashMap::new();
    let mut rows = vec![Row::new("reset", 0)];
    let mut at = 0;
    for step in &first.steps {
        let name = known
            .entry(*step)
            .or_insert_with(|| step_of_boot(code, *step));
        if let Some(name) = name {
            let place = rows.iter().position(|row| row.name == *name);
            at = place.unwrap_or(rows.len());
            if place.is_none() {
                rows.push(Row::new(name.clone(), 0));
            }
        }
        rows[at].count += 1;
    }
    ensure!(
        rows.len() > 3,
        "the boot's steps have no names in the debug information"
    );
    Ok(fold(rows))
}

/// What takes next to nothing is no step of its own, but belongs to the one before.
fn fold(rows: Vec<Row>) -> Vec<Row> {
    const LEAST: u64 = 100;
    let mut folded = Vec::<Row>::new();
    for row in rows {
        match folded.last_mut() {
            Some(before) if row.count < LEAST => before.count += row.count,
            _ => folded.push(row),
        }
    }
    folded
}

/// The innermost function of the boot's source at an address.
fn step_of_boot(code: &Code<'_>, at: u64) -> Option<String> {
    let frames = code.frames(at);
    let own = frames
        .iter()
        .rev()
        .filter(|(file, _, _)| file.ends_with(STEPS));
    own.filter_map(|(_, _, name)| super::code::short(name))
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_steps_are_folded() {
        let rows = [("reset", 7), ("a", 5000), ("b", 3), ("c", 100)];
        let folded = fold(rows.map(|(name, count)| Row::new(name, count)).to_vec());
        let folded: Vec<_> = folded.iter().map(|row| (&*row.name, row.count)).collect();
        assert_eq!(folded, [("reset", 7), ("a", 5003), ("c", 100)]);
    }

    #[test]
    fn entries_are_read() {
        assert_eq!(ns("entered at 1051490 ns"), Some(1_051_490));
        assert_eq!(ns("call CHECK_TOKEN: 170 ns, answered 1"), None);
    }
}

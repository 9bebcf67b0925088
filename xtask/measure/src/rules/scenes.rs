//! What is executed under the eyes of the rules.
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::flow::{Flow, THREADS, Ways};
use super::tally::{Tally, Watch};
use crate::bench::code::{BASE, Code, VECTOR_PAGE_BYTES};
use crate::bench::exec_log;
use crate::bench::rounds::{self, CODE_BYTES, Files};
use xtask::qemu::Boot;
use xtask::socket;

const LIMIT: Duration = Duration::from_secs(240);
const CORES: u32 = 2;

/// What the test host says when it waits for a system reset, and what QEMU's monitor then gets.
const STRIKE: (&str, &str) = ("struck: now", "nmi\n");

/// Behaviours of the test host that are shown after one boot.
#[derive(Debug)]
pub struct Scene {
    pub name: &'static str,
    pub behaviours: &'static [&'static str],
    /// Further boot arguments.
    arguments: &'static str,
}

pub const SCENES: &[Scene] = &[
    Scene {
        name: "runs",
        behaviours: &[
            "keep_slb",
            "registers",
            "run1",
            "run8",
            "host_little_endian",
            "ptid",
            "exits",
            "vrma_beside_rmor",
            "time_base",
        ],
        arguments: "",
    },
    Scene {
        name: "waits",
        behaviours: &[
            "cede_prod",
            "decrementer",
            "external",
            "doorbell",
            "doorbell_kept",
            "counting",
        ],
        arguments: "",
    },
    Scene {
        name: "cores",
        behaviours: &[
            "kick",
            "join",
            "claim",
            "secondary",
            "spurious",
            "kick_guest",
        ],
        arguments: "",
    },
    Scene {
        name: "tables",
        behaviours: &[
            "own_page_faults",
            "denied",
            "page_table_calls",
            "memory_taken_back",
        ],
        arguments: "",
    },
    Scene {
        name: "resets",
        behaviours: &["struck"],
        arguments: "catnap.mitigations=on",
    },
];

/// The scenes of these names, all if there are none.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Scene>> {
    if names.is_empty() {
        return Ok(SCENES.iter().collect());
    }
    let find = |name: &String| {
        let found = SCENES.iter().find(|scene| scene.name == name);
        found.with_context(|| {
            let all: Vec<_> = SCENES.iter().map(|scene| scene.name).collect();
            format!("there is no scene {name}, but {}", all.join(", "))
        })
    };
    names.iter().map(find).collect()
}

impl Scene {
    /// Boots it and has all rules watch.
    pub fn watch(&self, files: &Files, elf: &[u8], tally: &mut Tally) -> Result<()> {
        let code = Code::read(elf)?;
        let machine = rounds::machine(CORES, THREADS as u32);
        let mut qemu = machine.command(&Boot {
            firmware: &files.lid,
            payload: &files.host,
            initrd: &files.initrd,
            bootargs: &format!("test={} {}", self.behaviours.join(","), self.arguments),
            interactive: false,
        });
        let (first, last) = (BASE, BASE + CODE_BYTES - 1);
        let ranges = [
            0..=VECTOR_PAGE_BYTES - 1,
            first..=last,
            first | 1 << 63..=last | 1 << 63,
        ];
        exec_log::log_instructions(&mut qemu, &ranges);
        let cores = CORES as usize;
        let flow = Flow::new(Ways::new(&code)?, cores);
        let mut watch = Watch::new(self.name, &code, flow, cores, tally);
        let name = format!("rules-monitor-{}", std::process::id());
        let socket = files.folder.join(name);
        qemu.args(["-monitor", &socket::listens(&socket)]);
        let monitor = socket.clone();
        let on_line = move |line: &str| {
            if line == STRIKE.0 {
                strike(&monitor);
            }
        };
        let topic = format!("{}, under the rules", self.name);
        let on_step = |step| watch.take(step);
        let console = exec_log::run_heard(&mut qemu, &topic, LIMIT, on_line, on_step);
        fs::remove_file(socket).ok();
        let console = console?;
        let mut behaviours = self.behaviours.iter();
        behaviours.try_for_each(|behaviour| rounds::shown(&console, behaviour))
    }
}

/// If the monitor doesn't listen, the test host waits in vain, and says so.
fn strike(socket: &Path) {
    let struck = socket::connect(socket).map(|mut monitor| monitor.write_all(STRIKE.1.as_bytes()));
    if let Err(why) = struck {
        eprintln!("rules: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_are_chosen_by_name() {
        assert_eq!(chosen(&[]).unwrap().len(), SCENES.len());
        let one = chosen(&["waits".to_string()]).unwrap();
        assert_eq!(one[0].name, "waits");
        let error = chosen(&["wait".to_string()]).unwrap_err().to_string();
        assert!(error.contains("waits"), "{error}");
    }
}

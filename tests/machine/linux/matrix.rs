//! Linux on more machines, and told more, than every run of the tests can afford. Each with both
//! kernels: `cargo xtask test --ignored linux-matrix`.
use libtest_mimic::Trial;
use tests::console::Expected;
use tests::images;
use tests::qemu::{Boot, End};
use xtask::linux;
use xtask::setup::debian::Release;

use super::{checks, files, with_kernel};
use crate::{Outcome, trial};

/// A machine, what its Linux is told, and how many threads that has to have then.
struct Cell {
    name: &'static str,
    /// Chips, cores of each, threads of each.
    shape: (u32, u32, u32),
    memory: &'static str,
    words: &'static str,
    cpus: u32,
}

const CELL: Cell = Cell {
    name: "",
    shape: (1, 2, 2),
    memory: "2G",
    words: "",
    cpus: 2,
};

const CELLS: [Cell; 15] = [
    Cell {
        name: "1G",
        memory: "1G",
        ..CELL
    },
    Cell {
        name: "4G",
        memory: "4G",
        ..CELL
    },
    Cell {
        name: "8G",
        memory: "8G",
        ..CELL
    },
    Cell {
        name: "2-chips-of-2-cores",
        shape: (2, 2, 2),
        cpus: 4,
        ..CELL
    },
    Cell {
        name: "all-12-threads-of-6-cores",
        shape: (1, 6, 2),
        words: "catnap.threads=host check.hotplug=2",
        cpus: 12,
        ..CELL
    },
    Cell {
        name: "all-8-threads-of-2-chips",
        shape: (2, 2, 2),
        words: "catnap.threads=host check.hotplug=2",
        cpus: 8,
        ..CELL
    },
    Cell {
        name: "all-threads-of-4-chips",
        shape: (4, 1, 2),
        memory: "4G",
        words: "catnap.threads=host",
        cpus: 4,
    },
    Cell {
        name: "all-8-threads-of-1-core",
        shape: (1, 1, 8),
        words: "catnap.threads=host check.hotplug=4",
        cpus: 8,
        ..CELL
    },
    Cell {
        name: "hotplug-of-2-cores",
        words: "check.hotplug=20",
        ..CELL
    },
    Cell {
        name: "nosmp",
        words: "nosmp",
        cpus: 1,
        ..CELL
    },
    Cell {
        name: "nosmt",
        words: "nosmt",
        ..CELL
    },
    Cell {
        name: "maxcpus",
        words: "catnap.threads=host maxcpus=2",
        ..CELL
    },
    Cell {
        name: "smt-enabled-off",
        words: "smt-enabled=off",
        ..CELL
    },
    Cell {
        name: "powersave-off",
        words: "powersave=off",
        ..CELL
    },
    Cell {
        name: "all-threads-powersave-off",
        words: "catnap.threads=host powersave=off check.hotplug=2",
        cpus: 4,
        ..CELL
    },
];

pub fn trials() -> Vec<Trial> {
    let cells = Release::ALL.into_iter().flat_map(|release| {
        let cells = CELLS.iter().map(move |cell| {
            let name = format!("linux-matrix::{}-{}", release.name(), cell.name);
            trial(name, move || cell.passes(release))
        });
        let dumps = [
            ("kdump", ""),
            ("kdump-of-all-threads", "catnap.threads=host"),
        ];
        let dumps = dumps.map(|(name, words)| {
            let name = format!("{}-{name}", release.name());
            trial(format!("linux-matrix::{name}"), move || {
                kdump(&name, release, words)
            })
        });
        cells.chain(dumps)
    });
    cells.map(|cell| cell.with_ignored_flag(true)).collect()
}

impl Cell {
    fn passes(&self, release: Release) -> Outcome {
        let (chips, cores, threads) = self.shape;
        let boot = Boot {
            chips,
            // The last one counts.
            extra: ["-m", self.memory].map(String::from).into(),
            ..Boot::new(cores, threads)
        };
        let words = linux::check_words(self.cpus);
        let words = format!("{} {words} {}", self.words, linux::CHECK_BMC);
        let boot = with_kernel(release, boot, &words);
        let expected = match chips {
            0..=xtask::qemu::MAX_CHIPS => checks(),
            _ => checks().allow("are left out"),
        };
        boot.check(&End::Off, &expected).map(drop)
    }
}

/// A kernel that dies starts another, in memory kept for it, which finds the dead one's.
fn kdump(name: &str, release: Release, words: &str) -> Outcome {
    let cpus = if words.is_empty() { 2 } else { 4 };
    let words = format!(
        "{words} {} crashkernel=512M check.end=kdump",
        linux::check_words(cpus)
    );
    let archive = linux::initrd_for_kexec(&files(), &images::folder(), release);
    let archive = archive.map_err(|error| format!("{error:#}"))?;
    let boot = Boot {
        initrd: Some(images::scratch_file(&format!("{name}.cpio"), &archive)),
        ..with_kernel(release, Boot::new(2, 2), &words)
    };
    let expected = Expected::lines([linux::DONE])
        .then("Kernel panic - not syncing: sysrq triggered crash")
        .then("Linux version")
        .then("check: ok cpus")
        .then(linux::DONE)
        .then("check: ok dump")
        .then("reboot: Power down")
        .forbid("check: FAILED");
    boot.check(&End::Off, &expected).map(drop)
}

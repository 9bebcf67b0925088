//! What a hypercall costs a guest of Linux's KVM, by the module on catnap's vcores and by Linux's own backend.
use std::fs;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::report::{Peer, Row, Table};
use super::rounds::{self, Files, Measured};
use xtask::console::{self, Limits};
use xtask::guest::module;
use xtask::qemu::Boot;
use xtask::setup::debian::{self, Release};

/// As catnap has it by default.
const WORDS: &str = "console=hvc0 quiet mitigations=off";
const HOST: Release = Release::V6_12;
const SOURCE: &str = "Linux 6.12 on catnap, mitigations off";
/// The test host's rows of a round trip of one vcpu, and what they are.
const ROWS: [(&str, &str); 2] = [
    ("smt1", "1 vcpu"),
    ("smt1 all", "1 vcpu, no flags, FP, 4 SLB entries"),
];

/// Nanoseconds of a round, which are instructions.
pub struct Rounds {
    kvm_hv: u64,
    module: u64,
}

impl Rounds {
    /// Boots Linux with a virtual machine by the one backend and then by the other.
    pub fn measure(files: &Files) -> Result<Self> {
        let debian = debian::Files::ensure()?;
        let archive = module::archive_of_rounds(&debian, &files.folder, HOST)?;
        let initrd = debian.dir().join("rounds.cpio");
        fs::write(&initrd, archive).with_context(|| format!("writing {}", initrd.display()))?;
        // With one thread a nanosecond is an instruction.
        let mut qemu = rounds::machine(1, 1).command(&Boot {
            firmware: &files.lid,
            payload: &debian.kernel(HOST),
            initrd: &initrd,
            bootargs: &format!("{WORDS} {}", module::ROUNDS),
            interactive: false,
        });
        let limits = Limits {
            run: Duration::from_secs(240),
            switch_off: Duration::from_secs(10),
        };
        let mut told = Vec::new();
        let note = |line: &str| told.extend(ns_told(line));
        let end = console::watch(&mut qemu, limits, &mut io::sink(), note)?;
        match *told {
            [kvm_hv, module] => Ok(Self { kvm_hv, module }),
            _ => bail!("Linux told of {} virtual machines ({end:?})", told.len()),
        }
    }

    fn peer(&self) -> Option<Peer> {
        Some(Peer {
            name: "kvm_hv",
            count: self.kvm_hv,
            source: SOURCE.into(),
        })
    }

    /// Linux's own backend beside a host of catnap's.
    pub fn of_a_host(&self, measured: &Measured) -> Result<Table> {
        let row = |(name, what)| {
            let own = measured.row(name)?.round_trip()?;
            Ok(Row::new(what, own).beside(self.peer()))
        };
        Ok(Table {
            bench: "vcore",
            title: "a hypercall to the host and back",
            unit: "instructions",
            rows: ROWS.into_iter().map(row).collect::<Result<_>>()?,
            notes: vec![format!(
                "kvm_hv: {SOURCE}; to the program that runs the guest and back, FP included"
            )],
        })
    }

    /// The module beside Linux's own backend.
    pub fn of_the_module(&self) -> Table {
        let row = Row::new("1 vcpu", self.module).beside(self.peer());
        Table {
            bench: "kvm",
            title: "a hypercall to the program that runs the guest and back",
            unit: "instructions",
            rows: vec![row],
            notes: vec![format!("{SOURCE}; by linux/kvm-catnap, and by kvm_hv")],
        }
    }
}

/// Of a line such as `kvm 0: 7146 ns a round`.
fn ns_told(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("kvm 0: ")?;
    rest.strip_suffix(" ns a round")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_read() {
        assert_eq!(ns_told("kvm 0: 7146 ns a round"), Some(7146));
        assert_eq!(ns_told("kvm 0: a run: errno 12"), None);
        assert_eq!(ns_told("kvm: 1 of 1 machines were good"), None);
    }
}

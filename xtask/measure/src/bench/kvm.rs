//! What a hypercall costs a guest of Linux's own hypervisor, on catnap.
use std::io;
use std::time::Duration;

use anyhow::{Context, Result};

use super::report::{Peer, Row, Table};
use super::rounds::{self, Files, Measured};
use xtask::console::{self, Limits};
use xtask::linux;
use xtask::qemu::Boot;
use xtask::setup::debian::{self, Release};

/// As catnap has it by default.
const WORDS: &str = "console=hvc0 quiet mitigations=off catnap.kvm";
/// The test host's rows of a round trip of one vcpu, and what they are.
const ROWS: [(&str, &str); 2] = [
    ("smt1", "1 vcpu"),
    ("smt1 all", "1 vcpu, no flags, FP, 4 SLB entries"),
];

/// Boots Linux with a virtual machine, and sets its round trip beside catnap's.
pub fn table(files: &Files, measured: &Measured) -> Result<Table> {
    let count = round_ns(files)?;
    let row = |(name, what)| {
        let peer = Peer {
            name: "kvm_hv",
            count,
            source: "Linux 6.12 on catnap, mitigations off".into(),
        };
        let own = measured.row(name)?.round_trip()?;
        Ok(Row::new(what, own).beside(Some(peer)))
    };
    Ok(Table {
        bench: "vcore",
        title: "a hypercall to the host and back",
        unit: "instructions",
        rows: ROWS.into_iter().map(row).collect::<Result<_>>()?,
        notes: vec![
            "kvm_hv: Linux 6.12 on catnap, mitigations off; to the program that runs the guest and back, FP included".into(),
        ],
    })
}

/// With one thread a nanosecond is an instruction.
fn round_ns(files: &Files) -> Result<u64> {
    let debian = debian::Files::ensure()?;
    let initrd = linux::write_initrd(&debian, &files.folder, Some(Release::V6_12))?;
    let mut qemu = rounds::machine(1, 1).command(&Boot {
        firmware: &files.lid,
        payload: &debian.kernel(Release::V6_12),
        initrd: &initrd,
        bootargs: WORDS,
        interactive: false,
    });
    let limits = Limits {
        run: Duration::from_secs(240),
        switch_off: Duration::from_secs(10),
    };
    let mut found = None;
    let note = |line: &str| found = found.or_else(|| told(line));
    let end = console::watch(&mut qemu, limits, &mut io::sink(), note)?;
    found.with_context(|| format!("Linux told of no virtual machine ({end:?})"))
}

/// Of a line such as `kvm 0: 7146 ns a round`.
fn told(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("kvm 0: ")?;
    rest.strip_suffix(" ns a round")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_read() {
        assert_eq!(told("kvm 0: 7146 ns a round"), Some(7146));
        assert_eq!(told("kvm 0: a run: errno 12"), None);
        assert_eq!(told("kvm: 1 of 1 machines were good"), None);
    }
}

//! OPAL's calls, beside those of the firmware that comes with QEMU.
//!
//! Both firmwares boot the same payload on the same machine, with QEMU counting instructions.
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::report::{Row, Table};
use super::rounds::{self, Files};
use xtask::console::{self, Limits};
use xtask::qemu::Boot;

/// The payload that makes the calls.
pub const PAYLOAD: &str = "callbench";
/// Calls that it makes at least.
const LEAST: usize = 10;
/// Calls of PCI, which it makes on a machine that has a host bridge.
const PCI: &str = "PCI_";
pub const HOST_BRIDGE: [&str; 4] = [
    "-device",
    "pnv-phb,chip-id=0,index=0,id=phb0",
    "-device",
    "pnv-phb-root-port,bus=phb0,id=rp0",
];

pub fn table(files: &Files, peer: &Path) -> Result<Table> {
    let own = all_calls(files, &files.lid)?;
    let peers = all_calls(files, peer)?;
    let row = |(name, count): (String, u64)| {
        let peer = peers.get(&name).map(|count| super::skiboot(*count, peer));
        Row::new(name, count).beside(peer)
    };
    Ok(Table {
        bench: "opal",
        title: "calls of OPAL, the mean of 200",
        unit: "instructions",
        rows: own.into_iter().map(row).collect(),
        notes: vec![],
    })
}

/// Instructions by call.
type Costs = BTreeMap<String, u64>;

/// Those of PCI are of a machine of their own, for the others' sake: a host bridge makes some of them dearer.
fn all_calls(files: &Files, firmware: &Path) -> Result<Costs> {
    let mut costs = calls(files, firmware, &[])?;
    let with_bridge = calls(files, firmware, &HOST_BRIDGE)?;
    costs.extend(
        with_bridge
            .into_iter()
            .filter(|(name, _)| name.starts_with(PCI)),
    );
    Ok(costs)
}

/// Boots a firmware with the payload and reads what it tells.
fn calls(files: &Files, firmware: &Path, devices: &[&str]) -> Result<Costs> {
    let mut qemu = rounds::machine(1, 1).command(&Boot {
        firmware,
        payload: &files.calls,
        // The payload wants none, but the machine's command line has one.
        initrd: &files.calls,
        bootargs: "",
        interactive: false,
    });
    qemu.args(devices);
    let limits = Limits {
        run: Duration::from_secs(60),
        switch_off: Duration::from_secs(10),
    };
    let mut costs = Costs::new();
    let note = |line: &str| costs.extend(cost(line));
    let end = console::watch(&mut qemu, limits, &mut io::sink(), note)?;
    if costs.is_empty() {
        bail!("{} told of no call ({end:?})", firmware.display());
    }
    ensure!(
        costs.len() > LEAST,
        "{} told of {} calls only",
        firmware.display(),
        costs.len()
    );
    Ok(costs)
}

/// Of a line such as `call CHECK_TOKEN: 170 ns, answered 1`.
fn cost(line: &str) -> Option<(String, u64)> {
    let (name, rest) = line.strip_prefix("call ")?.split_once(": ")?;
    let number = rest.split_once(" ns")?.0.parse().ok()?;
    Some((name.to_string(), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_read() {
        let line = "call CHECK_TOKEN: 170 ns, answered 1";
        assert_eq!(cost(line), Some(("CHECK_TOKEN".into(), 170)));
        assert_eq!(cost("sixteen letters"), None);
    }
}

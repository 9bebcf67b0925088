//! `cargo xtask bench`: what things cost, in instructions.
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};

use crate::console::{self, Limits};
use crate::image::{self, Images};
use crate::qemu::{Boot, Machine};
use crate::setup;

/// The payload that makes the calls.
const PAYLOAD: &str = "callbench";
/// Where packages of QEMU put the firmware that comes with it.
const PEERS: [&str; 3] = [
    "/usr/share/qemu/skiboot.lid",
    "/usr/share/skiboot/skiboot.lid",
    "/usr/local/share/qemu/skiboot.lid",
];

#[derive(Args)]
pub struct BenchOptions {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// OPAL's calls, beside those of the firmware that comes with QEMU.
    ///
    /// Both firmwares boot the same payload on the same machine, with QEMU counting instructions:
    /// numbers are exact, and alike from run to run.
    Opal {
        /// The firmware to compare with [default: QEMU's skiboot.lid]
        #[arg(long, value_name = "FILE")]
        peer: Option<PathBuf>,
    },
}

/// The command.
pub fn bench(options: &BenchOptions) -> Result<ExitCode> {
    let What::Opal { peer } = &options.what;
    setup::quick()?;
    let images = image::build(false)?;
    let peer = match peer {
        Some(peer) => peer.clone(),
        None => installed_peer()?,
    };
    let own = calls(&images, &images.lid())?;
    let peers = calls(&images, &peer)?;
    print!("{}", table(&own, &peers));
    Ok(ExitCode::SUCCESS)
}

fn installed_peer() -> Result<PathBuf> {
    let found = PEERS
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file());
    found.with_context(|| format!("no firmware at {}: give one with --peer", PEERS.join(", ")))
}

/// Instructions by call.
type Costs = BTreeMap<String, u64>;

/// Boots a firmware with the payload and reads what it tells.
fn calls(images: &Images, firmware: &Path) -> Result<Costs> {
    let machine = Machine {
        cores: Some(1),
        threads: Some(1),
        icount: true,
        ..Machine::default()
    };
    let mut qemu = machine.command(&Boot {
        firmware,
        payload: &images.payload(PAYLOAD),
        // The payload wants none, but the machine's command line has one.
        initrd: &images.payload(PAYLOAD),
        bootargs: "",
        interactive: false,
    });
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
        costs.len() > 10,
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

fn table(own: &Costs, peers: &Costs) -> String {
    let mut out = format!(
        "{:<28}{:>10}{:>10}{:>8}\n",
        "instructions", "catnap", "peer", "ratio"
    );
    for (name, own) in own {
        let (peer, ratio) = match peers.get(name) {
            Some(peer) if *peer > 0 => (
                peer.to_string(),
                format!("{:.2}", *own as f64 / *peer as f64),
            ),
            _ => ("-".into(), "-".into()),
        };
        out += &format!("{name:<28}{own:>10}{peer:>10}{ratio:>8}\n");
    }
    out
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

    #[test]
    fn ratios_are_of_own_to_peer() {
        let costs = |number| Costs::from([("X".to_string(), number)]);
        assert!(table(&costs(50), &costs(200)).contains("50       200    0.25"));
        assert!(table(&costs(50), &Costs::new()).contains("50         -       -"));
    }
}

//! How fast the disk and the network of a Linux are, beside the firmware that comes with QEMU.
//!
//! Rates are of the machine's own clock, which is the build host's: they depend on what else that does. Both
//! firmwares take turns, and the best of each counts.
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::report::{Row, Table};
use super::rounds::Files;
use xtask::console::{self, Limits};
use xtask::linux;
use xtask::qemu::{Boot, Machine};
use xtask::setup::debian::{self, Release};

const TURNS: usize = 3;
const DISK_BYTES: u64 = 1 << 30;
const STREAM_KIB: u64 = 16 << 10;
/// Rates that Linux tells.
const RATES: usize = 4;

/// KiB a second, by what they are of.
type Rates = BTreeMap<String, u64>;

pub fn table(files: &Files, peer: &Path) -> Result<Table> {
    let debian = debian::Files::ensure()?;
    let initrd = linux::write_initrd(&debian, &files.folder, Some(Release::V6_12))?;
    let kernel = debian.kernel(Release::V6_12);
    let (mut own, mut peers) = (Rates::new(), Rates::new());
    for turn in 1..=TURNS {
        eprintln!("bench: Linux's disk and network, turn {turn} of {TURNS}");
        for (firmware, best) in [(&*files.lid, &mut own), (peer, &mut peers)] {
            for (name, rate) in rates(files, firmware, &kernel, &initrd)? {
                let most = best.entry(name).or_default();
                *most = rate.max(*most);
            }
        }
    }
    let row = |(name, rate): (String, u64)| {
        let peer = peers.get(&name).map(|rate| super::skiboot(*rate, peer));
        Row::new(name, rate).beside(peer)
    };
    Ok(Table {
        bench: "pci",
        title: "Linux 6.12 with NVMe and virtio-net, the best of three",
        unit: "KiB a second",
        rows: own.into_iter().map(row).collect(),
        notes: vec![
            "By the build host's clock: more is better, and a few per cent are chance.".into(),
        ],
    })
}

/// Boots a firmware with Linux and reads what that tells.
fn rates(files: &Files, firmware: &Path, kernel: &Path, initrd: &Path) -> Result<Rates> {
    let machine = Machine {
        cores: Some(1),
        threads: Some(1),
        ..Machine::default()
    };
    let words = format!("console=hvc0 quiet catnap.rates rates.stream={STREAM_KIB}");
    let mut qemu = machine.command(&Boot {
        firmware,
        payload: kernel,
        initrd,
        bootargs: &words,
        interactive: false,
    });
    qemu.args(devices(&files.folder.with_file_name("rates"))?);
    let limits = Limits {
        run: Duration::from_secs(300),
        switch_off: Duration::from_secs(20),
    };
    let mut rates = Rates::new();
    let note = |line: &str| rates.extend(rate(line));
    let end = console::watch(&mut qemu, limits, &mut io::sink(), note)?;
    let firmware = firmware.display();
    ensure!(
        rates.len() == RATES,
        "Linux on {firmware} told of {} rates, not of {RATES} ({end:?})",
        rates.len()
    );
    Ok(rates)
}

/// A disk, and a network whose server at 10.0.2.100 sends a stream.
fn devices(folder: &Path) -> Result<Vec<String>> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let sized = |name: &str, len_bytes: u64| {
        let path = folder.join(name);
        let made = File::create(&path).and_then(|file| file.set_len(len_bytes));
        made.with_context(|| format!("making {}", path.display()))?;
        fs::canonicalize(&path).with_context(|| format!("finding {}", path.display()))
    };
    let disk = sized("disk", DISK_BYTES)?;
    let stream = sized("stream", STREAM_KIB << 10)?;
    let mut options = Vec::new();
    let mut add = |option: &str, value: String| options.extend([option.to_string(), value]);
    for index in 0..2 {
        let bridge = format!("pnv-phb,chip-id=0,index={index},id=phb{index}");
        add("-device", bridge);
        let port = format!("pnv-phb-root-port,bus=phb{index},id=rp{index}");
        add("-device", port);
    }
    let drive = format!("file={},format=raw,if=none,id=disk", disk.display());
    add("-drive", drive);
    add("-device", "nvme,bus=rp0,serial=catnap,drive=disk".into());
    let server = format!("guestfwd=tcp:10.0.2.100:80-cmd:cat {}", stream.display());
    add("-netdev", format!("user,id=net,{server}"));
    let network = "virtio-net-pci,bus=rp1,netdev=net,romfile=";
    add("-device", network.into());
    Ok(options)
}

/// Of a line such as `rate disk, read: 65536 KiB in 250 ms`.
fn rate(line: &str) -> Option<(String, u64)> {
    let (name, rest) = line.strip_prefix("rate ")?.split_once(": ")?;
    let (kib, rest) = rest.split_once(" KiB in ")?;
    let kib: u64 = kib.parse().ok()?;
    let ms: u64 = rest.strip_suffix(" ms")?.parse().ok()?;
    Some((name.to_string(), kib * 1000 / ms.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        let line = "rate disk, read: 65536 KiB in 250 ms";
        assert_eq!(rate(line), Some(("disk, read".into(), 262_144)));
        assert_eq!(rate("rates: disk, read FAILED"), None);
        assert_eq!(
            rate("rate disk, read: 5 KiB in 0 ms"),
            Some(("disk, read".into(), 5000))
        );
    }
}

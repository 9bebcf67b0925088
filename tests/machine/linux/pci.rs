//! Linux with disks and networks on PCI: drivers bind, a file stays on each disk through a reboot, and the same
//! file comes through each network.
use std::fs;
use std::path::Path;
use std::time::Duration;

use libtest_mimic::Trial;
use sha2::{Digest, Sha256};
use tests::console::Expected;
use tests::images;
use tests::qemu::{Boot, End};
use xtask::linux;
use xtask::setup::debian::Release;

use super::{checks, with_kernel};
use crate::{Outcome, trial};

const DISK_BYTES: u64 = 32 << 20;
/// Of those with a file of [`BIG_FILE_MIB`].
const BIG_DISK_BYTES: u64 = 96 << 20;
const BIG_FILE_MIB: u32 = 64;
const FILE_BYTES: u32 = 100_000;

pub fn trials() -> Vec<Trial> {
    let ignored = |name: &str, run: fn() -> Outcome| {
        trial(format!("pci-matrix::{name}"), run).with_ignored_flag(true)
    };
    vec![
        trial("linux::pci", || kept_through_a_reboot("pci")),
        ignored("nomsi", || {
            let plugged = Plugged::new("nomsi").nvme(0).e1000e(1);
            plugged.passes(Release::V6_12, Boot::new(1, 2), "pci=nomsi", "ICS")
        }),
        ignored("6.1", || {
            let plugged = Plugged::new("older").nvme(0).e1000e(1).nvme(2);
            plugged.passes(Release::V6_1, Boot::new(2, 2), "", "PCI-MSI")
        }),
        ignored("2-chips", || {
            let boot = Boot {
                chips: 2,
                ..Boot::new(1, 2)
            };
            let plugged = Plugged::new("chips").nvme(1).nvme(3).e1000e(5);
            plugged.passes(Release::V6_12, boot, "", "PCI-MSI")
        }),
        ignored("8-threads", || {
            let plugged = Plugged::new("threads").nvme(0).e1000e(1);
            let words = format!("catnap.threads=host {}", linux::check_words(8));
            plugged.passes(Release::V6_12, Boot::new(1, 8), &words, "PCI-MSI")
        }),
        ignored("64-MiB", || big_file("big")),
        ignored("spread", || {
            let plugged = Plugged::new("spread").nvme(0).nvme(1);
            let words = format!("catnap.threads=host {} check.spread", linux::check_words(4));
            plugged.passes(Release::V6_12, Boot::new(1, 4), &words, "PCI-MSI")
        }),
        ignored("recovery", recovers),
        ignored("kexec", || another_kernel_reads("kexec")),
        ignored("kdump", || another_kernel_reads("kdump")),
        ignored("as-skiboot", lists_as_skiboot),
        ignored("nothing-plugged", || {
            let words = linux::check_words(1);
            let boot = Boot {
                default_devices: true,
                ..with_kernel(Release::V6_12, Boot::new(1, 8), &words)
            };
            boot.check(&End::Off, &checks()).map(drop)
        }),
        ignored("legacy-bridge", || {
            let mut plugged = Plugged::new("legacy").nvme(0);
            plugged.other("pcie-pci-bridge,bus=rp1,id=legacy");
            let plugged = plugged.disk("virtio-blk-pci,bus=legacy,addr=2");
            plugged.passes(Release::V6_12, Boot::new(1, 2), "", "PCI-MSI")
        }),
        ignored("other-disks", || {
            let mut plugged = Plugged::new("other").nvme(0);
            plugged.device("megasas-gen2,bus=rp1,id=raid,romfile=");
            let mut plugged = plugged.drive("scsi-hd,bus=raid.0");
            plugged.device("qemu-xhci,bus=rp2,id=usb");
            let plugged = plugged.drive("usb-storage,bus=usb.0");
            plugged.passes(Release::V6_12, Boot::new(1, 2), "", "PCI-MSI")
        }),
    ]
}

/// NVMe by itself; behind a switch virtio-blk and virtio-net that go by DMA windows, e1000e, and AHCI.
fn kept_through_a_reboot(name: &str) -> Outcome {
    let plugged = Plugged::new(name).nvme(0).switch(1);
    let mut plugged = plugged.disk("virtio-blk-pci,bus=down0,disable-legacy=on,iommu_platform=on");
    plugged.network("virtio-net-pci,bus=down1,romfile=,disable-legacy=on,iommu_platform=on");
    plugged.network("e1000e,bus=down2,romfile=");
    plugged.device("ahci,bus=down3,id=sata");
    let plugged = plugged.drive("ide-hd,bus=sata.0");
    let words = "check.end=reboot check.rebooted.cpus=2";
    let boot = plugged.boot(Release::V6_12, Boot::new(1, 2), words, "PCI-MSI");
    let expected = checks()
        .then("reboot: Restarting system")
        .then("check: nvme0n1 has a file of an earlier boot")
        .then("check: ok disk sda")
        .then(linux::DONE)
        .then("reboot: Power down");
    boot.check(&End::Off, &expected).map(drop)
}

/// A file of 64 MiB on NVMe that is read after a reboot.
fn big_file(name: &str) -> Outcome {
    let mut plugged = Plugged::new(name);
    plugged.disk_bytes = BIG_DISK_BYTES;
    plugged.file_mib = BIG_FILE_MIB;
    let plugged = plugged.nvme(0);
    let words = "check.end=reboot check.rebooted.cpus=2";
    let boot = plugged.boot(Release::V6_12, Boot::new(1, 2), words, "PCI-MSI");
    let expected = checks()
        .then("reboot: Restarting system")
        .then("check: nvme0n1 has a file of an earlier boot")
        .then("check: ok disk nvme0n1")
        .then("reboot: Power down");
    boot.check(&End::Off, &expected).map(drop)
}

/// A disk that is being read is recovered from an error that Linux is told to see, and is reset.
fn recovers() -> Outcome {
    let plugged = Plugged::new("recovery").nvme(0).e1000e(1);
    let boot = plugged.boot(Release::V6_12, Boot::new(1, 2), "check.recovery", "PCI-MSI");
    let expected = Expected::lines(["check: ok recovery of", "check: ok reset of"])
        .then("check: ok kernel-log")
        .then(linux::DONE)
        .then("reboot: Power down");
    // A recovery tells its own trace.
    let forbidden = linux::FORBIDDEN
        .into_iter()
        .filter(|part| *part != "Call Trace:");
    let expected = forbidden.fold(expected, Expected::forbid);
    boot.check(&End::Off, &expected).map(drop)
}

/// Another kernel begins while the disk is being read, by kexec or after a crash: it finds the disk, and the
/// file on it.
fn another_kernel_reads(end: &str) -> Outcome {
    let release = Release::V6_12;
    let archive = linux::initrd_for_kexec(&super::files(), &images::folder(), release);
    let archive = archive.map_err(|error| format!("{error:#}"))?;
    let plugged = Plugged::new(end).nvme(0);
    let words = format!("check.busy crashkernel=512M check.end={end}");
    let boot = Boot {
        initrd: Some(images::scratch_file(&format!("{end}-busy.cpio"), &archive)),
        ..plugged.boot(release, Boot::new(2, 2), &words, "PCI-MSI")
    };
    let expected = Expected::lines([linux::DONE])
        .then("Linux version")
        .then("check: nvme0n1 has a file of an earlier boot")
        .then("check: ok disk nvme0n1")
        .then(linux::DONE)
        .then("reboot: Power down")
        .forbid("check: FAILED");
    boot.check(&End::Off, &expected).map(drop)
}

/// Linux sees the same devices, resources and drivers on the firmware that comes with QEMU.
fn lists_as_skiboot() -> Outcome {
    let own = listed("list", None)?;
    let peer = measure::bench::installed_peer().map_err(|why| format!("{why:#}"))?;
    let peers = listed("list-peer", Some(&peer))?;
    let lacks = |these: &[String], those: &[String]| -> Vec<String> {
        let lacking = those.iter().filter(|line| !these.contains(line));
        lacking.cloned().collect()
    };
    let (only_peers, only_own) = (lacks(&own, &peers), lacks(&peers, &own));
    match only_peers.is_empty() && only_own.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "not here: {only_peers:#?}\nhere alone: {only_own:#?}"
        )),
    }
}

/// A disk, a switch with an empty port and three with a device, a legacy bridge with two: what Linux lists on a
/// firmware.
fn listed(name: &str, firmware: Option<&Path>) -> Result<Vec<String>, String> {
    let mut plugged = Plugged::new(name).nvme(0).switch(1);
    plugged.device("ahci,bus=down0");
    plugged.network("virtio-net-pci,bus=down2,romfile=");
    plugged.network("e1000e,bus=down3,romfile=");
    plugged.other("pcie-pci-bridge,bus=rp2,id=legacy");
    plugged.device("qemu-xhci,bus=legacy,addr=3");
    let plugged = plugged.disk("virtio-blk-pci,bus=legacy,addr=2");
    let mut boot = plugged.boot(Release::V6_12, Boot::new(1, 2), "check.list", "PCI-MSI");
    boot.limit = Duration::from_secs(300);
    if let Some(firmware) = firmware {
        let firmware = firmware.display().to_string();
        boot.extra.extend(["-bios".into(), firmware]);
    }
    // Checks of catnap fail on another firmware.
    let expected = Expected::lines([linux::DONE]).allow("check: FAILED");
    let lines = boot.check(&End::Off, &expected)?;
    let list: Vec<String> = lines
        .into_iter()
        .filter(|line| line.starts_with("pci: "))
        .collect();
    match list.len() > plugged.devices as usize {
        true => Ok(list),
        false => Err(format!("{name}: Linux lists {} lines only", list.len())),
    }
}

/// A machine's PCI devices.
struct Plugged {
    name: String,
    extra: Vec<String>,
    /// Functions that aren't bridges.
    devices: u32,
    disks: u32,
    networks: u32,
    disk_bytes: u64,
    file_mib: u32,
}

impl Plugged {
    /// Nothing, in as many host bridges as the boot's chips have: they are added by [`Self::boot`].
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            extra: Vec::new(),
            devices: 0,
            disks: 0,
            networks: 0,
            disk_bytes: DISK_BYTES,
            file_mib: 4,
        }
    }

    fn device(&mut self, device: &str) {
        self.other(device);
        self.devices += 1;
    }

    /// A bridge, or what is behind a device.
    fn other(&mut self, device: &str) {
        self.extra.extend(["-device".into(), device.into()]);
    }

    /// A device with a new, empty disk.
    fn disk(mut self, device: &str) -> Self {
        self.devices += 1;
        self.drive(device)
    }

    /// A disk behind a device.
    fn drive(mut self, device: &str) -> Self {
        let (name, number) = (&self.name, self.disks);
        let path = images::scratch_path(&format!("{name}-disk-{number}"));
        let file = fs::File::create(&path).expect("a disk's file");
        file.set_len(self.disk_bytes).expect("a disk's file");
        let drive = format!("file={},format=raw,if=none,id=disk{number}", path.display());
        self.extra.extend(["-drive".into(), drive]);
        self.other(&format!("{device},drive=disk{number}"));
        self.disks += 1;
        self
    }

    /// A switch of four ports, `down0` to `down3`.
    fn switch(mut self, bridge: u32) -> Self {
        self.other(&format!("x3130-upstream,bus=rp{bridge},id=up"));
        for port in 0..4 {
            let chassis = port + 10;
            self.other(&format!(
                "xio3130-downstream,bus=up,id=down{port},chassis={chassis}"
            ));
        }
        self
    }

    fn nvme(self, bridge: u32) -> Self {
        let serial = self.disks;
        self.disk(&format!("nvme,bus=rp{bridge},serial={serial}"))
    }

    fn e1000e(mut self, bridge: u32) -> Self {
        self.network(&format!("e1000e,bus=rp{bridge},romfile="));
        self
    }

    /// A device on a network of its own, which has a server with a file.
    fn network(&mut self, device: &str) {
        let number = self.networks;
        let folder = self.folder();
        let folder = folder.display();
        let netdev = format!("user,id=net{number},tftp={folder}");
        self.extra.extend(["-netdev".into(), netdev]);
        self.device(&format!("{device},netdev=net{number}"));
        self.networks += 1;
    }

    fn folder(&self) -> std::path::PathBuf {
        images::scratch_path(&format!("{}-files", self.name))
    }

    fn boot(&self, release: Release, boot: Boot, words: &str, interrupts: &str) -> Boot {
        let digest = write_file(&self.folder());
        let mut words = format!(
            "check.pci={} check.disk={} check.interrupts={interrupts} {words}",
            self.devices, self.file_mib,
        );
        if self.networks > 0 {
            words = format!("check.net={digest} {words}");
        }
        if !words.contains("check.cpus") {
            words = format!("{} {words}", linux::check_words(boot.chips * boot.cores));
        }
        let mut extra = bridges(boot.chips);
        extra.extend(self.extra.iter().cloned());
        Boot {
            extra,
            ..with_kernel(release, boot, &words)
        }
    }

    fn passes(&self, release: Release, boot: Boot, words: &str, interrupts: &str) -> Outcome {
        let boot = self.boot(release, boot, words, interrupts);
        boot.check(&End::Off, &checks()).map(drop)
    }
}

/// Host bridges with a root port each, as many as chips have: `rp0`, `rp1`, …
fn bridges(chips: u32) -> Vec<String> {
    let bridge = |number: u32| {
        let (chip, index) = (number / 3, number % 3);
        [
            "-device".into(),
            format!("pnv-phb,chip-id={chip},index={index},id=phb{number}"),
            "-device".into(),
            format!("pnv-phb-root-port,bus=phb{number},id=rp{number}"),
        ]
    };
    (0..chips * 3).flat_map(bridge).collect()
}

/// The file that networks bring; its digest.
fn write_file(folder: &Path) -> String {
    fs::create_dir_all(folder).expect("a folder");
    let bytes: Vec<u8> = (0..FILE_BYTES)
        .map(|at| (at.wrapping_mul(at) >> 7) as u8)
        .collect();
    fs::write(folder.join("file"), &bytes).expect("a file");
    let digest = Sha256::digest(&bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

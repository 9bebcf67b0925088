//! What is plugged into the machine of a Linux with a shell: a disk and a network.
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};

/// The disk that is made when there is none: it takes room as it is written.
const NEW_DISK_BYTES: u64 = 1 << 30;
/// A chip has so many host bridges.
const SLOTS: u32 = 3;

/// QEMU's arguments. The disk is an NVMe one in the first slot, kept from run to run; the network, in the
/// second, leads to where the build host's leads. The third, `pcie.2`, is left to the user.
pub fn arguments(disk: &Path, net: bool, default_devices: bool) -> Result<Vec<String>> {
    if !disk.exists() {
        let folder = disk.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let file = File::create(disk).with_context(|| format!("making {}", disk.display()))?;
        file.set_len(NEW_DISK_BYTES)?;
        println!("linux: {} is a new, empty disk", disk.display());
    }
    let mut arguments = Vec::new();
    let mut add = |option: &str, value: String| arguments.extend([option.to_string(), value]);
    if !default_devices {
        for slot in 0..SLOTS {
            add(
                "-device",
                format!("pnv-phb,chip-id=0,index={slot},id=phb{slot}"),
            );
            add(
                "-device",
                format!("pnv-phb-root-port,bus=phb{slot},id=pcie.{slot}"),
            );
        }
    }
    let drive = format!("file={},format=raw,if=none,id=disk0", disk.display());
    add("-drive", drive);
    add(
        "-device",
        "nvme,bus=pcie.0,serial=catnap,drive=disk0".into(),
    );
    if net {
        add("-netdev", "user,id=net0".into());
        add(
            "-device",
            "virtio-net-pci,bus=pcie.1,netdev=net0,romfile=".into(),
        );
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_there_or_made() {
        let folder = std::env::temp_dir().join(format!("catnap-plugged-{}", std::process::id()));
        let disk = folder.join("disk.img");
        let own = arguments(&disk, true, false).unwrap().join(" ");
        assert_eq!(fs::metadata(&disk).unwrap().len(), NEW_DISK_BYTES);
        assert!(own.contains("index=2,id=phb2") && own.contains("virtio-net-pci"));
        let others = arguments(&disk, false, true).unwrap().join(" ");
        assert!(others.contains("nvme,bus=pcie.0") && !others.contains("pnv-phb"));
        assert!(!others.contains("netdev"));
        fs::remove_dir_all(&folder).unwrap();
    }
}

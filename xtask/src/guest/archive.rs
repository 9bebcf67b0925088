//! The initial RAM disks of the host and of the guests, and the guests' disk.
use std::path::Path;

use anyhow::{Context, Result};

use super::{Job, read};
use crate::cpio::{self, Content};
use crate::kvm_module;
use crate::setup::debian::{Files, MODULES, Release};

const HOST_INIT: &str = include_str!("host.sh");
const GUEST_INIT: &str = include_str!("guest.sh");
const MONITOR: &str = include_str!("monitor.sh");
const MOVES: &str = include_str!("moves.sh");
const DEBUGGED: &str = include_str!("debugged.sh");
const TRACED: &str = include_str!("traced.sh");
const LOAD: &str = include_str!("../linux/load.sh");
#[cfg(test)]
pub const SCRIPTS: [&str; 6] = [HOST_INIT, GUEST_INIT, MONITOR, MOVES, DEBUGGED, TRACED];

/// What each thread of a guest's hashes.
pub const PART_BYTES: usize = 64 << 10;

/// The program among the images that is hostile to `/dev/kvm`.
const FUZZ: &str = "linux-kvm-fuzz";

/// The host's. `images` is where images are.
pub fn archive(files: &Files, images: &Path, job: &Job) -> Result<Vec<u8>> {
    let vmm = files.vmm(job.guests.vmm)?;
    let tool = |name: &str| read(&files.tool(name));
    let module = read(&kvm_module::build(files, job.host)?)?;
    let mut all = vec![
        ("init".to_string(), HOST_INIT.as_bytes().to_vec()),
        ("monitor.sh".into(), MONITOR.as_bytes().to_vec()),
        ("moves.sh".into(), MOVES.as_bytes().to_vec()),
        ("debugged.sh".into(), DEBUGGED.as_bytes().to_vec()),
        ("traced.sh".into(), TRACED.as_bytes().to_vec()),
        ("bin/load-module".into(), LOAD.as_bytes().to_vec()),
        ("bin/busybox".into(), tool("busybox")?),
        (format!("bin/{FUZZ}"), read(&images.join(FUZZ))?),
        ("lib64/ld64.so.2".into(), read(&vmm.loader)?),
        ("usr/bin/qemu-system-ppc64".into(), read(&vmm.program)?),
        (format!("modules/{}.ko", kvm_module::NAME), module),
        ("modules/order".into(), MODULES.join("\n").into_bytes()),
        ("guest/options".into(), job.options().into_bytes()),
        ("guest/words".into(), job.words().into_bytes()),
        ("guest/vmlinux".into(), read(&job.kernel(files))?),
        ("modules/pci-order".into(), lines(job.host.pci_modules())),
        ("guest/initrd".into(), initrd(files, job)?),
        ("guest/disk".into(), disk(job.cpus())),
    ];
    for path in files.modules(job.host).into_iter().chain(vmm.firmware) {
        let folder = if path.extension().is_some_and(|it| it == "bin") {
            "guest/firmware"
        } else {
            "modules"
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        all.push((format!("{folder}/{name}"), read(&path)?));
    }
    for (name, path) in &vmm.libraries {
        all.push((format!("lib/{name}"), read(path)?));
    }
    let folders =
        "bin sbin dev etc lib lib64 usr usr/bin modules guest guest/firmware proc sys tmp";
    Ok(pack(folders, &all))
}

fn lines<'a>(names: impl Iterator<Item = &'a str>) -> Vec<u8> {
    names.collect::<Vec<_>>().join("\n").into_bytes()
}

/// The guests': that of their disk, or ours.
fn initrd(files: &Files, job: &Job) -> Result<Vec<u8>> {
    match job.disk() {
        Some(disk) => read(&disk.initrd()),
        None => guest(files, job.guests.guest_debian),
    }
}

fn guest(files: &Files, release: Release) -> Result<Vec<u8>> {
    let mut all = vec![
        ("init".to_string(), GUEST_INIT.as_bytes().to_vec()),
        ("bin/load-module".into(), LOAD.as_bytes().to_vec()),
        ("bin/busybox".into(), read(&files.tool("busybox"))?),
        ("modules/order".into(), lines(release.virtio_modules())),
    ];
    for module in release.virtio_modules() {
        let path = files.module(release, module);
        let path = path.with_context(|| format!("no {module}"))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        all.push((format!("modules/{name}"), read(&path)?));
    }
    Ok(pack("bin dev modules proc sys tmp", &all))
}

pub fn pack(folders: &str, all: &[(String, Vec<u8>)]) -> Vec<u8> {
    let folders = folders.split(' ').map(|name| (name, Content::Folder));
    let console = ("dev/console", Content::Device(5, 1));
    let files = all
        .iter()
        .map(|(name, bytes)| (&**name, Content::Program(bytes)));
    cpio::pack(folders.chain([console]).chain(files))
}

/// The guests' disk, as they find it: no part of it like another.
pub fn disk(cpus: u32) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..cpus as usize * PART_BYTES).map(byte).collect()
}

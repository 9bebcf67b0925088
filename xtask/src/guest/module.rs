//! Trying the module on a Linux host without a guest's kernel: why it isn't loaded, registers, limits, lives.
use std::path::Path;

use anyhow::Result;

use super::archive::pack;
use super::{read, registers};
use crate::kvm_module;
use crate::setup::debian::{Files, Release};

const INIT: &str = include_str!("module.sh");
const LOAD: &str = include_str!("../linux/load.sh");
const PROGRAMS: [&str; 5] = [
    "linux-kvm",
    "linux-kvm-registers",
    "linux-kvm-lives",
    "linux-kvm-steps",
    "linux-kvm-table",
];
/// Word of the host's command line: how long a hypercall of a small machine takes to its program and back, by
/// kvm-hv and then by the module.
pub const ROUNDS: &str = "module.rounds";
/// Version of the calls that no firmware has.
const OTHER_VERSION: u32 = 1000;

/// The initial RAM disk of the host. `images` is where images are.
pub fn archive(files: &Files, images: &Path, host: Release) -> Result<Vec<u8>> {
    with(files, images, host, tried(files, host)?)
}

/// The same with a kernel for kexec, which gets the plain one as its own.
pub fn archive_for_kexec(files: &Files, images: &Path, host: Release) -> Result<Vec<u8>> {
    let tool = |name: &str| read(&files.tool(name));
    let more = vec![
        ("vmlinux".to_string(), read(&files.kernel(host))?),
        ("initrd".into(), with(files, images, host, Vec::new())?),
        ("bin/kexec".into(), tool("kexec")?),
        ("lib64/ld64.so.2".into(), tool("ld64.so.2")?),
        ("lib/libc.so.6".into(), tool("libc.so.6")?),
    ];
    with(files, images, host, more)
}

/// For [`ROUNDS`].
pub fn archive_of_rounds(files: &Files, images: &Path, host: Release) -> Result<Vec<u8>> {
    with(files, images, host, Vec::new())
}

/// What only the checks of a host need.
fn tried(files: &Files, host: Release) -> Result<Vec<(String, Vec<u8>)>> {
    let other = read(&kvm_module::of_version(files, host, OTHER_VERSION)?)?;
    let list = registers::list(&files.kbuild(host)?)?;
    Ok(vec![
        (format!("modules/{}-other.ko", kvm_module::NAME), other),
        ("registers".into(), registers::text(&list).into_bytes()),
    ])
}

fn with(
    files: &Files,
    images: &Path,
    host: Release,
    more: Vec<(String, Vec<u8>)>,
) -> Result<Vec<u8>> {
    let module = read(&kvm_module::build(files, host)?)?;
    let mut all = vec![
        ("init".to_string(), INIT.as_bytes().to_vec()),
        ("bin/load-module".into(), LOAD.as_bytes().to_vec()),
        ("bin/busybox".into(), read(&files.tool("busybox"))?),
        (format!("modules/{}.ko", kvm_module::NAME), module),
    ];
    for name in PROGRAMS {
        all.push((format!("bin/{name}"), read(&images.join(name))?));
    }
    for path in files.modules(host) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        all.push((format!("modules/{name}"), read(&path)?));
    }
    all.extend(more);
    Ok(pack("bin dev lib lib64 modules proc sys tmp", &all))
}

//! Trying the module on a Linux host without a guest's kernel: why it isn't loaded, registers, limits, lives.
use std::path::Path;

use anyhow::Result;

use super::archive::pack;
use super::{read, registers};
use crate::kvm_module;
use crate::setup::debian::{Files, Release};

const INIT: &str = include_str!("module.sh");
const LOAD: &str = include_str!("../linux/load.sh");
const PROGRAMS: [&str; 3] = ["linux-kvm", "linux-kvm-registers", "linux-kvm-lives"];
/// Version of the calls that no firmware has.
const OTHER_VERSION: u32 = 1000;

/// The initial RAM disk of the host. `images` is where images are.
pub fn archive(files: &Files, images: &Path, host: Release) -> Result<Vec<u8>> {
    let module = read(&kvm_module::build(files, host)?)?;
    let other = read(&kvm_module::of_version(files, host, OTHER_VERSION)?)?;
    let list = registers::list(&files.kbuild(host)?)?;
    let mut all = vec![
        ("init".to_string(), INIT.as_bytes().to_vec()),
        ("bin/load-module".into(), LOAD.as_bytes().to_vec()),
        ("bin/busybox".into(), read(&files.tool("busybox"))?),
        (format!("modules/{}.ko", kvm_module::NAME), module),
        (format!("modules/{}-other.ko", kvm_module::NAME), other),
        ("registers".into(), registers::text(&list).into_bytes()),
    ];
    for name in PROGRAMS {
        all.push((format!("bin/{name}"), read(&images.join(name))?));
    }
    for path in files.modules(host) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        all.push((format!("modules/{name}"), read(&path)?));
    }
    Ok(pack("bin dev modules proc sys tmp", &all))
}

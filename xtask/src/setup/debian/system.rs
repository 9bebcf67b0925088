//! Packages for a whole system on a disk, and a kernel with all its modules.
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Files, Release, SUITE, newest_image, sources, unpack};
use crate::project::find;
use crate::setup::apt::Apt;

/// What was fetched.
pub struct System {
    pub archives: Vec<PathBuf>,
    pub vmlinux: PathBuf,
    /// The folder with a folder of the kernel's name.
    pub modules: PathBuf,
    /// The system's own list of sources: this machine's.
    pub sources: String,
}

impl Files {
    /// Fetches packages, all that they depend on, and a kernel into a folder.
    pub fn fetch_system(
        &self,
        release: Release,
        packages: &[&str],
        scratch: &Path,
    ) -> Result<System> {
        let apt = Apt::foreign(&scratch.join("kernel"), super::ARCHITECTURE)?;
        apt.fetch_lists(&sources(&apt)?)?;
        let (image, version) = newest_image(&apt, release)?;
        let kernel = unpack(&apt, scratch, &image, Some(&version))?;
        let vmlinux = find(&kernel.join("boot"), &|name| name.starts_with("vmlinux"));

        let apt = Apt::foreign(&scratch.join("apt"), super::ARCHITECTURE)?;
        let own = apt.own_sources()?;
        // What the release itself has, and not its backports.
        apt.fetch_lists(&[own[0].sibling(SUITE)])?;
        let archives = apt.download_with_all(packages)?;
        let mut text = String::new();
        for source in &own {
            writeln!(
                text,
                "deb {} {} {}",
                source.uri, source.suite, source.component
            )?;
        }
        Ok(System {
            archives,
            vmlinux: vmlinux.with_context(|| format!("{image} has no vmlinux"))?,
            modules: kernel.join("lib/modules"),
            sources: text,
        })
    }

    /// A module somewhere below a folder, plain or compressed.
    pub fn module_below(folder: &Path, name: &str) -> Result<PathBuf> {
        let (plain, compressed) = (format!("{name}.ko"), format!("{name}.ko.xz"));
        let module = find(folder, &|file| file == plain || file == compressed);
        module.with_context(|| format!("no module {name}"))
    }
}

//! Where things are in this repository, and which binaries it has.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::process;

/// The repository's folder.
pub fn root() -> PathBuf {
    let package = std::env::var("CARGO_MANIFEST_DIR")
        .unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_string());
    Path::new(&package)
        .ancestors()
        .find(|folder| folder.join("rust-toolchain.toml").is_file())
        .expect("each package lies in the repository")
        .to_path_buf()
}

/// cargo, in the repository's folder.
pub fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root());
    cargo
}

/// What `cargo metadata` says of the workspace.
pub struct Workspace {
    metadata: Value,
}

impl Workspace {
    pub fn read() -> Result<Self> {
        let text = process::output(cargo().args([
            "metadata",
            "--locked",
            "--no-deps",
            "--format-version",
            "1",
        ]))?;
        Ok(Self {
            metadata: serde_json::from_str(&text).context("cargo metadata's answer")?,
        })
    }

    /// cargo's target folder.
    pub fn target_dir(&self) -> Result<PathBuf> {
        let dir = self.metadata["target_directory"].as_str();
        Ok(dir
            .ok_or_else(|| anyhow!("cargo metadata names no target folder"))?
            .into())
    }

    /// The folder of everything that the machine boots.
    pub fn image_dir(&self) -> Result<PathBuf> {
        let dir = self.target_dir()?.join("catnap");
        fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        Ok(dir)
    }

    /// Names of the binaries of one package of ours.
    pub fn bins(&self, package: &str) -> Vec<String> {
        let packages = self.metadata["packages"].as_array().into_iter().flatten();
        packages
            .filter(|p| p["name"] == package)
            .flat_map(|p| p["targets"].as_array().into_iter().flatten())
            .filter(|t| {
                t["kind"]
                    .as_array()
                    .is_some_and(|kinds| kinds.iter().any(|k| k == "bin"))
            })
            .filter_map(|t| t["name"].as_str().map(str::to_string))
            .collect()
    }
}

/// Write a file unless it already holds exactly this; readers see the old file or the new, never
/// a half. True if it was written.
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let fresh = path.with_added_extension(format!("{}.new", std::process::id()));
    fs::write(&fresh, bytes).with_context(|| format!("writing {}", fresh.display()))?;
    fs::rename(&fresh, path).with_context(|| format!("writing {}", path.display()))?;
    Ok(true)
}

/// A file below a folder whose name is right. Links to folders aren't followed: they may lead out of it.
pub fn find(folder: &Path, is_right: &impl Fn(&str) -> bool) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let found = match is_folder {
            true => find(&path, is_right),
            false => is_right(&entry.file_name().to_string_lossy()).then_some(path),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_holds_the_workspace() {
        assert!(root().join("Cargo.lock").is_file());
    }

    #[test]
    fn an_unchanged_file_is_left_alone() {
        let path = std::env::temp_dir().join(format!("xtask-unchanged-{}", std::process::id()));
        assert!(write_if_changed(&path, b"one").unwrap());
        assert!(!write_if_changed(&path, b"one").unwrap());
        assert!(write_if_changed(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn workspace_knows_its_binaries() {
        let workspace = Workspace::read().unwrap();
        assert_eq!(workspace.bins("xtask-cli"), ["xtask"]);
        assert!(workspace.bins("no-such-package").is_empty());
    }
}

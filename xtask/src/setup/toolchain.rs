//! Rust's library sources, out of which `core` and `alloc` are built for the machine.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::process;
use crate::project::Workspace;
use crate::setup::apt::{Apt, Source};

const RUSTUP_TIME: Duration = Duration::from_secs(60);
const UNPACK_TIME: Duration = Duration::from_secs(120);
/// Debian's package of them.
const PACKAGE: &str = "rust-src";
/// Debian's suites that carry newer releases of Rust than the machine's own, likeliest first.
pub const SUITES: [&str; 4] = ["trixie-backports", "sid", "testing", "forky-backports"];

/// The toolchain that `cargo` uses here, such as "1.95.0".
pub fn release() -> Result<String> {
    let text = process::output(rustc().args(["--version", "--verbose"]))?;
    let release = text.lines().find_map(|line| line.strip_prefix("release: "));
    Ok(release
        .context("rustc --version names no release")?
        .to_string())
}

fn rustc() -> Command {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.current_dir(crate::project::root());
    rustc
}

/// Where rustup's component, and so cargo's build-std, has the sources.
fn sources_dir() -> Result<PathBuf> {
    let sysroot = process::output(rustc().args(["--print", "sysroot"]))?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib/src/rust"))
}

/// The library folder is whole as far as build-std looks at it first.
fn is_library(dir: &Path) -> bool {
    dir.join("Cargo.lock").is_file() && dir.join("core/src/lib.rs").is_file()
}

/// Make sure that the active toolchain has its library sources.
pub fn ensure_sources(try_rustup: bool) -> Result<()> {
    let dir = sources_dir()?;
    if is_library(&dir.join("library")) {
        return Ok(());
    }
    let release = release()?;
    eprintln!("setup: the library sources of Rust {release} aren't there");
    eprintln!("setup: `core` and `alloc` are built from them, as no release has them for POWER8");
    if try_rustup {
        let mut rustup = Command::new("rustup");
        rustup
            .args(["component", "add", "rust-src"])
            .current_dir(crate::project::root());
        match process::condensed(&mut rustup, "rustup component add rust-src", RUSTUP_TIME) {
            Ok(()) if is_library(&dir.join("library")) => return Ok(()),
            Ok(()) => eprintln!("setup: rustup did, but there are none at {}", dir.display()),
            Err(error) => eprintln!("setup: {error:#}"),
        }
    }
    eprintln!("setup: taking them from Debian's {PACKAGE} of the same release");
    from_debian(&SUITES, &release, &dir).with_context(|| {
        format!(
            "the library sources of Rust {release} can't be had here; \
             put them, from its source archive, at {}/library",
            dir.display()
        )
    })
}

/// rustfmt and clippy, so far as rustup can bring them; whoever needs them fails without.
pub fn ensure_linters() {
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if process::output(crate::project::cargo().args([tool, "--version"])).is_ok() {
            continue;
        }
        eprintln!("setup: cargo {tool} isn't there");
        let mut rustup = Command::new("rustup");
        rustup
            .args(["component", "add", component])
            .current_dir(crate::project::root());
        let topic = format!("rustup component add {component}");
        if let Err(error) = process::condensed(&mut rustup, &topic, RUSTUP_TIME) {
            eprintln!("setup: {error:#}");
        }
    }
}

/// Puts the sources of a release into a folder, from Debian's package in the first suite that has that release.
pub fn from_debian(suites: &[&str], release: &str, dir: &Path) -> Result<()> {
    let work = Workspace::read()?.target_dir()?.join("setup/rust-src");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    let apt = Apt::new(&work)?;
    let archive = apt.own_sources()?.swap_remove(0);
    let version = find(&apt, &archive, suites, release)?;
    let deb = apt.download(PACKAGE, &version, &work.join("deb"))?;
    let unpacked = work.join("unpacked");
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.arg("--extract").arg(deb).arg(&unpacked);
    process::condensed(
        &mut dpkg,
        &format!("unpacking {PACKAGE} {version}"),
        UNPACK_TIME,
    )?;
    let library = unpacked.join(format!("usr/src/rustc-{release}/library"));
    ensure!(
        is_library(&library),
        "{PACKAGE} {version} has no library folder"
    );
    put(&library, dir)?;
    fs::remove_dir_all(&work).ok();
    Ok(())
}

/// The version of Debian's package that has this release of Rust; its suite's lists are fetched.
fn find(apt: &Apt, archive: &Source, suites: &[&str], release: &str) -> Result<String> {
    let mut seen = Vec::new();
    for suite in suites {
        if apt.fetch_lists(&[archive.sibling(suite)]).is_err() {
            eprintln!("setup: Debian's suite {suite} can't be had");
            continue;
        }
        let offered = apt.candidates(PACKAGE)?;
        if let Some(found) = offered
            .iter()
            .find(|candidate| candidate.upstream() == release)
        {
            return Ok(found.version.clone());
        }
        seen.extend(
            offered
                .iter()
                .map(|candidate| candidate.upstream().to_string()),
        );
    }
    bail!("Debian's {PACKAGE} of {release} is in none of {suites:?}, which have {seen:?}")
}

/// Copy beside the place first, so that a half copy is never taken for the whole.
fn put(library: &Path, dir: &Path) -> Result<()> {
    let writable = || format!("writing {} (is the toolchain yours?)", dir.display());
    fs::create_dir_all(dir).with_context(writable)?;
    let half = dir.join(format!("library.{}", std::process::id()));
    let mut copy = Command::new("cp");
    copy.args(["--recursive", "--no-target-directory"])
        .arg(library)
        .arg(&half);
    process::output(&mut copy).with_context(writable)?;
    let place = dir.join("library");
    if place.exists() {
        fs::remove_dir_all(&place).with_context(writable)?;
    }
    fs::rename(&half, &place).with_context(writable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_toolchain_has_a_release() {
        let release = release().unwrap();
        assert_eq!(release.split('.').count(), 3, "{release}");
    }

    #[test]
    fn half_a_library_is_none() {
        let dir = std::env::temp_dir().join(format!("xtask-library-{}", std::process::id()));
        fs::create_dir_all(dir.join("core/src")).unwrap();
        fs::write(dir.join("core/src/lib.rs"), "").unwrap();
        assert!(!is_library(&dir));
        fs::write(dir.join("Cargo.lock"), "").unwrap();
        assert!(is_library(&dir));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn sources_are_put_in_place_of_a_half() {
        let dir = std::env::temp_dir().join(format!("xtask-put-{}", std::process::id()));
        let (from, to) = (dir.join("from"), dir.join("to"));
        fs::create_dir_all(from.join("core/src")).unwrap();
        fs::write(from.join("core/src/lib.rs"), "new").unwrap();
        fs::write(from.join("Cargo.lock"), "").unwrap();
        fs::create_dir_all(to.join("library/core")).unwrap();
        put(&from, &to).unwrap();
        assert!(is_library(&to.join("library")));
        fs::remove_dir_all(&dir).unwrap();
    }
}

//! `cargo xtask module`: the module by which Linux's KVM runs guests on catnap's vcores, built from Debian's
//! packages of headers.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::project::{self, Workspace};
use crate::setup::debian::{Files, Kbuild, Release};
use crate::{process, setup};

pub mod dkms;

/// As Linux names it; its file has the end `.ko`.
pub const NAME: &str = "kvm-catnap";
const PREFIX: &str = "powerpc64le-linux-gnu-";
/// The file that looks whether it can be loaded, and after which line the calls' version is known.
const MAIN: &str = "main.c";
const INCLUDE: &str = "#include \"kcn.h\"\n";

#[derive(Args)]
pub struct ModuleOptions {
    /// Build for this kernel alone [default: each that it is made for]
    #[arg(long, value_enum, value_name = "VERSION")]
    debian: Option<Release>,
    /// Have sparse look at it, too.
    #[arg(long)]
    sparse: bool,
    /// Have DKMS build it, as on the machine itself.
    #[arg(long, conflicts_with = "sparse")]
    dkms: bool,
}

/// The command.
pub fn module(options: &ModuleOptions) -> Result<ExitCode> {
    let files = Files::present()?;
    let releases = match options.debian {
        Some(release) => vec![release],
        None => Release::WITH_MODULE.to_vec(),
    };
    for release in releases {
        let built = match options.sparse {
            true => checked(&files, release)?,
            false if options.dkms => dkms::build(&files, release)?,
            false => build(&files, release)?,
        };
        println!("module: for Linux {}: {}", release.name(), built.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds it for a kernel, where anything that changed; its path.
pub fn build(files: &Files, release: Release) -> Result<PathBuf> {
    make(files, release, "module", &[], None)
}

/// Builds it as if it spoke another version of the calls, which the firmware has to be refused for.
pub fn of_version(files: &Files, release: Release, version: u32) -> Result<PathBuf> {
    make(files, release, "other-version", &[], Some(version))
}

/// Builds it with sparse's checks, each time.
pub fn checked(files: &Files, release: Release) -> Result<PathBuf> {
    setup::ensure_program("sparse", "sparse")?;
    make(
        files,
        release,
        "sparse",
        &["C=2", "CF=-Wsparse-error"],
        None,
    )
}

fn make(
    files: &Files,
    release: Release,
    folder: &str,
    words: &[&str],
    version: Option<u32>,
) -> Result<PathBuf> {
    let kbuild = files.kbuild(release)?;
    ensure_compiler(&kbuild)?;
    let build = Workspace::read()?.target_dir()?.join("linux");
    let build = build.join(release.name()).join(folder);
    let source = copy_source(&build, version)?;
    let mut make = Command::new("make");
    make.arg("-C").arg(&kbuild.folder).arg("--quiet");
    make.arg(format!("M={}", source.display()));
    // What the kernel itself isn't built with is none of its own warnings.
    make.args([&format!("CROSS_COMPILE={PREFIX}"), "KCFLAGS=-Werror"]);
    make.args(words).arg("modules");
    quiet(&mut make)?;
    Ok(source.join(format!("{NAME}.ko")))
}

/// Whatever is written to standard error is a warning.
fn quiet(make: &mut Command) -> Result<()> {
    let output = make.env("LC_ALL", "C").output();
    let output = output.context("make isn't installed, or isn't in PATH")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<_> = said.lines().filter(|line| !is_harmless(line)).collect();
    if !output.status.success() || !said.is_empty() {
        bail!("`{}`: {}", process::typed(make), said.join("\n"));
    }
    Ok(())
}

/// The headers come without a kernel to take types from, and from another compiler's build.
fn is_harmless(line: &str) -> bool {
    let parts = [
        "Skipping BTF generation",
        "the compiler differs from the one",
    ];
    let more = ["The kernel was built by:", "You are using:"];
    line.trim().is_empty()
        || parts
            .into_iter()
            .chain(more)
            .any(|part| line.contains(part))
}

/// Copies sources to where they are built, those that have changed, perhaps with another version of the calls;
/// the module's folder there.
fn copy_source(build: &Path, version: Option<u32>) -> Result<PathBuf> {
    let linux = project::root().join("linux");
    for folder in ["include", NAME] {
        let to = build.join(folder);
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(linux.join(folder))?.flatten() {
            let mut bytes = fs::read(entry.path())?;
            if let Some(version) = version
                && entry.file_name() == MAIN
            {
                bytes = with_version(&String::from_utf8(bytes)?, version)?.into_bytes();
            }
            project::write_if_changed(&to.join(entry.file_name()), &bytes)?;
        }
    }
    Ok(build.join(NAME))
}

/// The module's own file as if the calls had another version.
fn with_version(main: &str, version: u32) -> Result<String> {
    let (before, after) = main
        .split_once(INCLUDE)
        .context("the module's file doesn't include what it has in common")?;
    let define = format!("#undef CATNAP_VERSION\n#define CATNAP_VERSION {version}");
    Ok(format!("{before}{INCLUDE}{define}\n{after}"))
}

fn ensure_compiler(kbuild: &Kbuild) -> Result<()> {
    let program = format!("{PREFIX}{}", kbuild.compiler);
    let package = format!("{}-powerpc64le-linux-gnu", kbuild.compiler);
    setup::ensure_program("make", "make")?;
    setup::ensure_program(&program, &package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_defined_after_the_own_one() {
        let main = "a\n#include \"kcn.h\"\nb\n";
        let other = with_version(main, 7).unwrap();
        let define = "#undef CATNAP_VERSION\n#define CATNAP_VERSION 7\n";
        assert_eq!(other, format!("a\n#include \"kcn.h\"\n{define}b\n"));
        assert!(with_version("a\n", 7).is_err());
    }

    #[test]
    fn a_warning_is_no_harmless_line() {
        assert!(is_harmless(
            "Skipping BTF generation for kvm-catnap.ko due to unavailability of vmlinux"
        ));
        assert!(!is_harmless("main.c:7:13: warning: unused variable"));
    }
}

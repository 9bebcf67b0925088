//! What a kernel's module is built by: Debian's packages of headers, without the kernel's source.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Files, Release, newest_image, sources, unpack};
use crate::process;
use crate::setup::apt::Apt;

/// The headers of a kernel.
pub struct Kbuild {
    /// Where `make -C` goes.
    pub folder: PathBuf,
    /// The compiler that the kernel was built by.
    pub compiler: String,
}

/// Says where the packages are unpacked: the kernel's version, which changes, is in their names.
const MARK: &str = "headers.path";
/// Debian's file in a kernel's headers that names the compiler.
const VARIABLES: &str = ".kernelvariables";

impl Kbuild {
    /// The headers that a kernel has in common with those for other machines.
    pub fn common(&self) -> Result<PathBuf> {
        let makefile = fs::read_to_string(self.folder.join("Makefile"))?;
        let common = makefile
            .lines()
            .find_map(|line| line.strip_prefix("include "));
        let common = common.and_then(|path| Path::new(path).parent());
        Ok(common.context("the headers lead to no others")?.into())
    }
}

impl Files {
    /// A kernel's headers; fetched if they aren't there.
    pub fn kbuild(&self, release: Release) -> Result<Kbuild> {
        let mark = self.dir.join(release.name()).join(MARK);
        let known = fs::read_to_string(&mark).map(PathBuf::from);
        let folder = match known {
            Ok(folder) if folder.join(VARIABLES).is_file() => folder,
            _ => {
                eprintln!("linux: the headers of Linux {} are fetched", release.name());
                let folder = self.fetch_kbuild(release)?;
                fs::create_dir_all(mark.parent().unwrap_or(&self.dir))?;
                fs::write(&mark, folder.display().to_string())?;
                folder
            }
        };
        let compiler = compiler(&fs::read_to_string(folder.join(VARIABLES))?);
        Ok(Kbuild {
            folder,
            compiler: compiler.context("the headers name no compiler")?,
        })
    }

    fn fetch_kbuild(&self, release: Release) -> Result<PathBuf> {
        let root = self.dir.join("headers");
        let mut names = None;
        self.with_apt("headers.fetch", |apt, scratch| {
            let (image, version) = newest_image(apt, release)?;
            let packages = Packages::of(&image).context("a kernel of an unknown name")?;
            for package in [&packages.headers, &packages.common] {
                let unpacked = unpack(apt, scratch, package, Some(&version))?;
                merge(&unpacked, &root)?;
            }
            names = Some((packages, version));
            Ok(())
        })?;
        let (packages, version) = names.context("no headers")?;
        self.fetch_programs(&packages.kbuild, &version, &root)?;
        let sources = root.join("usr/src");
        let folder = sources.join(&packages.headers);
        // The packages name the place where they would be installed.
        let common = sources.join(&packages.common).join("Makefile");
        let makefile = format!("include {}\n", common.display());
        fs::write(folder.join("Makefile"), makefile)?;
        // It is there for type information alone, which takes a program that nobody else needs.
        fs::remove_file(folder.join("vmlinux")).ok();
        Ok(folder)
    }

    /// The programs of the build, which run on this machine.
    fn fetch_programs(&self, package: &str, version: &str, root: &Path) -> Result<()> {
        let scratch = self.dir.join("kbuild.fetch");
        fs::remove_dir_all(&scratch).ok();
        let apt = Apt::new(&scratch)?;
        apt.fetch_lists(&sources(&apt)?)?;
        let unpacked = unpack(&apt, &scratch, package, Some(version))?;
        merge(&unpacked, root)?;
        fs::remove_dir_all(&scratch).with_context(|| format!("removing {}", scratch.display()))
    }
}

/// The packages of a kernel's headers.
#[derive(Debug, PartialEq, Eq)]
struct Packages {
    headers: String,
    common: String,
    kbuild: String,
}

impl Packages {
    /// By the name of the kernel's package.
    fn of(image: &str) -> Option<Self> {
        let name = image.strip_prefix("linux-image-")?;
        let (release, _) = name.split_once("-powerpc64le")?;
        // 6.1's programs are for all of its revisions.
        let programs = release.strip_suffix(|c: char| c.is_ascii_digit());
        let programs = match release.split_once(".0-") {
            Some((series, _)) if programs.is_some() && !release.contains('+') => series,
            _ => release,
        };
        Some(Self {
            headers: format!("linux-headers-{name}"),
            common: format!("linux-headers-{release}-common"),
            kbuild: format!("linux-kbuild-{programs}"),
        })
    }
}

/// What `.kernelvariables` gives as the compiler, without the prefix of the cross compiler's.
fn compiler(variables: &str) -> Option<String> {
    let line = variables.lines().find(|line| line.starts_with("CC ="))?;
    let name = line.rsplit([' ', ')']).next()?;
    name.starts_with("gcc-").then(|| name.to_string())
}

/// Copies a package's files to those of others, links as links.
fn merge(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut copy = Command::new("cp");
    copy.args(["--archive", "--force"])
        .arg(from.join("."))
        .arg(to);
    process::output(&mut copy).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_named_by_their_kernel() {
        let packages = Packages::of("linux-image-6.12.95+deb12-powerpc64le-64k").unwrap();
        assert_eq!(
            packages.headers,
            "linux-headers-6.12.95+deb12-powerpc64le-64k"
        );
        assert_eq!(packages.common, "linux-headers-6.12.95+deb12-common");
        assert_eq!(packages.kbuild, "linux-kbuild-6.12.95+deb12");
        let packages = Packages::of("linux-image-6.1.0-50-powerpc64le").unwrap();
        assert_eq!(packages.common, "linux-headers-6.1.0-50-common");
        assert_eq!(packages.kbuild, "linux-kbuild-6.1");
        assert_eq!(Packages::of("linux-image-6.1.0-50-amd64"), None);
    }

    #[test]
    fn the_compiler_is_named() {
        let variables =
            "override ARCH = powerpc\nCC = $(if $(X),$(CCACHE)) $(CROSS_COMPILE)gcc-12\n";
        assert_eq!(compiler(variables).as_deref(), Some("gcc-12"));
        assert_eq!(compiler("ARCH = powerpc\n"), None);
    }
}

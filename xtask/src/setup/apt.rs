//! Debian packages through the machine's own apt, beside its own set-up: with lists, caches and
//! sources in a folder of ours, so that nothing of the system's is changed.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process;

const LISTS_TIME: Duration = Duration::from_secs(300);
const DOWNLOAD_TIME: Duration = Duration::from_secs(600);
/// Debian's keys, where its keyring package puts them; newer suites than the machine's own may
/// be signed by one that apt doesn't trust for its own suites.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/debian-archive-keyring.gpg",
];

/// A suite of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub uri: String,
    pub suite: String,
    pub component: String,
}

impl Source {
    /// Another suite of the same archive.
    pub fn sibling(&self, suite: &str) -> Source {
        Source {
            suite: suite.to_string(),
            ..self.clone()
        }
    }

    fn line(&self, keyring: Option<&str>, architecture: Option<&str>) -> String {
        let option = |name: &str, value: Option<&str>| {
            value
                .map(|value| format!(" {name}={value}"))
                .unwrap_or_default()
        };
        let (key, arch) = (option("signed-by", keyring), option("arch", architecture));
        format!(
            "deb [target=Packages{key}{arch}] {} {} {}\n",
            self.uri, self.suite, self.component
        )
    }
}

/// A package's version in a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub version: String,
    pub suite: String,
}

impl Candidate {
    /// The version without Debian's own parts: 1:10.0.2+ds-2 is 10.0.2.
    pub fn upstream(&self) -> &str {
        let version = self
            .version
            .split_once(':')
            .map_or(&*self.version, |(_, rest)| rest);
        version.split(['+', '-', '~']).next().unwrap_or(version)
    }

    pub fn major(&self) -> u32 {
        self.upstream()
            .split('.')
            .next()
            .and_then(|major| major.parse().ok())
            .unwrap_or(0)
    }
}

/// apt with a folder of its own.
pub struct Apt {
    dir: PathBuf,
    /// Whose packages; those of this machine if `None`.
    architecture: Option<&'static str>,
}

impl Apt {
    /// For packages of this machine's architecture.
    pub fn new(dir: &Path) -> Result<Self> {
        Self::of(dir, None)
    }

    /// For packages of another architecture, which this machine needn't know.
    pub fn foreign(dir: &Path, architecture: &'static str) -> Result<Self> {
        Self::of(dir, Some(architecture))
    }

    fn of(dir: &Path, architecture: Option<&'static str>) -> Result<Self> {
        for sub in ["lists/partial", "cache/archives/partial"] {
            let sub = dir.join(sub);
            fs::create_dir_all(&sub).with_context(|| format!("creating {}", sub.display()))?;
        }
        fs::write(dir.join("sources.list"), "")?;
        Ok(Self {
            dir: dir.to_path_buf(),
            architecture,
        })
    }

    /// What makes apt use our folder and sources.
    pub fn options(&self) -> Vec<String> {
        let mut options = self.folders();
        for (name, value) in [
            (
                "Dir::Etc::SourceList",
                self.dir.join("sources.list").display().to_string(),
            ),
            ("Dir::Etc::SourceParts", "-".to_string()),
        ] {
            options.extend(["-o".to_string(), format!("{name}={value}")]);
        }
        for name in ["APT::Architecture", "APT::Architectures::"] {
            let option = |value| ["-o".to_string(), format!("{name}={value}")];
            options.extend(self.architecture.map(option).into_iter().flatten());
        }
        options
    }

    fn folders(&self) -> Vec<String> {
        let lists = format!("Dir::State::lists={}", self.dir.join("lists").display());
        let cache = format!("Dir::Cache={}", self.dir.join("cache").display());
        // apt's own download user need not be able to reach our folder.
        let user = "APT::Sandbox::User=root".to_string();
        [lists, cache, user]
            .into_iter()
            .flat_map(|o| ["-o".to_string(), o])
            .collect()
    }

    /// The Debian suites that this machine uses, that of its release first.
    pub fn own_sources(&self) -> Result<Vec<Source>> {
        let release = os_release("VERSION_CODENAME")?;
        let mut known = targets(&[], &release)?;
        if known.is_empty() {
            // Someone emptied apt's lists; fetch them, but into our folder.
            let mut update = tool("apt-get");
            update.args(self.folders()).arg("update");
            process::condensed(&mut update, "apt-get update", LISTS_TIME)?;
            known = targets(&self.folders(), &release)?;
        }
        if known.first().is_none_or(|source| source.suite != release) {
            bail!("this machine's apt knows no suite `{release}` of Debian's");
        }
        Ok(known)
    }

    /// Use these sources from now on.
    pub fn fetch_lists(&self, sources: &[Source]) -> Result<()> {
        let keyring = KEYRINGS.into_iter().find(|path| Path::new(path).is_file());
        let lines: String = sources
            .iter()
            .map(|source| source.line(keyring, self.architecture))
            .collect();
        fs::write(self.dir.join("sources.list"), lines)?;
        let suites: Vec<_> = sources.iter().map(|source| source.suite.as_str()).collect();
        let topic = format!("apt-get update ({})", suites.join(", "));
        let mut update = tool("apt-get");
        update
            .args(self.options())
            .args(["-o", "APT::Update::Error-Mode=any", "update"]);
        process::condensed(&mut update, &topic, LISTS_TIME)
    }

    /// The package's versions, newest first.
    pub fn candidates(&self, package: &str) -> Result<Vec<Candidate>> {
        let mut madison = tool("apt-cache");
        madison.args(self.options()).args(["madison", package]);
        Ok(candidates(&process::output(&mut madison)?))
    }

    /// The packages that a version of a package depends on: those that its first alternatives name.
    pub fn depends(&self, package: &str, version: &str) -> Result<Vec<String>> {
        let mut show = tool("apt-cache");
        show.args(self.options());
        show.args(["show", &format!("{package}={version}")]);
        Ok(depends(&process::output(&mut show)?))
    }

    /// Fetch packages and all that they depend on, as for a machine that has nothing; their paths.
    pub fn download_with_all(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let status = self.dir.join("status");
        fs::write(&status, "")?;
        let mut install = tool("apt-get");
        install.args(self.options());
        install.args(["-o", &format!("Dir::State::status={}", status.display())]);
        // Nothing is installed, so that nobody need be kept from installing meanwhile.
        install.args(["-o", "Debug::NoLocking=true", "--download-only", "--yes"]);
        install
            .args(["--no-install-recommends", "install"])
            .args(packages);
        let names = packages
            .iter()
            .take(3)
            .copied()
            .collect::<Vec<_>>()
            .join(", ");
        let topic = format!("apt-get download {names} … and what they need");
        process::condensed(&mut install, &topic, DOWNLOAD_TIME)?;
        let archives = fs::read_dir(self.dir.join("cache/archives"))?;
        let files = archives.filter_map(|entry| Some(entry.ok()?.path()));
        Ok(files
            .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .collect())
    }

    /// Fetch a package's archive into a folder; its path.
    pub fn download(&self, package: &str, version: &str, into: &Path) -> Result<PathBuf> {
        fs::create_dir_all(into)?;
        let mut download = tool("apt-get");
        download
            .args(self.options())
            .arg("download")
            .arg(format!("{package}={version}"));
        download.current_dir(into);
        process::condensed(
            &mut download,
            &format!("apt-get download {package}"),
            DOWNLOAD_TIME,
        )?;
        let mut files = fs::read_dir(into)?.filter_map(|entry| Some(entry.ok()?.path()));
        files
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .with_context(|| format!("apt-get download left no package in {}", into.display()))
    }
}

fn tool(name: &str) -> Command {
    let mut tool = Command::new(name);
    tool.env("LC_ALL", "C");
    tool
}

fn targets(options: &[String], release: &str) -> Result<Vec<Source>> {
    let mut tool = tool("apt-get");
    tool.args(options).args(["indextargets", "--format"]);
    tool.arg("$(CREATED_BY)|$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)");
    Ok(sources(&process::output(&mut tool)?, release))
}

/// Debian's sources among apt's index targets, those of `release` itself first.
fn sources(targets: &str, release: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for line in targets.lines() {
        let parts: Vec<&str> = line.split('|').collect();
        let ["Packages", "Debian", uri, suite, component] = parts[..] else {
            continue;
        };
        let [uri, suite, component] = [uri, suite, component].map(str::to_string);
        let source = Source {
            uri,
            suite,
            component,
        };
        if !found.contains(&source) {
            found.push(source);
        }
    }
    found.sort_by_key(|source| (source.suite != release, source.component != "main"));
    found
}

/// Rows of `apt-cache madison`: `package | version | URI suite/component architecture Packages`.
fn candidates(madison: &str) -> Vec<Candidate> {
    let row = |line: &str| {
        let mut columns = line.split('|').map(str::trim);
        let version = columns.nth(1)?.to_string();
        let suite = columns
            .next()?
            .split(' ')
            .nth(1)?
            .rsplit_once('/')?
            .0
            .to_string();
        Some(Candidate { version, suite })
    };
    madison
        .lines()
        .filter(|line| line.ends_with("Packages"))
        .filter_map(row)
        .collect()
}

/// Names in the line `Depends: one (= 1), two | three`.
fn depends(description: &str) -> Vec<String> {
    let line = description
        .lines()
        .find_map(|line| line.strip_prefix("Depends: "));
    let name = |part: &str| part.split_whitespace().next().map(str::to_string);
    line.unwrap_or_default()
        .split(',')
        .filter_map(name)
        .collect()
}

/// A value of /etc/os-release.
fn os_release(name: &str) -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let value = value.with_context(|| format!("/etc/os-release has no {name}"))?;
    Ok(value.trim_matches('"').to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "\
DEP-11|Debian|http://archive.invalid/debian/|bookworm|main
Packages|Debian|http://security.invalid/|bookworm-security|main
Packages|Debian|http://archive.invalid/debian/|bookworm|contrib
Packages|Debian|http://archive.invalid/debian/|bookworm|main
Packages|Debian|http://archive.invalid/debian/|bookworm|main
Packages|Someone|http://else.invalid/|bookworm|main
";

    #[test]
    fn own_release_comes_first() {
        let found = sources(TARGETS, "bookworm");
        let names: Vec<_> = found
            .iter()
            .map(|s| format!("{} {}", s.suite, s.component))
            .collect();
        assert_eq!(
            names,
            [
                "bookworm main",
                "bookworm contrib",
                "bookworm-security main"
            ]
        );
        assert_eq!(found[0].uri, "http://archive.invalid/debian/");
    }

    #[test]
    fn a_suite_beside_it_has_the_same_archive() {
        let backports = sources(TARGETS, "bookworm")[0].sibling("bookworm-backports");
        assert_eq!(
            backports.line(Some("/keys"), None),
            "deb [target=Packages signed-by=/keys] http://archive.invalid/debian/ \
             bookworm-backports main\n"
        );
        assert_eq!(
            backports.line(None, Some("ppc64el")),
            "deb [target=Packages arch=ppc64el] http://archive.invalid/debian/ \
             bookworm-backports main\n"
        );
    }

    #[test]
    fn dependencies_are_named() {
        let description = "\
Package: linux-image-powerpc64le
Depends: linux-image-6.12.95-powerpc64le (= 6.12.95-1), kmod | module-init-tools
";
        assert_eq!(
            depends(description),
            ["linux-image-6.12.95-powerpc64le", "kmod"]
        );
        assert!(depends("Package: libc6\n").is_empty());
    }

    #[test]
    fn madison_is_understood() {
        let text = "\
 qemu-system-ppc | 1:10.0.2+ds-2~bpo12+1 | http://archive.invalid/debian bookworm-backports/main amd64 Packages
 qemu-system-ppc | 1:7.2+dfsg-7 | http://archive.invalid/debian bookworm/main amd64 Packages
      qemu | 1:7.2+dfsg-7 | http://archive.invalid/debian bookworm/main Sources
";
        let found = candidates(text);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].suite.as_str(), found[0].major()),
            ("bookworm-backports", 10)
        );
        assert_eq!(
            (found[1].suite.as_str(), found[1].upstream()),
            ("bookworm", "7.2")
        );
    }

    #[test]
    fn upstream_version_is_what_stands_before_debians() {
        let of = |version: &str| {
            let suite = String::new();
            Candidate {
                version: version.to_string(),
                suite,
            }
            .upstream()
            .to_string()
        };
        assert_eq!(of("1.95.0+dfsg1-2~bpo13+1"), "1.95.0");
        assert_eq!(of("1:10.0.2~rc1-1"), "10.0.2");
        assert_eq!(of("13"), "13");
    }
}

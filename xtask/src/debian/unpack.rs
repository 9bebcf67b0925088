//! Unpacks Debian's packages below a folder, as dpkg would have it there: unpacked, and not yet set up. It
//! takes no rights but to write there.
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// Folders of which a Debian has but one of two.
const MERGED: [&str; 3] = ["bin", "sbin", "lib"];
/// Unpacks a package; whoever does it owns the files.
const EXTRACT: &str = "dpkg-deb --fsys-tarfile \"$1\" | \
    tar -x -p --no-same-owner --keep-directory-symlink -C \"$2\"";
const LIST: &str = "dpkg-deb --fsys-tarfile \"$1\" | tar -t";
/// What dpkg itself keeps of a package, beside what scripts and lists it brings.
const NOT_KEPT: [&str; 1] = ["control"];

/// What is told of unpacked packages.
pub struct Unpacked {
    /// Lines `MODE OWNER:GROUP PATH` of the files that aren't plainly root's.
    pub owners: Vec<String>,
}

/// Unpacks packages below a new folder.
pub fn unpack(archives: &[PathBuf], root: &Path) -> Result<Unpacked> {
    for folder in MERGED {
        fs::create_dir_all(root.join("usr").join(folder))?;
        symlink(format!("usr/{folder}"), root.join(folder))?;
    }
    fs::create_dir_all(root.join("usr/lib64"))?;
    symlink("usr/lib64", root.join("lib64"))?;
    let mut database = Database::default();
    let mut owners = Vec::new();
    for archive in archives {
        let context = || format!("unpacking {}", archive.display());
        shell(EXTRACT, archive, root).with_context(context)?;
        let contents = dpkg_deb(&["--contents"], archive, None)?;
        owners.extend(contents.lines().filter_map(owner));
        database.add(archive, root).with_context(context)?;
    }
    database.write(&root.join("var/lib/dpkg"))?;
    Ok(Unpacked { owners })
}

/// Copies all below a folder, links as links.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut copy = Command::new("cp");
    copy.args(["-R", "-P"]).arg(from.join(".")).arg(to);
    process::output(&mut copy).map(drop)
}

fn shell(script: &str, archive: &Path, folder: &Path) -> Result<String> {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(archive).arg(folder);
    process::output(&mut shell)
}

fn dpkg_deb(options: &[&str], archive: &Path, into: Option<&Path>) -> Result<String> {
    let mut dpkg = Command::new("dpkg-deb");
    process::output(dpkg.args(options).arg(archive).args(into))
}

/// dpkg's, of what is unpacked.
#[derive(Default)]
struct Database {
    status: String,
    /// By the trigger's name, who waits for it.
    triggers: BTreeMap<String, Vec<String>>,
}

impl Database {
    /// A package's own files go to dpkg's folder; what is for the database is kept.
    fn add(&mut self, archive: &Path, root: &Path) -> Result<()> {
        let info = root.join("var/lib/dpkg/info");
        fs::create_dir_all(&info)?;
        let control_folder = root.with_extension("control");
        fs::remove_dir_all(&control_folder).ok();
        dpkg_deb(&["--control"], archive, Some(&control_folder))?;
        let control = fs::read_to_string(control_folder.join("control"))?;
        let name = name(&control).context("a package without a name")?;
        for entry in fs::read_dir(&control_folder)?.flatten() {
            let kind = entry.file_name().to_string_lossy().into_owned();
            if !NOT_KEPT.contains(&&*kind) {
                fs::copy(entry.path(), info.join(format!("{name}.{kind}")))?;
            }
        }
        let list = list(&shell(LIST, archive, root)?);
        fs::write(info.join(format!("{name}.list")), list)?;
        let text = |kind| fs::read_to_string(control_folder.join(kind)).unwrap_or_default();
        let conffiles = sums(&text("conffiles"), root)?;
        self.status.push_str(&stanza(&control, &conffiles));
        for (trigger, waits) in interests(&text("triggers")) {
            let awaited = if waits { "" } else { "/noawait" };
            let waiting = self.triggers.entry(trigger).or_default();
            waiting.push(format!("{name}{awaited}"));
        }
        fs::remove_dir_all(&control_folder)?;
        Ok(())
    }

    fn write(&self, folder: &Path) -> Result<()> {
        for sub in ["updates", "triggers"] {
            fs::create_dir_all(folder.join(sub))?;
        }
        fs::write(folder.join("status"), &self.status)?;
        fs::write(folder.join("available"), "")?;
        fs::write(folder.join("info/format"), "1\n")?;
        let mut of_paths = String::new();
        for (trigger, waiting) in &self.triggers {
            if trigger.starts_with('/') {
                for name in waiting {
                    writeln!(of_paths, "{trigger} {name}")?;
                }
            } else {
                let text = waiting.join("\n") + "\n";
                fs::write(folder.join("triggers").join(trigger), text)?;
            }
        }
        fs::write(folder.join("triggers/File"), of_paths)?;
        Ok(())
    }
}

fn field<'a>(control: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = control.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Of a package's files in dpkg's folder: packages that several architectures can share it with have
/// theirs in it.
fn name(control: &str) -> Option<String> {
    let name = field(control, "Package")?;
    match (field(control, "Multi-Arch"), field(control, "Architecture")) {
        (Some("same"), Some(architecture)) => Some(format!("{name}:{architecture}")),
        _ => Some(name.to_string()),
    }
}

/// A package's entry in dpkg's list of all.
fn stanza(control: &str, conffiles: &str) -> String {
    let mut stanza = String::new();
    for line in control.lines().filter(|line| !line.is_empty()) {
        stanza.push_str(line);
        stanza.push('\n');
        if line.starts_with("Package: ") {
            stanza.push_str("Status: install ok unpacked\n");
        }
    }
    if !conffiles.is_empty() {
        stanza.push_str("Conffiles:\n");
        stanza.push_str(conffiles);
    }
    stanza + "\n"
}

/// Lines ` PATH MD5` of a package's files that users may change.
fn sums(conffiles: &str, root: &Path) -> Result<String> {
    let mut sums = String::new();
    for path in conffiles.lines().filter(|line| line.starts_with('/')) {
        let mut md5sum = Command::new("md5sum");
        let sum = process::output(md5sum.arg(root.join(&path[1..])))?;
        let sum = sum.split_whitespace().next().unwrap_or_default();
        writeln!(sums, " {path} {sum}")?;
    }
    Ok(sums)
}

/// Paths as dpkg lists them, out of tar's.
fn list(tar: &str) -> String {
    let mut list = String::new();
    for path in tar.lines() {
        let path = path.trim_start_matches('.').trim_end_matches('/');
        list.push_str(if path.is_empty() { "/." } else { path });
        list.push('\n');
    }
    list
}

/// Triggers that a package is interested in, and whether whoever pulls them waits.
fn interests(triggers: &str) -> Vec<(String, bool)> {
    let interest = |line: &str| {
        let mut words = line.split_whitespace();
        let kind = words.next()?.strip_prefix("interest")?;
        Some((words.next()?.to_string(), kind != "-noawait"))
    };
    triggers.lines().filter_map(interest).collect()
}

/// `MODE OWNER:GROUP PATH` by a line of `dpkg-deb --contents`, if the file isn't plainly root's.
fn owner(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (mode, owner) = (words.next()?, words.next()?);
    let path = words.nth(3)?.trim_start_matches('.');
    let is_special = mode.contains(['s', 'S', 't', 'T']);
    let is_link = mode.starts_with(['l', 'h']);
    (!is_link && (is_special || owner != "root/root")).then(|| {
        Some(format!(
            "{} {} {path}",
            octal(mode)?,
            owner.replace('/', ":")
        ))
    })?
}

/// `-rwsr-xr-x` is 4755.
fn octal(mode: &str) -> Option<String> {
    let bits: Vec<char> = mode.chars().collect();
    let (mut special, mut plain) = (0, 0);
    for (nth, bit) in bits.get(1..10)?.iter().enumerate() {
        let of_class = 4 >> (nth / 3);
        if nth % 3 == 2 && "sStT".contains(*bit) {
            special |= of_class;
        }
        plain = plain << 1 | u32::from(!"-ST".contains(*bit));
    }
    Some(format!("{special}{plain:03o}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: &str = "Package: libx1\nArchitecture: ppc64el\nMulti-Arch: same\nVersion: 1\n";

    #[test]
    fn a_package_is_unpacked_and_not_yet_set_up() {
        assert_eq!(name(CONTROL).as_deref(), Some("libx1:ppc64el"));
        assert_eq!(
            name("Package: y\nArchitecture: all\n").as_deref(),
            Some("y")
        );
        let stanza = stanza(CONTROL, " /etc/x 0123\n");
        assert!(stanza.starts_with("Package: libx1\nStatus: install ok unpacked\nArch"));
        assert!(stanza.ends_with("Version: 1\nConffiles:\n /etc/x 0123\n\n"));
    }

    #[test]
    fn files_that_are_not_plainly_roots_are_told() {
        let of = |mode, owner| owner_line(mode, owner, "./bin/x");
        assert_eq!(
            of("-rwsr-xr-x", "root/root").as_deref(),
            Some("4755 root:root /bin/x")
        );
        assert_eq!(
            of("-rwxr-sr-x", "root/shadow").as_deref(),
            Some("2755 root:shadow /bin/x")
        );
        assert_eq!(
            of("drwxrwxrwt", "root/root").as_deref(),
            Some("1777 root:root /bin/x")
        );
        assert_eq!(
            of("-rw-r-----", "root/adm").as_deref(),
            Some("0640 root:adm /bin/x")
        );
        assert_eq!(of("-rwxr-xr-x", "root/root"), None);
        assert_eq!(of("lrwxrwxrwx", "root/adm"), None);
    }

    fn owner_line(mode: &str, owner: &str, path: &str) -> Option<String> {
        super::owner(&format!("{mode} {owner}  1234 2025-01-01 10:00 {path}"))
    }

    #[test]
    fn lists_and_triggers_are_dpkgs() {
        assert_eq!(
            list("./\n./usr/\n./usr/bin/a b\n"),
            "/.\n/usr\n/usr/bin/a b\n"
        );
        let triggers = "# x\ninterest-noawait ldconfig\ninterest /usr/share/x\nactivate y\n";
        let wanted = [
            ("ldconfig".to_string(), false),
            ("/usr/share/x".to_string(), true),
        ];
        assert_eq!(interests(triggers), wanted);
    }
}

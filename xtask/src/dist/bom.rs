//! The software bill of materials: what the firmware's image is made of, as CycloneDX 1.5 has it.
//!
//! Neither a time nor a number of its own is in it: the same sources make the same bytes.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cross::Endian;
use crate::{process, project};

/// The crate that becomes the image.
const FIRMWARE: &str = "firmware";
/// Rust's own libraries, which are built along with it.
const RUST: [&str; 3] = ["alloc", "compiler_builtins", "core"];

/// A crate of one version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
}

impl Package {
    /// The name by which others know it.
    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }
}

/// Packages with their licences, and what each uses.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tree {
    licences: BTreeMap<Package, String>,
    uses: BTreeMap<Package, BTreeSet<Package>>,
}

/// The bill; `lid` is the image, `rust` the compiler's release.
pub fn bill(lid_sha256: &str, rust: &str) -> Result<String> {
    let all = Tree::parse(&tree("normal,build")?)?;
    let inside = Tree::parse(&tree("normal,no-proc-macro")?)?;
    let lock = project::root().join("Cargo.lock");
    let lock = fs::read_to_string(&lock).context("reading Cargo.lock")?;
    let bill = write(&all, &inside, &checksums(&lock), lid_sha256, rust)?;
    Ok(serde_json::to_string_pretty(&bill)? + "\n")
}

/// What `cargo tree` says of the firmware, a line each: depth, package, licence.
fn tree(edges: &str) -> Result<String> {
    let mut cargo = project::cargo();
    cargo.env("RUSTC_BOOTSTRAP", "1");
    cargo.args([
        "tree",
        "--locked",
        "--package",
        FIRMWARE,
        "-Zjson-target-spec",
    ]);
    cargo.arg("--target").arg(Endian::Big.target_file());
    cargo.args(["--edges", edges, "--prefix", "depth"]);
    cargo.args(["--format", "|{p}|{l}"]);
    process::output(&mut cargo)
}

impl Tree {
    fn parse(text: &str) -> Result<Self> {
        let mut tree = Self::default();
        let mut above: Vec<Package> = Vec::new();
        for line in text.lines() {
            let wrong = || format!("cargo tree said: {line}");
            let mut fields = line.split('|');
            let mut field = || fields.next().with_context(wrong);
            let depth: usize = field()?.parse().with_context(wrong)?;
            let mut words = field()?.split(' ');
            let mut word = || words.next().with_context(wrong);
            let package = Package {
                name: word()?.to_string(),
                version: word()?.trim_start_matches('v').to_string(),
            };
            // What has been seen before is marked so.
            let licence = field()?.trim_end_matches(" (*)").to_string();
            above.truncate(depth);
            if let Some(user) = above.last() {
                let uses = tree.uses.entry(user.clone()).or_default();
                uses.insert(package.clone());
            }
            tree.uses.entry(package.clone()).or_default();
            tree.licences.insert(package.clone(), licence);
            above.push(package);
        }
        Ok(tree)
    }
}

/// Of the packages that have one, in a lock file.
fn checksums(lock: &str) -> BTreeMap<Package, String> {
    let value = |entry: &str, name: &str| {
        let line = entry.lines().find_map(|line| line.strip_prefix(name));
        Some(
            line?
                .strip_prefix(" = \"")?
                .trim_end_matches('"')
                .to_string(),
        )
    };
    let entries = lock.split("[[package]]").filter_map(|entry| {
        let package = Package {
            name: value(entry, "name")?,
            version: value(entry, "version")?,
        };
        Some((package, value(entry, "checksum")?))
    });
    entries.collect()
}

fn write(
    all: &Tree,
    inside: &Tree,
    checksums: &BTreeMap<Package, String>,
    lid_sha256: &str,
    rust: &str,
) -> Result<Value> {
    let is_firmware = |package: &&Package| package.name == FIRMWARE;
    let firmware = all.licences.keys().find(is_firmware);
    let firmware = firmware.context("cargo tree doesn't tell of the firmware")?;
    let component = |(package, licence): (&Package, &String)| {
        // Others help to build it, and nothing of them is in it.
        let is_inside = inside.licences.contains_key(package);
        let mut component = json!({
            "type": "library",
            "bom-ref": package.purl(),
            "name": package.name,
            "version": package.version,
            "scope": if is_inside { "required" } else { "excluded" },
            "licenses": [{ "expression": licence }],
        });
        if let Some(sha256) = checksums.get(package) {
            component["purl"] = package.purl().into();
            component["hashes"] = json!([{ "alg": "SHA-256", "content": sha256 }]);
        }
        component
    };
    let others = all
        .licences
        .iter()
        .filter(|(package, _)| *package != firmware);
    let rust = RUST.map(|name| {
        json!({
            "type": "library",
            "bom-ref": format!("rust-{name}@{rust}"),
            "name": name,
            "version": rust,
            "scope": "required",
            "licenses": [{ "expression": "MIT OR Apache-2.0" }],
        })
    });
    let components: Vec<Value> = others.map(component).chain(rust).collect();
    let refs =
        |packages: &BTreeSet<Package>| packages.iter().map(Package::purl).collect::<Vec<_>>();
    let dependencies = all
        .uses
        .iter()
        .map(|(package, uses)| json!({ "ref": package.purl(), "dependsOn": refs(uses) }));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "firmware",
            "bom-ref": firmware.purl(),
            "name": "catnap",
            "version": firmware.version,
            "licenses": [{ "expression": all.licences[firmware] }],
            "hashes": [{ "alg": "SHA-256", "content": lid_sha256 }],
        } },
        "components": components,
        "dependencies": dependencies.collect::<Vec<_>>(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
        0|firmware v0.1.0 (/a/firmware)|Apache-2.0\n\
        1|spin v0.12.3|MIT\n\
        1|thiserror v2.0.21|MIT OR Apache-2.0\n\
        2|thiserror-impl v2.0.21 (proc-macro)|MIT OR Apache-2.0\n\
        1|platform v0.1.0 (/a/platform)|Apache-2.0\n\
        2|spin v0.12.3|MIT (*)\n";
    const INSIDE: &str = "\
        0|firmware v0.1.0 (/a/firmware)|Apache-2.0\n\
        1|spin v0.12.3|MIT\n\
        1|thiserror v2.0.21|MIT OR Apache-2.0\n\
        1|platform v0.1.0 (/a/platform)|Apache-2.0\n";
    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"platform\"\nversion = \"0.1.0\"\n\n\
        [[package]]\nname = \"spin\"\nversion = \"0.12.3\"\nsource = \"registry\"\nchecksum = \"abcd\"\n";

    #[test]
    fn what_is_inside_is_told_from_what_helps() {
        let parse = |text| Tree::parse(text).unwrap();
        let checksums = checksums(LOCK);
        let bill = write(&parse(TREE), &parse(INSIDE), &checksums, "1234", "1.95.0").unwrap();
        let component = |name: &str| {
            let mut all = bill["components"].as_array().unwrap().iter();
            all.find(|one| one["name"] == name).unwrap().clone()
        };
        assert_eq!(component("spin")["scope"], "required");
        assert_eq!(component("spin")["purl"], "pkg:cargo/spin@0.12.3");
        assert_eq!(component("spin")["hashes"][0]["content"], "abcd");
        assert_eq!(component("thiserror-impl")["scope"], "excluded");
        // Ours come from no registry, and no path of this machine is told.
        assert!(component("platform")["purl"].is_null());
        assert!(!bill.to_string().contains("/a/"));
        assert_eq!(component("core")["version"], "1.95.0");
        assert_eq!(
            bill["metadata"]["component"]["hashes"][0]["content"],
            "1234"
        );
        let uses = bill["dependencies"].as_array().unwrap().iter();
        let firmware = uses
            .clone()
            .find(|one| one["ref"] == "pkg:cargo/firmware@0.1.0");
        assert_eq!(firmware.unwrap()["dependsOn"].as_array().unwrap().len(), 3);
        let platform = uses
            .clone()
            .find(|one| one["ref"] == "pkg:cargo/platform@0.1.0");
        assert_eq!(
            platform.unwrap()["dependsOn"],
            json!(["pkg:cargo/spin@0.12.3"])
        );
        assert!(Tree::parse("x|spin v1|MIT").is_err());
    }

    /// cargo's own words can be read, and all that is in the image and from others has a sum.
    #[test]
    fn the_firmware_has_a_bill() {
        let one = bill("00", "1.95.0").unwrap();
        assert_eq!(one, bill("00", "1.95.0").unwrap());
        let bill: Value = serde_json::from_str(&one).unwrap();
        let components = bill["components"].as_array().unwrap();
        for name in ["talc", "p521", "xz4rust", "dtoolkit", "platform"] {
            let found = components.iter().find(|one| one["name"] == name);
            assert_eq!(found.unwrap()["scope"], "required", "{name}");
        }
        let syn = components.iter().find(|one| one["name"] == "syn").unwrap();
        assert_eq!(syn["scope"], "excluded");
        let known = components.iter().filter(|one| !one["purl"].is_null());
        assert!(known.clone().count() > 30);
        assert!(
            known
                .clone()
                .all(|one| one["hashes"][0]["content"].as_str().unwrap().len() == 64)
        );
    }
}

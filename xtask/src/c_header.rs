//! `cargo xtask header`: catnap's calls as a C header, made out of the crate `hcalls`.
//!
//! cbindgen translates the declarations. What it can't know is asserted in the header: sizes, offsets and
//! values, which this crate has from `hcalls` itself. A C compiler then compares the two.
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use cbindgen::{Builder, Config, DocumentationStyle, EnumConfig, ExportConfig, Language, Style};
use cbindgen::{DocumentationLength, RenameRule};

use crate::project;

mod asserts;

/// Constants that mean nothing to a host in C, or aren't constants there.
const LEFT_OUT: [&str; 5] = ["FIRST", "LAST", "TB_HZ", "NO_SLOT", "NO_VCORE"];

const INTRODUCTION: &str = "\
/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catnap's calls for hosts written in C: tokens, statuses and structures.
 *
 * Made by `cargo xtask header` from the crate hcalls. Don't edit it.
 */";

/// Types of Rust's and of zerocopy's, as Linux names them, in its kernel and for its programs.
const TYPES: [(&str, &str); 2] = [("U32", "__be32"), ("U64", "__be64")];
/// The structures and enumerations.
const NAMES: [&str; 19] = [
    "ExitReason",
    "HostLine",
    "FirmwareLine",
    "Sprs",
    "SlbEntry",
    "VcpuPage",
    "MemoryMode",
    "Policy",
    "PtidMode",
    "PartitionConfig",
    "Query",
    "VcpuState",
    "ClaimAction",
    "DoorbellsAction",
    "CoreState",
    "Status",
    "StatsAction",
    "VcoreStats",
    "Token",
];

/// The command.
pub fn header() -> Result<ExitCode> {
    let path = path();
    let is_new = project::write_if_changed(&path, text()?.as_bytes())?;
    let what = if is_new { "written" } else { "as it was" };
    println!("header: {} is {what}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// Where it lies in the repository.
pub fn path() -> PathBuf {
    project::root().join("linux/include/catnap.h")
}

/// The header.
pub fn text() -> Result<String> {
    let crate_file = project::root().join("hcalls/src/lib.rs");
    let builder = Builder::new().with_config(config()).with_src(crate_file);
    let mut made = Vec::new();
    builder.generate().context("cbindgen")?.write(&mut made);
    let mut text = in_kernel_style(&String::from_utf8(made)?);
    let more = asserts::text(&text);
    let end = text.rfind("#endif").context("no guard at the end")?;
    text.insert_str(end, &more);
    Ok(text)
}

fn config() -> Config {
    let types = TYPES.map(|(rust, c)| (rust.to_string(), c.to_string()));
    let rename: HashMap<_, _> = NAMES
        .into_iter()
        .map(|name| (name.to_string(), c_name(name)))
        .chain(types)
        .collect();
    Config {
        language: Language::C,
        style: Style::Tag,
        header: Some(INTRODUCTION.to_string()),
        include_guard: Some("CATNAP_H".to_string()),
        no_includes: true,
        after_includes: Some(
            "\n#include <linux/types.h>\n#ifndef __KERNEL__\n#include <stdint.h>\n#endif".into(),
        ),
        documentation_style: DocumentationStyle::Doxy,
        tab_width: 8,
        documentation_length: DocumentationLength::Full,
        export: ExportConfig {
            include: NAMES.into_iter().map(String::from).collect(),
            exclude: LEFT_OUT.map(String::from).into(),
            prefix: Some("CATNAP_".to_string()),
            rename,
            renaming_overrides_prefixing: true,
            ..ExportConfig::default()
        },
        enumeration: EnumConfig {
            rename_variants: RenameRule::QualifiedScreamingSnakeCase,
            ..EnumConfig::default()
        },
        ..Config::default()
    }
}

/// `VcpuPage` is `catnap_vcpu_page`.
fn c_name(rust: &str) -> String {
    let mut name = String::from("catnap");
    for letter in rust.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// As Linux has its headers: tabs, comments without Rust's marks, enumerations without a type of C23, and
/// bits of 64 without names that only programs have.
fn in_kernel_style(made: &str) -> String {
    const MARKS: [(&str, &str); 8] = [
        ("\\[", "["),
        ("\\]", "]"),
        ("[`crate::", "`"),
        ("[`", "`"),
        ("`]", "`"),
        ("/**", "/*"),
        ("        ", "\t"),
        ("UINT64_MAX", "(~0ULL)"),
    ];
    let mut text = String::new();
    let mut is_c23 = false;
    for line in made.lines() {
        is_c23 |= line.starts_with("#if __STDC_VERSION__");
        if !is_c23 {
            let line = line.replace("(1 <<", "(1ULL <<");
            let line = MARKS
                .iter()
                .fold(line, |line, (from, to)| line.replace(from, to));
            text.push_str(if line == " {" { "{" } else { &line });
            text.push('\n');
        }
        is_c23 &= !line.starts_with("#endif // __STDC_VERSION__");
    }
    text.replace("\n{\n", " {\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process;
    use std::process::Command;

    #[test]
    fn the_header_is_up_to_date() {
        let kept = std::fs::read_to_string(path()).unwrap_or_default();
        assert!(kept == text().unwrap(), "run `cargo xtask header`");
    }

    /// The compiler compares sizes, offsets and values with those of the crate.
    #[test]
    fn a_c_compiler_agrees_with_the_crate() {
        for standard in ["-std=c11", "-std=gnu17"] {
            let mut gcc = Command::new("gcc");
            gcc.args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
            gcc.args(["-fsyntax-only", "-x", "c"]).arg(path());
            process::output(&mut gcc).unwrap();
        }
    }

    #[test]
    fn names_are_c_names() {
        assert_eq!(c_name("VcpuPage"), "catnap_vcpu_page");
    }
}

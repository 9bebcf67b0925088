//! Numbers, layouts and names that are others': compared with the headers of Debian's kernel, which its
//! developers keep for the same interfaces, and with the names in that kernel itself.
//!
//! Which constants there are is read from the source files, so a new one fails here until it has a
//! counterpart, or is told to have none.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use libtest_mimic::Trial;
use skiboot_compat::calls::CALLS;
use tests::{constants, headers};
use xtask::project;
use xtask::setup::debian::{Files, HEADERS_OF};

use crate::{Outcome, trial};

mod opal;
mod registers;

/// A constant of ours: its name, its value, the kernel's expression for it.
type Number<'a> = (&'a str, u64, &'a str);

/// Names of constants beside the kernel's. Values are compared as 64 bits.
macro_rules! numbers {
    ($($ours:path => $theirs:literal,)+) => {
        &[$((stringify!($ours), $ours as u64, $theirs)),+]
    };
}
use numbers;

/// Calls that the kernel doesn't declare: one that it makes from assembly, one that it never makes.
const NOT_DECLARED: [&str; 2] = ["OPAL_TEST", "OPAL_CHECK_ASYNC_COMPLETION"];

pub fn trials() -> Vec<Trial> {
    vec![
        trial("numbers::hypercalls", || {
            compare("hypercalls", opal::HYPERCALLS)?;
            complete(
                &["hcalls/src/papr.rs"],
                opal::HYPERCALLS,
                opal::NOT_IN_HVCALL,
            )
        }),
        trial("numbers::opal", || {
            let numbers = [opal::NUMBERS, opal::LAYOUTS].concat();
            compare("opal", &numbers)?;
            let files = sources("skiboot-compat/src")?;
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            complete(&files, &numbers, opal::NOT_IN_OPAL_API)
        }),
        trial("numbers::statuses", statuses),
        trial("numbers::calls", calls),
        trial("numbers::maintenance", || {
            compare("maintenance", &opal::conditions())
        }),
        trial("numbers::registers", registers::all),
        trial("numbers::names", names),
    ]
}

/// Every number is what the kernel's name stands for.
fn compare(program: &str, numbers: &[Number]) -> Outcome {
    let theirs: Vec<&str> = numbers.iter().map(|(_, _, theirs)| *theirs).collect();
    let values = headers::values(program, &theirs)?;
    let wrong = |((name, ours, theirs), value): (&Number, u64)| {
        (*ours != value).then(|| format!("{name} is {ours:#x}, {theirs} is {value:#x}"))
    };
    faults(numbers.iter().zip(values).filter_map(wrong))
}

/// Every constant of these files is compared, or told to have no counterpart; and not both.
fn complete(files: &[&str], numbers: &[Number], unlike: &[(&str, &str)]) -> Outcome {
    let compared = numbers.iter().map(|(name, ..)| name.replace(' ', ""));
    let mut known: BTreeMap<String, u32> = BTreeMap::new();
    for name in compared.chain(unlike.iter().map(|(name, _)| (*name).to_string())) {
        *known.entry(name).or_default() += 1;
    }
    let mut found = BTreeSet::new();
    for file in files {
        let path = project::root().join(file);
        let source = fs::read_to_string(path).map_err(|why| format!("{file}: {why}"))?;
        let module = file.rsplit('/').next().unwrap_or(file);
        let module = module.trim_end_matches(".rs");
        let names = constants::names(&source).into_iter();
        // Registers' numbers are known as those of `spr`.
        let module = module.trim_end_matches("_numbers");
        found.extend(names.map(|name| format!("{module}::{name}")));
    }
    let missing = found.iter().filter(|name| !known.contains_key(*name));
    let missing = missing.map(|name| format!("{name} is compared with nothing"));
    let twice = known.iter().filter(|(_, times)| **times > 1);
    let twice = twice.map(|(name, _)| format!("{name} is listed twice"));
    let gone = known.keys().filter(|name| !found.contains(*name));
    let gone = gone.map(|name| format!("{name} is listed, but isn't there"));
    faults(missing.chain(twice).chain(gone))
}

fn faults(faults: impl Iterator<Item = String>) -> Outcome {
    let faults: Vec<String> = faults.collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults.join("\n")),
    }
}

/// The source files of a folder; [`statuses`] looks at one of the others.
fn sources(folder: &str) -> Result<Vec<String>, String> {
    const OTHERS: [&str; 2] = ["lib.rs", "status.rs"];
    let entries = fs::read_dir(project::root().join(folder)).map_err(|why| why.to_string())?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let names = names.filter(|name| !OTHERS.contains(&name.as_str()));
    Ok(names.map(|name| format!("{folder}/{name}")).collect())
}

/// All statuses, OPAL's and those of the calls of this firmware's own, which are OPAL's but for one.
fn statuses() -> Outcome {
    const OWN: &str = "Present";
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in ["skiboot-compat/src/status.rs", "hcalls/src/status.rs"] {
        let path = project::root().join(file);
        let source = fs::read_to_string(path).map_err(|why| format!("{file}: {why}"))?;
        let variants = source.lines().filter_map(|line| {
            let (name, number) = line.strip_suffix(',')?.trim().split_once(" = ")?;
            Some((name, number.parse::<i64>().ok()?))
        });
        let variants: Vec<_> = variants.filter(|(name, _)| *name != OWN).collect();
        let named = constants::names(&source).into_iter();
        let named = named.filter(|name| *name != format!("Status::{OWN}"));
        if named.count() != variants.len() {
            wrong.push(format!("{file}: not every name has a number of its own"));
        }
        let theirs: Vec<_> = variants.iter().map(|(name, _)| opal::name(name)).collect();
        let theirs_ref: Vec<&str> = theirs.iter().map(String::as_str).collect();
        let values = headers::values("statuses", &theirs_ref)?;
        for ((name, ours), value) in variants.iter().zip(values) {
            seen += 1;
            if *ours as u64 != value {
                wrong.push(format!("{file}: {name} is {ours}, not {}", value as i64));
            }
        }
    }
    if seen < 20 {
        wrong.push(format!("only {seen} statuses are seen"));
    }
    faults(wrong.into_iter())
}

/// Tokens of all calls, and how many arguments the kernel gives each.
fn calls() -> Outcome {
    let names: Vec<&str> = CALLS.iter().map(|call| call.name).collect();
    let values = headers::values("calls", &names)?;
    let declared = headers::text("opal.h");
    let mut wrong = Vec::new();
    for (call, token) in CALLS.iter().zip(values) {
        let (name, ours) = (call.name, u64::from(call.token));
        if ours != token {
            wrong.push(format!("{name} is {ours}, not {token}"));
        }
        let arguments = headers::arguments(&declared, &name.to_lowercase());
        if arguments.is_none() != NOT_DECLARED.contains(&name) {
            wrong.push(format!("{name}: whether it is declared has changed"));
        }
        if arguments.is_some_and(|count| count != usize::from(call.arguments)) {
            wrong.push(format!(
                "{name} has {} arguments, not {arguments:?}",
                call.arguments
            ));
        }
    }
    faults(wrong.into_iter())
}

/// Whether these bytes of the kernel could be a name.
fn is_name(text: &[u8]) -> bool {
    (1..64).contains(&text.len()) && text.is_ascii()
}

/// Every name of the device tree that a kernel looks for is one that Debian's looks for.
fn names() -> Outcome {
    let file = "skiboot-compat/src/tree.rs";
    let source = fs::read_to_string(project::root().join(file)).map_err(|why| why.to_string())?;
    // What this firmware alone has.
    let (others, _own) = source
        .split_once("pub mod smt {")
        .ok_or("no module of this firmware's own")?;
    let kernel = Files::present().map_err(|why| format!("{why:#}"))?;
    let kernel = fs::read(kernel.kernel(HEADERS_OF)).map_err(|why| why.to_string())?;
    let strings = kernel.split(|byte| *byte == 0);
    let strings: BTreeSet<&[u8]> = strings.filter(|text| is_name(text)).collect();
    let mut wrong = Vec::new();
    let quoted = others.lines().filter(|line| !line.trim().starts_with("//"));
    let quoted = quoted.flat_map(|line| line.split('"').skip(1).step_by(2));
    for name in quoted {
        // The kernel compares values of `compatible` without regard to case.
        let lower = name.to_lowercase();
        let known = [name, &lower].map(|name| strings.contains(name.as_bytes()));
        let known = known.contains(&true);
        let mut unlike = opal::NOT_IN_KERNEL.iter();
        if known == unlike.any(|(unlike, _)| *unlike == lower) {
            wrong.push(match known {
                true => format!("{name:?} is in the kernel after all"),
                false => format!("{name:?} isn't in the kernel"),
            });
        }
    }
    faults(wrong.into_iter())
}

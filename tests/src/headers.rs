//! The kernel's headers: what their names stand for, as a C compiler sees it.
use std::fs;
use std::process::Command;

use xtask::process;
use xtask::setup::debian::Files;

use crate::images;

/// Before the headers: what they take from others.
const PROLOGUE: &str = "\
#define __KERNEL__ 1
#define CONFIG_PPC64 1
#define CONFIG_PPC_BOOK3S 1
#define CONFIG_PPC_BOOK3S_64 1
#define ASM_CONST(x) x##UL
#define _AC(x, suffix) x##suffix
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
typedef uint8_t u8, __u8;
typedef uint16_t __be16;
typedef uint32_t __be32;
typedef uint64_t __be64;
";

/// The text of a header.
///
/// # Panics
/// It can't be read.
#[must_use]
pub fn text(name: &str) -> String {
    let path = Files::present().expect("the workspace").header(name);
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// The values of expressions in these headers' names, each as 64 bits.
///
/// # Errors
/// What the compiler says, as when a name isn't there.
pub fn values(program: &str, expressions: &[&str]) -> Result<Vec<u64>, String> {
    let mut source = String::from(PROLOGUE);
    // Of most headers the definitions alone: the rest is the kernel's own code.
    source += &definitions(&text("hvcall.h"));
    source += &definitions(&text("reg.h"));
    source += &text("opal-api.h");
    source += "\nint main(void) {\n";
    for expression in expressions {
        source += &format!("printf(\"%llx\\n\", (unsigned long long)({expression}));\n");
    }
    source += "}\n";
    let file = images::scratch_path(&format!("{program}.c"));
    let binary = images::scratch_path(program);
    fs::write(&file, source).map_err(|why| format!("{}: {why}", file.display()))?;
    let mut compiler = Command::new("cc");
    compiler.args(["-w", "-o"]).arg(&binary).arg(&file);
    let run = |command: &mut Command| process::output(command).map_err(|why| format!("{why:#}"));
    run(&mut compiler)?;
    let output = run(&mut Command::new(&binary))?;
    let values: Result<Vec<u64>, _> = output
        .lines()
        .map(|line| u64::from_str_radix(line, 16))
        .collect();
    let values = values.map_err(|why| format!("{output}: {why}"))?;
    match values.len() == expressions.len() {
        true => Ok(values),
        false => Err(format!("{} values of {}", values.len(), expressions.len())),
    }
}

/// A header's `#define`s and what they depend on, but no other header.
fn definitions(header: &str) -> String {
    let mut kept = String::new();
    let (mut goes_on, mut in_comment) = (false, false);
    for line in header.lines() {
        let begins = line.starts_with('#') && !line.contains("include");
        if !begins && !goes_on {
            continue;
        }
        kept += line;
        kept.push('\n');
        in_comment = match (line.rfind("/*"), line.rfind("*/")) {
            (None, None) => in_comment,
            (began, ended) => began > ended,
        };
        goes_on = in_comment || line.ends_with('\\');
    }
    kept
}

/// How many arguments the kernel gives a call of OPAL's, by its function's declaration.
#[must_use]
pub fn arguments(header: &str, function: &str) -> Option<usize> {
    let begin = header.find(&format!(" {function}("))? + function.len() + 2;
    let list = header[begin..].split(')').next()?.trim();
    Some(match list {
        "void" => 0,
        list => list.split(',').count(),
    })
}

#[cfg(test)]
mod tests {
    use super::{arguments, definitions};

    #[test]
    fn definitions_are_kept_whole() {
        let header = "#include <a.h>\n#define A 1\nint b;\n#define C \\\n 2\nint d;\n#define E 3 /* of\n * more\n * here */\nint f;\n";
        let kept = "#define A 1\n#define C \\\n 2\n#define E 3 /* of\n * more\n * here */\n";
        assert_eq!(definitions(header), kept);
    }

    #[test]
    fn arguments_are_counted() {
        let header = "int64_t opal_a(void);\nint64_t opal_bc(int a,\n    int b);\n";
        assert_eq!(arguments(header, "opal_a"), Some(0));
        assert_eq!(arguments(header, "opal_bc"), Some(2));
        assert_eq!(arguments(header, "opal_b"), None);
    }
}

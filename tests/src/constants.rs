//! The names of a source file's constants, so that none escapes a comparison.

/// Constants but for texts, variants and fields that a file of ours has outside its tests, as paths:
/// `NAME`, `module::NAME`, `Enum::Variant`, `Struct::field`. The file is formatted by rustfmt; what a macro
/// makes isn't seen.
#[must_use]
pub fn names(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    // The module, enum or structure that a line is in.
    let mut within: Option<(&str, bool)> = None;
    for line in source.lines().take_while(|line| *line != "#[cfg(test)]") {
        let words = line.trim_start();
        let words = words.strip_prefix("pub ").unwrap_or(words);
        let inner = line.starts_with("    ") && !line.starts_with("     ");
        if line == "}" {
            within = None;
        } else if !line.starts_with(' ') && line.ends_with('{') {
            within = opened(words);
        }
        let prefix = match within {
            Some((name, _)) if inner => format!("{name}::"),
            None if !line.starts_with(' ') => String::new(),
            _ => continue,
        };
        let has_members = within.is_some_and(|(_, members)| members);
        let name = match words.strip_prefix("const ") {
            Some(rest) if rest.contains(": &") => None,
            Some(rest) => identifier(rest, &[':']),
            None if has_members => identifier(words, &[' ', ':', ',']),
            None => None,
        };
        names.extend(name.map(|name| format!("{prefix}{name}")));
    }
    names
}

/// The name of the module, enum or structure that a line opens; whether it has members.
fn opened(words: &str) -> Option<(&str, bool)> {
    let (kind, rest) = words.split_once(' ')?;
    let name = identifier(rest, &[' ', '<'])?;
    match kind {
        "mod" => Some((name, false)),
        "enum" | "struct" => Some((name, true)),
        _ => None,
    }
}

/// An identifier before one of these; `_` is none.
fn identifier<'a>(text: &'a str, ends: &[char]) -> Option<&'a str> {
    let (name, _) = text.split_once(ends)?;
    let fits = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    fits.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn every_kind_of_name_is_found() {
        let source = "\
use core::fmt;
/// Some.
pub const ONE: u64 = 1;
pub const TEXT: &str = \"text\";
const TWO: u64 =
    2;
const _: () = assert!(ONE == 1);
pub mod inner {
    /// const NOT: u8
    pub const THREE: u8 = 3;
}
pub enum Status {
    /// Fine.
    Success = 0,
    Failed = -1,
}
pub struct Message {
    pub kind: [u8; 4],
}
pub const fn four() -> u64 {
    const WITHIN: u64 = 4;
    WITHIN
}
#[cfg(test)]
mod tests {
    const FIVE: u8 = 5;
}
";
        let expected = [
            "ONE",
            "TWO",
            "inner::THREE",
            "Status::Success",
            "Status::Failed",
            "Message::kind",
        ];
        assert_eq!(names(source), expected);
    }
}

//! The symbol map, and looking symbols up for the debugger.
use std::fmt::Write;

use anyhow::{Context, Result};
use object::{
    File, Object, ObjectSection, ObjectSymbol, SectionKind, Symbol, SymbolFlags, SymbolKind,
};

/// A line for each symbol, by address: `address type name`, types as in nm (T code, R read-only
/// data, D data, B zeroed data, A absolute; small letters for local symbols).
pub fn map(elf: &[u8]) -> Result<String> {
    let file = File::parse(elf).context("not an object file")?;
    let mut rows: Vec<_> = file
        .symbols()
        .filter_map(|symbol| row(&file, &symbol))
        .collect();
    rows.sort();
    rows.dedup();
    let mut out = String::new();
    for (address, letter, name) in rows {
        writeln!(out, "{address:016x} {letter} {name}")?;
    }
    Ok(out)
}

/// Where each function begins whose demangled name, or its last parts, is `name`: its local
/// entry point, past the instructions that only a caller with another TOC pointer needs.
pub fn functions(elf: &[u8], name: &str) -> Result<Vec<u64>> {
    let file = File::parse(elf).context("not an object file")?;
    let tail = format!("::{name}");
    let mut found: Vec<u64> = file
        .symbols()
        .filter(|symbol| symbol.is_definition())
        .filter_map(|symbol| Some((local_entry(&symbol), demangled(&symbol)?)))
        .filter(|(_, full)| full == name || full.ends_with(&tail))
        .map(|(address, _)| address)
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

fn local_entry(symbol: &Symbol) -> u64 {
    match symbol.flags() {
        SymbolFlags::Elf { st_other, .. } => symbol.address() + local_entry_offset(st_other.0),
        _ => symbol.address(),
    }
}

/// Bytes from the global to the local entry point (ELFv2 ABI 3.4.1, `st_other`).
fn local_entry_offset(st_other: u8) -> u64 {
    ((1 << (st_other >> 5)) >> 2) << 2
}

fn row(file: &File, symbol: &Symbol) -> Option<(u64, char, String)> {
    let skipped = [SymbolKind::File, SymbolKind::Section];
    if symbol.is_undefined() || skipped.contains(&symbol.kind()) {
        return None;
    }
    let name = demangled(symbol)?;
    let letter = letter(file, symbol);
    let letter = if symbol.is_local() {
        letter.to_ascii_lowercase()
    } else {
        letter
    };
    Some((symbol.address(), letter, name))
}

fn letter(file: &File, symbol: &Symbol) -> char {
    let section = symbol
        .section_index()
        .and_then(|index| file.section_by_index(index).ok());
    match section.map(|section| section.kind()) {
        Some(SectionKind::Text) => 'T',
        Some(SectionKind::ReadOnlyData | SectionKind::ReadOnlyString) => 'R',
        Some(SectionKind::UninitializedData) => 'B',
        Some(_) => 'D',
        None => 'A',
    }
}

/// Without the hash at the end; None for nameless symbols.
fn demangled(symbol: &Symbol) -> Option<String> {
    let name = symbol.name().ok().filter(|name| !name.is_empty())?;
    Some(format!("{:#}", rustc_demangle::demangle(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This very program has a symbol table that the linker made.
    #[test]
    fn own_symbols_are_found_and_sorted() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let map = map(&own).unwrap();
        let addresses: Vec<&str> = map.lines().map(|line| &line[..16]).collect();
        assert!(addresses.len() > 100 && addresses.is_sorted());
        assert!(
            map.lines().any(|line| &line[16..] == " T main"),
            "{}",
            &map[..300]
        );
        assert!(!functions(&own, "main").unwrap().is_empty());
        assert!(functions(&own, "no_such_function").unwrap().is_empty());
    }

    #[test]
    fn local_entry_is_where_the_abi_says() {
        let offsets = [0, 1, 2, 3, 4, 5, 6].map(|bits| local_entry_offset(bits << 5));
        assert_eq!(offsets, [0, 0, 4, 8, 16, 32, 64]);
    }

    #[test]
    fn rubbish_is_refused() {
        map(b"rubbish").unwrap_err();
    }
}

//! The firmware's code, by address: instructions, symbols, and functions inlined into others.
use std::collections::HashMap;

use addr2line::gimli::{self, EndianSlice, RunTimeEndian};
use anyhow::{Context, Result};
use object::{File, Object, ObjectSection, ObjectSymbol, SymbolKind};

/// Where the image is linked, which is where it runs; its first page is reached at 0, too.
pub const BASE: u64 = 0x3000_0000;
/// Vectors and what they go on to without leaving the addresses at which interrupts are taken.
pub const VECTOR_PAGE_BYTES: u64 = 0x3000;
/// Code is linked at effective addresses that leave HRMOR out.
const LINKED: u64 = 1 << 63;

/// What a block of instructions belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// `smt/run/mod.rs`; `asm` for assembly.
    pub file: String,
    /// The function, or the label in assembly.
    pub name: String,
}

pub struct Code<'a> {
    /// Addresses as in [`real`], and what is there.
    text: Vec<(u64, &'a [u8])>,
    symbols: Vec<(u64, String)>,
    lines: addr2line::Context<EndianSlice<'a, RunTimeEndian>>,
    blocks: HashMap<u64, Block>,
}

/// The real address of an effective one of the firmware's.
pub fn real(pc: u64) -> u64 {
    match pc < VECTOR_PAGE_BYTES {
        true => pc + BASE,
        false => pc & 0x0fff_ffff_ffff_ffff,
    }
}

impl<'a> Code<'a> {
    pub fn read(elf: &'a [u8]) -> Result<Self> {
        let file = File::parse(elf).context("not an object file")?;
        let mut text = Vec::new();
        for section in file.sections() {
            if section.kind() == object::SectionKind::Text {
                text.push((real(section.address()), section.data()?));
            }
        }
        let mut symbols: Vec<_> = file
            .symbols()
            .filter_map(|symbol| code_symbol(&symbol))
            .collect();
        symbols.sort();
        let endian = match file.is_little_endian() {
            true => RunTimeEndian::Little,
            false => RunTimeEndian::Big,
        };
        let section = |id: gimli::SectionId| -> Result<_> {
            let data = match file.section_by_name(id.name()) {
                Some(section) => section.data()?,
                None => &[],
            };
            Ok(EndianSlice::new(data, endian))
        };
        let dwarf = gimli::Dwarf::load(section)?;
        Ok(Self {
            text,
            symbols,
            lines: addr2line::Context::from_dwarf(dwarf)
                .context("the firmware's debug information")?,
            blocks: HashMap::new(),
        })
    }

    /// The instruction at a real address; 0 where there is none.
    pub fn instruction(&self, real: u64) -> u32 {
        let word = |(address, bytes): &(u64, &[u8])| {
            let at = usize::try_from(real.checked_sub(*address)?).ok()?;
            let word = bytes.get(at..at + 4)?;
            Some(u32::from_be_bytes(word.try_into().ok()?))
        };
        self.text.iter().find_map(word).unwrap_or(0)
    }

    /// The real address of a label in the code.
    pub fn symbol(&self, name: &str) -> Result<u64> {
        let found = self.symbols.iter().find(|(_, symbol)| symbol == name);
        Ok(found
            .with_context(|| format!("the firmware has no {name}"))?
            .0)
    }

    /// What the instruction at a real address belongs to: the innermost function of catnap's that
    /// is more than an instruction with a name.
    pub fn block(&mut self, real: u64) -> Block {
        if let Some(block) = self.blocks.get(&real) {
            return block.clone();
        }
        let block = self.function(real).unwrap_or_else(|| self.label(real));
        self.blocks.insert(real, block.clone());
        block
    }

    /// All functions at an address, outermost first, as `file:line function`; none in assembly.
    pub fn frames(&self, real: u64) -> Vec<(String, u32, String)> {
        let Ok(mut found) = self.lines.find_frames(real | LINKED).skip_all_loads() else {
            return Vec::new();
        };
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = found.next() {
            let (Some(function), Some(location)) = (frame.function, frame.location) else {
                continue;
            };
            let name = function.raw_name().unwrap_or_default();
            let name = format!("{:#}", rustc_demangle::demangle(&name));
            let (file, line) = (
                location.file.unwrap_or_default(),
                location.line.unwrap_or(0),
            );
            frames.push((file.to_string(), line, name));
        }
        frames.reverse();
        frames
    }

    fn function(&self, real: u64) -> Option<Block> {
        let frames = self.frames(real);
        let of_ours = |(file, _, name): &(String, u32, String)| {
            Some(Block {
                file: source(file)?,
                name: short(name)?,
            })
        };
        frames.iter().rev().find_map(of_ours)
    }

    /// The label in assembly before a real address.
    pub fn label(&self, real: u64) -> Block {
        let after = self
            .symbols
            .partition_point(|(address, _)| *address <= real);
        let name = after.checked_sub(1).map(|at| self.symbols[at].1.clone());
        Block {
            file: "asm".to_string(),
            name: name.unwrap_or_default(),
        }
    }
}

/// A function or a label in assembly.
fn code_symbol(symbol: &object::Symbol) -> Option<(u64, String)> {
    let kinds = [SymbolKind::Text, SymbolKind::Unknown, SymbolKind::Label];
    if symbol.section_index().is_none() || !kinds.contains(&symbol.kind()) {
        return None;
    }
    let name = symbol.name().ok().filter(|name| !name.is_empty())?;
    Some((
        real(symbol.address()),
        format!("{:#}", rustc_demangle::demangle(name)),
    ))
}

/// A function's own name, without its path and type arguments; none for closures, which are their
/// callers'.
pub fn short(name: &str) -> Option<String> {
    let plain = name.split('<').next().filter(|plain| !plain.is_empty())?;
    let last = plain.trim_end_matches(':').rsplit("::").next()?;
    (!last.starts_with('{')).then(|| last.to_string())
}

/// The path of one of the firmware's own sources below its `src`, behind `vcore/` if it is that crate's; none for those that name single
/// instructions and memory cells and for steps of a word, which are their users', and for sources of
/// others.
fn source(path: &str) -> Option<String> {
    const SINGLE: [&str; 4] = [
        "memory/real.rs",
        "vcore/bits.rs",
        "vcore/sync.rs",
        "vcore/word.rs",
    ];
    const ROOTS: [(&str, &str); 3] = [
        ("firmware/vcore/src/", "vcore/"),
        ("firmware/src/", ""),
        ("platform/src/", ""),
    ];
    let inner = ROOTS.iter().find_map(|(root, room)| {
        let (_, inner) = path.split_once(root)?;
        Some(format!("{room}{inner}"))
    })?;
    (!SINGLE.contains(&&*inner)).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_ours_are_told() {
        assert_eq!(
            source("firmware/src/smt/run/mod.rs").as_deref(),
            Some("smt/run/mod.rs")
        );
        assert_eq!(
            source("/a/platform/src/cpu/world.rs").as_deref(),
            Some("cpu/world.rs")
        );
        assert_eq!(
            source("/a/firmware/vcore/src/roster.rs").as_deref(),
            Some("vcore/roster.rs")
        );
        assert_eq!(source("firmware/vcore/src/word.rs"), None);
        assert_eq!(source("platform/src/memory/real.rs"), None);
        assert_eq!(source("/rustc/x/library/core/src/sync/atomic.rs"), None);
    }

    #[test]
    fn names_are_short() {
        assert_eq!(short("firmware::smt::run::run").as_deref(), Some("run"));
        assert_eq!(
            short("update<bool, firmware::a::{closure_env#0}>").as_deref(),
            Some("update")
        );
        assert_eq!(short("firmware::a::b::{closure#0}"), None);
    }

    #[test]
    fn both_views_of_the_image_are_one() {
        assert_eq!(real(0xc00), BASE + 0xc00);
        assert_eq!(real(0x8000_0000_3000_4000), BASE + 0x4000);
        assert_eq!(real(BASE + 0x4000), BASE + 0x4000);
    }

    /// This very program has code, symbols and debug information.
    #[test]
    fn own_functions_have_names() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let code = Code::read(&own).unwrap();
        let main = code.symbol("main").unwrap();
        assert_eq!(code.label(main).name, "main");
        code.symbol("no_such_label").unwrap_err();
    }

    #[test]
    fn rubbish_is_refused() {
        assert!(Code::read(b"rubbish").is_err());
    }
}

//! An outline beside what the library reads.
use super::mutations::{apply, mutation, real_tree};
use super::*;
use crate::tree::flat::{Header, Token, Tokens};
use crate::tree::outline::OutlineNode;
use dtoolkit::Property;
use dtoolkit::fdt::FdtNode;
use proptest::prelude::*;

/// A node and all below it, as both see it.
fn assert_same(ours: OutlineNode, theirs: &FdtNode) {
    assert_eq!(ours.name(), theirs.name().as_bytes());
    let mut properties = ours.properties();
    for property in theirs.properties() {
        let own = properties.next().unwrap();
        assert!(own.is_named(property.name()));
        assert!(!own.is_named(&property.name()[1..]));
        assert_eq!(own.value, property.value());
    }
    assert!(properties.next().is_none());
    let mut children = ours.children();
    for child in theirs.children() {
        assert_same(children.next().unwrap(), &child);
    }
    assert!(children.next().is_none());
}

/// Whether there is an outline; if there is and the library reads the tree, they are alike.
fn compared(tree: &[u8]) -> Option<()> {
    let outline = Outline::of(tree)?;
    if let Ok(fdt) = Fdt::new(tree) {
        assert_same(outline.root(), &fdt.root());
        let theirs = fdt.memory_reservations();
        let theirs: Vec<_> = theirs
            .map(|entry| (entry.address(), entry.size()))
            .collect();
        let ours = outline
            .reservations()
            .iter()
            .map(super::super::cells::wide_pair);
        assert_eq!(ours.collect::<Vec<_>>(), theirs);
    }
    Some(())
}

/// The same with words that say nothing before each step.
fn with_nops(tree: &[u8]) -> Vec<u8> {
    let header = Header::of(tree).unwrap();
    let (words, _) = tree.as_chunks();
    let mut tokens = Tokens::new(words, header.structure_at / 4);
    let mut structure = Vec::new();
    loop {
        let at = tokens.at();
        let token = tokens.next().unwrap();
        let is_first = structure.is_empty();
        let is_last = token == Token::Finish;
        if !is_first && !is_last {
            structure.extend([0, 0, 0, 4]);
        }
        structure.extend_from_slice(words[at..tokens.at()].as_flattened());
        if is_last {
            break;
        }
    }
    let strings = &tree[header.strings_at..][..header.strings_bytes];
    let header = Header::in_order(16, structure.len(), strings.len(), 0);
    let mut made = header.to_bytes().to_vec();
    made.extend([0; 16]);
    made.extend(structure);
    made.extend(strings);
    made
}

#[test]
fn an_outline_has_all_nodes() {
    for tree in [ONE_THREAD, TWO_CORES, TWO_CHIPS] {
        compared(tree).unwrap();
        compared(&with_nops(tree)).unwrap();
        assert_eq!(read(&with_nops(tree)), read(tree));
    }
}

#[test]
fn all_of_a_node_is_in_its_bytes() {
    let outline = Outline::of(TWO_CORES).unwrap();
    let root = outline.root();
    let whole: Vec<u8> = root
        .children()
        .flat_map(|child| child.all().to_vec())
        .collect();
    let all = root.all();
    let properties = root.all_properties();
    assert_eq!(all[8..][..properties.len()], *properties);
    assert_eq!(all[8 + properties.len()..all.len() - 4], whole);
    let mut one_by_one = root.properties().flat_map(|property| property.all.to_vec());
    assert!(one_by_one.by_ref().eq(properties.iter().copied()));
    assert_eq!(root.cell("#size-cells"), Some(2));
    assert_eq!(root.cell("#size-cell"), None);
    assert_eq!(root.cell("model"), None);
}

#[test]
fn a_header_is_what_it_says() {
    for tree in [ONE_THREAD, TWO_CORES, TWO_CHIPS] {
        let header = Header::of(tree).unwrap();
        let behind = header.structure_at - header.reservations_at;
        let structure = header.strings_at - header.structure_at;
        let made = Header::in_order(behind, structure, header.strings_bytes, header.boot_pir);
        assert_eq!(made, header);
        assert_eq!(made.to_bytes(), tree[..40]);
    }
    assert_eq!(Header::of(&[0; 39]), None);
}

#[test]
fn twins_are_suspected() {
    let outline = Outline::of(TWO_CHIPS).unwrap();
    assert!(!outline.may_have_twins());
    // The names of two cores, and of two properties.
    for (from, to) in [
        ("POWER8@88", "POWER8@8\0"),
        ("i-cache-size", "d-cache-size"),
    ] {
        let mut tree = TWO_CHIPS.to_vec();
        let at = tree
            .windows(from.len())
            .position(|it| it == from.as_bytes());
        tree[at.unwrap()..][..to.len()].copy_from_slice(to.as_bytes());
        assert!(Outline::of(&tree).unwrap().may_have_twins(), "{from}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_the_library_reads_has_an_outline(
        mut tree in real_tree(),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        for mutation in mutations {
            apply(&mut tree, mutation);
        }
        let has_outline = compared(&tree).is_some();
        prop_assert!(has_outline || Fdt::new(&tree).is_err());
    }
}

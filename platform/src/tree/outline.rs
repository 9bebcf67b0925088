//! Where the nodes of a flattened tree lie in it.
//!
//! One pass finds them all. The library's reader finds a node's children by going over everything below them.
use super::MAX_DEPTH;
use super::flat::{Header, RESERVATION_BYTES, Token, Tokens, Words};
use alloc::vec::Vec;

/// The tree, and where its nodes are: each before those below it.
#[derive(Clone, Debug)]
pub struct Outline<'a> {
    words: Words<'a>,
    strings: &'a [u8],
    reservations: &'a [[u8; RESERVATION_BYTES]],
    nodes: Vec<Place<'a>>,
}

/// Where a node lies, in words from the beginning of the tree.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    name: &'a [u8],
    begin: usize,
    properties: usize,
    /// Where the properties end, once that is known.
    children: Option<usize>,
    end: usize,
    /// The first node in the list that isn't below this one.
    next: usize,
    parent: Option<usize>,
}

impl<'a> Outline<'a> {
    /// None: the tree is malformed, or its nodes are nested too deep.
    #[must_use]
    pub fn of(tree: &'a [u8]) -> Option<Self> {
        let header = Header::of(tree)?;
        let (words, _) = tree.as_chunks();
        let strings = tree.get(header.strings_at..)?;
        let mut outline = Self {
            words,
            strings: strings.get(..header.strings_bytes)?,
            reservations: reservations(tree.get(header.reservations_at..)?)?,
            nodes: Vec::with_capacity(64),
        };
        if !header.structure_at.is_multiple_of(4) {
            return None;
        }
        outline.find_nodes(header.structure_at / 4)?;
        Some(outline)
    }

    fn find_nodes(&mut self, from: usize) -> Option<()> {
        let mut tokens = Tokens::new(self.words, from);
        let (mut current, mut depth) = (None, 0);
        loop {
            let at = tokens.at();
            match tokens.next()? {
                Token::Begin { name } => {
                    if depth == MAX_DEPTH {
                        return None;
                    }
                    match current {
                        Some(parent) => self.end_properties(parent, at),
                        None if self.nodes.is_empty() => {}
                        None => return None,
                    }
                    self.nodes.push(Place {
                        name,
                        begin: at,
                        properties: tokens.at(),
                        children: None,
                        end: 0,
                        next: 0,
                        parent: current,
                    });
                    current = Some(self.nodes.len() - 1);
                    depth += 1;
                }
                Token::Property { name_at, .. } => {
                    let has_name = (name_at as usize) < self.strings.len();
                    if self.nodes[current?].children.is_some() || !has_name {
                        return None;
                    }
                }
                Token::End => {
                    let node = current?;
                    self.end_properties(node, at);
                    let next = self.nodes.len();
                    let place = &mut self.nodes[node];
                    (place.end, place.next) = (tokens.at(), next);
                    current = place.parent;
                    depth -= 1;
                }
                Token::Finish => {
                    return (current.is_none() && !self.nodes.is_empty()).then_some(());
                }
            }
        }
    }

    fn end_properties(&mut self, node: usize, at: usize) {
        self.nodes[node].children.get_or_insert(at);
    }

    /// Names of properties, each with a zero behind it.
    #[must_use]
    pub const fn strings(&self) -> &'a [u8] {
        self.strings
    }

    /// Without the entry of zeros.
    #[must_use]
    pub const fn reservations(&self) -> &'a [[u8; RESERVATION_BYTES]] {
        self.reservations
    }

    #[must_use]
    pub fn root(&self) -> OutlineNode<'_> {
        self.node(0)
    }

    /// All nodes, each before those below it.
    pub fn nodes(&self) -> impl Iterator<Item = OutlineNode<'_>> {
        (0..self.nodes.len()).map(|place| self.node(place))
    }

    const fn node(&self, place: usize) -> OutlineNode<'_> {
        OutlineNode {
            outline: self,
            place,
        }
    }

    /// False: no node has two children of one name, or two properties. True: one has, or seems to.
    #[must_use]
    pub fn may_have_twins(&self) -> bool {
        let mut hashes = Vec::with_capacity(64);
        let mut are_twins = |names: &mut dyn Iterator<Item = u64>| {
            hashes.clear();
            hashes.extend(names);
            hashes.sort_unstable();
            hashes.windows(2).any(|pair| pair[0] == pair[1])
        };
        self.nodes().any(|node| {
            are_twins(&mut node.children().map(|child| hash(child.name())))
                || are_twins(&mut node.properties().map(|property| hash(property.name_on)))
        })
    }
}

/// Of bytes up to a zero.
fn hash(name: &[u8]) -> u64 {
    /// A prime.
    const FACTOR: u64 = 0x0100_0000_01b3;
    let name = name.iter().take_while(|&&byte| byte != 0);
    name.fold(0, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(FACTOR)
    })
}

/// None: no entry of zeros ends the list.
fn reservations(bytes: &[u8]) -> Option<&[[u8; RESERVATION_BYTES]]> {
    let (entries, _) = bytes.as_chunks();
    let end = entries
        .iter()
        .position(|entry| u128::from_ne_bytes(*entry) == 0)?;
    Some(&entries[..end])
}

#[derive(Clone, Copy, Debug)]
pub struct OutlineNode<'a> {
    outline: &'a Outline<'a>,
    place: usize,
}

impl<'a> OutlineNode<'a> {
    const fn at(self) -> &'a Place<'a> {
        &self.outline.nodes.as_slice()[self.place]
    }

    #[must_use]
    pub const fn name(self) -> &'a [u8] {
        self.at().name
    }

    pub fn children(self) -> impl Iterator<Item = OutlineNode<'a>> {
        let mut next = self.place + 1;
        core::iter::from_fn(move || {
            let child = (next < self.at().next).then(|| self.outline.node(next))?;
            next = child.at().next;
            Some(child)
        })
    }

    pub fn properties(self) -> impl Iterator<Item = OutlineProperty<'a>> {
        let Self { outline, .. } = self;
        let mut tokens = Tokens::new(outline.words, self.at().properties);
        core::iter::from_fn(move || {
            let begin = tokens.at();
            let Some(Token::Property { name_at, value }) = tokens.next() else {
                return None;
            };
            Some(OutlineProperty {
                name_on: outline.strings.get(name_at as usize..)?,
                value,
                all: outline.words.get(begin..tokens.at())?.as_flattened(),
            })
        })
    }

    /// The value of a property.
    #[must_use]
    pub fn property(self, name: &str) -> Option<&'a [u8]> {
        let mut properties = self.properties();
        let property = properties.find(|property| property.is_named(name))?;
        Some(property.value)
    }

    /// The value of a property that is one cell.
    #[must_use]
    pub fn cell(self, name: &str) -> Option<u32> {
        Some(u32::from_be_bytes(self.property(name)?.try_into().ok()?))
    }

    /// All that the tree has of the node, from its name to its end.
    #[must_use]
    pub fn all(self) -> &'a [u8] {
        let at = self.at();
        self.outline.words[at.begin..at.end].as_flattened()
    }

    /// All that the tree has of its properties.
    #[must_use]
    pub fn all_properties(self) -> &'a [u8] {
        let at = self.at();
        self.outline.words[at.properties..at.children.unwrap_or(at.properties)].as_flattened()
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OutlineProperty<'a> {
    /// The strings from its name on.
    name_on: &'a [u8],
    pub value: &'a [u8],
    /// All that the tree has of it.
    pub all: &'a [u8],
}

impl OutlineProperty<'_> {
    #[must_use]
    pub fn is_named(self, name: &str) -> bool {
        let behind = self.name_on.strip_prefix(name.as_bytes());
        behind.is_some_and(|behind| behind.first() == Some(&0))
    }
}

//! A flattened tree, written node after node.
//!
//! It goes on from the names and the nodes of another: what stays as it is there is copied as it lies there.
use alloc::vec::Vec;
use dtoolkit::ToPropertyValue;
use platform::tree::flat::{Header, RESERVATION_BYTES, Token};
use platform::tree::outline::{Outline, OutlineNode};

/// Places in the table of names. A tree has some hundred.
const NAMES: usize = 256;
/// What the firmware's own nodes take, with a few devices.
const MORE_BYTES: usize = 16 << 10;

/// A property's name and value.
pub type Setting<'a> = (&'a str, &'a dyn ToPropertyValue);

pub struct Writer {
    nodes: Vec<u8>,
    strings: Vec<u8>,
    /// By a name's place in the table, where it was written last.
    names: [u32; NAMES],
    /// Where the node has ended that was made last.
    ended_at: usize,
}

impl Writer {
    /// A tree that copies nodes of another.
    pub fn copying(other: &Outline) -> Self {
        let nodes = Vec::with_capacity(other.root().all().len() + MORE_BYTES);
        let mut strings = Vec::with_capacity(other.strings().len() + MORE_BYTES / 4);
        strings.extend_from_slice(other.strings());
        // Whatever the other's last name is, it ends here.
        strings.push(0);
        Self {
            nodes,
            strings,
            names: [0; NAMES],
            ended_at: 0,
        }
    }

    /// A node: `fill` sets its properties, and then makes those below it.
    pub fn node<T>(&mut self, name: impl AsRef<[u8]>, fill: impl FnOnce(&mut Self) -> T) -> T {
        self.token(Token::Begin { name: b"" });
        self.nodes.extend_from_slice(name.as_ref());
        self.nodes.push(0);
        self.align();
        let result = fill(self);
        self.token(Token::End);
        self.ended_at = self.nodes.len();
        result
    }

    /// A node as in the other tree, with some properties set; `fill` makes those below it.
    pub fn node_like<T>(
        &mut self,
        node: OutlineNode,
        settings: &[Setting],
        fill: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.node(node.name(), |tree| {
            if settings.is_empty() {
                tree.nodes.extend_from_slice(node.all_properties());
            } else {
                for property in node.properties() {
                    if !settings.iter().any(|(name, _)| property.is_named(name)) {
                        tree.nodes.extend_from_slice(property.all);
                    }
                }
            }
            tree.set_all(settings);
            fill(tree)
        })
    }

    /// A node as in the other tree, with all below it.
    pub fn copy(&mut self, node: OutlineNode) {
        self.nodes.extend_from_slice(node.all());
        self.ended_at = self.nodes.len();
    }

    /// A property of the node that was begun last.
    pub fn set(&mut self, name: &str, value: impl ToPropertyValue) {
        self.set_to(name, &value);
    }

    pub fn set_all(&mut self, settings: &[Setting]) {
        settings
            .iter()
            .for_each(|(name, value)| self.set_to(name, *value));
    }

    fn set_to(&mut self, name: &str, value: &dyn ToPropertyValue) {
        debug_assert_ne!(self.ended_at, self.nodes.len(), "{name} behind a node");
        let len_bytes = value.property_value_len();
        let name_at = self.name_at(name);
        self.token(Token::Property {
            name_at,
            value: b"",
        });
        self.nodes.extend((len_bytes as u32).to_be_bytes());
        self.nodes.extend(name_at.to_be_bytes());
        let at = self.nodes.len();
        self.nodes.resize(at + len_bytes.next_multiple_of(4), 0);
        value.write_property_value(&mut self.nodes[at..][..len_bytes]);
    }

    fn token(&mut self, token: Token) {
        self.nodes.extend_from_slice(&token.to_bytes());
    }

    fn align(&mut self) {
        self.nodes.resize(self.nodes.len().next_multiple_of(4), 0);
    }

    /// Where the name is among the strings. One that shares its place in the table with another may be
    /// written more than once.
    fn name_at(&mut self, name: &str) -> u32 {
        let name = name.as_bytes();
        let place = place(name);
        let at = self.names[place] as usize;
        let behind = self.strings[at..].strip_prefix(name);
        if at != 0 && behind.is_some_and(|behind| behind.first() == Some(&0)) {
            return at as u32;
        }
        let at = self.strings.len() as u32;
        self.strings.extend_from_slice(name);
        self.strings.push(0);
        self.names[place] = at;
        at
    }

    /// The tree, with entries of its list of reserved memory.
    pub fn finish(mut self, reserved: &[[u8; RESERVATION_BYTES]], boot_pir: u32) -> Vec<u8> {
        self.token(Token::Finish);
        let header = Header::in_order(
            (reserved.len() + 1) * RESERVATION_BYTES,
            self.nodes.len(),
            self.strings.len(),
            boot_pir,
        );
        let mut bytes = Vec::with_capacity(header.tree_bytes());
        bytes.extend_from_slice(&header.to_bytes());
        bytes.extend_from_slice(reserved.as_flattened());
        bytes.extend_from_slice(&[0; RESERVATION_BYTES]);
        bytes.extend_from_slice(&self.nodes);
        bytes.extend_from_slice(&self.strings);
        bytes
    }
}

/// Most names differ in length, or in their ends.
fn place(name: &[u8]) -> usize {
    let at = |at: usize| usize::from(name.get(at).copied().unwrap_or(0));
    let len = name.len();
    (len * 31 + at(len.wrapping_sub(1)) * 7 + at(len / 2) * 13 + at(len.wrapping_sub(5))) % NAMES
}

//! What is below a node of a flattened device tree (Devicetree Specification 0.4, 5), in the same form: several
//! nodes, or none, at the top, where a whole tree has its root.
use core::ops::Range;
use platform::tree::flat::{Header, RESERVATION_BYTES, Token, Tokens};

const NAME: &[u8] = b"phandle\0";

/// Where all that is below a node lies in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subtree<'a> {
    nodes: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Subtree<'a> {
    /// Of the node with a handle.
    pub fn find(tree: &'a [u8], handle: u32) -> Option<Self> {
        let header = Header::of(tree)?;
        let (words, _) = tree.as_chunks();
        let strings = tree.get(header.strings_at..)?;
        let strings = strings.get(..header.strings_bytes)?;
        let tokens = Tokens::new(words, header.structure_at / 4);
        let nodes = words.get(below(tokens, strings, handle)?)?.as_flattened();
        Some(Self { nodes, strings })
    }

    fn header(&self) -> Header {
        Header::in_order(
            RESERVATION_BYTES,
            self.nodes.len() + 4,
            self.strings.len(),
            0,
        )
    }

    /// Length of the tree that [`Self::write`] makes.
    pub fn len_bytes(&self) -> usize {
        self.header().tree_bytes()
    }

    /// Makes the tree: as much as there is room for.
    pub fn write(&self, out: &mut [u8]) {
        let bytes = self
            .header()
            .to_bytes()
            .into_iter()
            .chain([0; RESERVATION_BYTES])
            .chain(self.nodes.iter().copied())
            .chain(Token::Finish.to_bytes())
            .chain(self.strings.iter().copied());
        for (to, from) in out.iter_mut().zip(bytes) {
            *to = from;
        }
    }
}

/// From the begin of the first node below the one that is sought to the end of the last, in words.
fn below(mut tokens: Tokens, strings: &[u8], handle: u32) -> Option<Range<usize>> {
    let mut depth = 0_usize;
    // How deep the node lies, once it is found; where the first one below it begins.
    let (mut found, mut first) = (None, None);
    loop {
        let at = tokens.at();
        match tokens.next()? {
            Token::Begin { .. } => {
                if found == Some(depth) {
                    first = first.or(Some(at));
                }
                depth += 1;
            }
            Token::End => {
                if found == Some(depth) {
                    return Some(first.unwrap_or(at)..at);
                }
                depth = depth.checked_sub(1)?;
            }
            Token::Property { name_at, value } => {
                let is_handle = strings.get(name_at as usize..)?.starts_with(NAME);
                if is_handle && value == handle.to_be_bytes() {
                    found = found.or(Some(depth));
                }
            }
            Token::Finish => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dtoolkit::Node;
    use dtoolkit::fdt::Fdt;
    use dtoolkit::model::{DeviceTree, DeviceTreeNode};

    fn node_with(name: &str, handle: u32, children: Vec<DeviceTreeNode>) -> DeviceTreeNode {
        let mut node = DeviceTreeNode::new(name).unwrap();
        node.add_property(dtoolkit::model::DeviceTreeProperty::new("phandle", handle).unwrap());
        children.into_iter().for_each(|child| node.add_child(child));
        node
    }

    fn cell(bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }

    fn tree() -> Vec<u8> {
        let leaf = node_with("leaf", 3, vec![]);
        let inner = node_with("inner@1", 2, vec![leaf]);
        let other = node_with("other", 4, vec![]);
        let mut tree = DeviceTree::new();
        tree.root = node_with("", 1, vec![inner, other]);
        tree.to_dtb()
    }

    fn names(part: &Subtree) -> Vec<String> {
        let mut out = vec![0; part.len_bytes()];
        part.write(&mut out);
        let total = cell(&out, 4).unwrap() as usize;
        assert_eq!((cell(&out, 0), total), (Some(0xd00d_feed), out.len()));
        let strings = cell(&out, 12).unwrap() as usize;
        assert_eq!(&out[strings..], part.strings);
        assert_eq!(cell(&out, strings - 4), Some(9));
        // Below a root it is a tree that others read.
        let mut whole = vec![0, 0, 0, 1, 0, 0, 0, 0];
        whole.extend_from_slice(part.nodes);
        whole.extend_from_slice(&[0, 0, 0, 2]);
        let strings = part.strings;
        let nodes = &whole[..];
        let rooted = Subtree { nodes, strings };
        let mut out = vec![0; rooted.len_bytes()];
        rooted.write(&mut out);
        let made = Fdt::new(&out).unwrap();
        let children = made.root().children();
        children.map(|child| child.name().to_string()).collect()
    }

    #[test]
    fn all_below_a_node_comes() {
        let tree = tree();
        let part = |handle| Subtree::find(&tree, handle);
        assert_eq!(names(&part(1).unwrap()), ["inner@1", "other"]);
        assert_eq!(names(&part(2).unwrap()), ["leaf"]);
        assert!(names(&part(3).unwrap()).is_empty());
        assert!(names(&part(4).unwrap()).is_empty());
        assert_eq!(part(5), None);
    }

    #[test]
    fn what_is_no_tree_has_no_node() {
        let tree = tree();
        for len in 0..tree.len() {
            let _ = Subtree::find(&tree[..len], 4);
        }
        for at in 0..tree.len() {
            let mut broken = tree.clone();
            broken[at] ^= 0xff;
            let _ = Subtree::find(&broken, 4);
        }
        assert_eq!(Subtree::find(&[], 1), None);
    }
}

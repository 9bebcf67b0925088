//! What is below a node of a flattened device tree (Devicetree Specification 0.4, 5), in the same form: several
//! nodes, or none, at the top, where a whole tree has its root.

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
/// The oldest version that a reader of this one must know.
const COMPATIBLE: u32 = 16;
const HEADER_BYTES: usize = 40;
/// An entry of zeros ends the list of reserved memory, and there is no other.
const RESERVED_BYTES: usize = 16;

const BEGIN: u32 = 1;
const END: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;

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
        let part = |offset: usize, len: usize| {
            let (from, len) = (cell(tree, offset)? as usize, cell(tree, len)? as usize);
            tree.get(from..from.checked_add(len)?)
        };
        let (structure, strings) = (part(8, 36)?, part(12, 32)?);
        let nodes = below(structure, strings, handle)?;
        Some(Self { nodes, strings })
    }

    /// Length of the tree that [`Self::write`] makes.
    pub const fn len_bytes(&self) -> usize {
        HEADER_BYTES + RESERVED_BYTES + self.nodes.len() + 4 + self.strings.len()
    }

    /// Makes the tree: as much as there is room for.
    pub fn write(&self, out: &mut [u8]) {
        let nodes_at = HEADER_BYTES + RESERVED_BYTES;
        let strings_at = nodes_at + self.nodes.len() + 4;
        let header = [
            MAGIC,
            self.len_bytes() as u32,
            nodes_at as u32,
            strings_at as u32,
            HEADER_BYTES as u32,
            VERSION,
            COMPATIBLE,
            0,
            self.strings.len() as u32,
            self.nodes.len() as u32 + 4,
        ];
        let header = header.iter().flat_map(|cell| cell.to_be_bytes());
        let bytes = header
            .chain([0; RESERVED_BYTES])
            .chain(self.nodes.iter().copied())
            .chain([0, 0, 0, 9])
            .chain(self.strings.iter().copied());
        for (to, from) in out.iter_mut().zip(bytes) {
            *to = from;
        }
    }
}

fn cell(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// From the begin of the first node below the one that is sought to the end of the last.
fn below<'a>(structure: &'a [u8], strings: &[u8], handle: u32) -> Option<&'a [u8]> {
    let (mut depth, mut at) = (0_usize, 0);
    // How deep the node lies, once it is found; where the first one below it begins.
    let (mut found, mut first) = (None, None);
    loop {
        let token = cell(structure, at)?;
        let next = at + 4;
        at = match token {
            BEGIN => {
                if found == Some(depth) {
                    first = first.or(Some(at));
                }
                depth += 1;
                let name = structure.get(next..)?.iter().position(|byte| *byte == 0)?;
                (next + name + 1).next_multiple_of(4)
            }
            END => {
                if found == Some(depth) {
                    return structure.get(first.unwrap_or(at)..at);
                }
                depth = depth.checked_sub(1)?;
                next
            }
            PROPERTY => {
                let (len, name) = (cell(structure, next)? as usize, cell(structure, next + 4)?);
                let is_handle = strings.get(name as usize..)?.starts_with(NAME);
                if is_handle && len == 4 && cell(structure, next + 8) == Some(handle) {
                    found = found.or(Some(depth));
                }
                next.checked_add(8)?.checked_add(len)?.next_multiple_of(4)
            }
            NOP => next,
            _ => return None,
        };
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
        assert_eq!((cell(&out, 0), total), (Some(MAGIC), out.len()));
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

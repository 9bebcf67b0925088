//! The host's device tree, of which it can have parts once more.
use super::answer::{Answer, DONE};
use super::host_memory::slice;
use super::subtree::Subtree;
use skiboot_compat::status::Status;
use spin::Once;

static TREE: Once<&'static [u8]> = Once::new();

/// Keeps the tree that the host is entered with.
pub fn keep(tree: &'static [u8]) {
    TREE.call_once(|| tree);
}

/// OPAL_GET_DEVICE_TREE: a node's handle, buffer, its length: all below the node, as hosts add it to theirs.
/// Without a buffer, the length that it needs. NO_MEM: it is too short.
pub fn get(handle: u64, buffer: u64, len_bytes: u64) -> Answer {
    let tree = TREE.get().ok_or(Status::Unsupported)?;
    let subtree = Subtree::find(tree, handle as u32).ok_or(Status::Parameter)?;
    let needed = subtree.len_bytes() as u64;
    if buffer == 0 {
        return Ok(needed as i64);
    }
    let out = slice(buffer, len_bytes)?;
    if len_bytes == 0 {
        return Err(Status::Parameter);
    }
    if len_bytes < needed {
        return Err(Status::NoMem);
    }
    subtree.write(out);
    DONE
}

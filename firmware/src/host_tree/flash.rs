//! The node of the flash, by which Linux's driver makes an MTD device of it.
use super::{new_node, range, set, set_cells};
use alloc::{format, vec};
use dtoolkit::model::DeviceTreeNode;
use platform::flash::container::HASH_BYTES;
use platform::flash::table::{Name, Partition};
use platform::memory::region::Region;
use skiboot_compat::tree::{compatible, name, property};

/// The partition that is all of the flash. What begins where it does has no node: the table.
const WHOLE: &str = "PNOR";

/// What the tree says of a flash with a partition table.
#[derive(Clone, Copy, Debug)]
pub struct FlashParams<'a> {
    pub len_bytes: u64,
    pub block_bytes: u32,
    pub partitions: &'a [Partition],
}

pub fn node(params: &FlashParams) -> DeviceTreeNode {
    let mut partitions = new_node(name::PARTITIONS);
    set(
        &mut partitions,
        property::COMPATIBLE,
        compatible::PARTITIONS,
    );
    set_cells(&mut partitions, 2, 2);
    // Linux makes no device of the whole when it makes some of parts; programs look for this one.
    partitions.add_child(partition(WHOLE, 0, params.len_bytes));
    let mut taken = vec![0];
    for part in params.partitions.iter().filter(|part| part.len_bytes > 0) {
        // A node's name is its place.
        if taken.contains(&part.offset_bytes) {
            continue;
        }
        taken.push(part.offset_bytes);
        let label = format!("{}", part.name);
        let mut node = partition(&label, part.offset_bytes, part.len_bytes);
        if part.is_read_only {
            set(&mut node, property::READ_ONLY, [0_u8; 0]);
        }
        partitions.add_child(node);
    }
    let mut flash = new_node(name::FLASH);
    set(&mut flash, property::COMPATIBLE, compatible::FLASH);
    set(&mut flash, property::OPAL_ID, 0_u32);
    set(&mut flash, "reg", params.len_bytes);
    set(&mut flash, property::FLASH_BLOCK_BYTES, params.block_bytes);
    set(&mut flash, property::NO_ERASE, [0_u8; 0]);
    flash.add_child(partitions);
    flash
}

fn partition(label: &str, at_bytes: u64, len_bytes: u64) -> DeviceTreeNode {
    let mut node = new_node(&format!("partition@{at_bytes:x}"));
    set(&mut node, property::LABEL, label);
    if let Some(place) = Region::new(at_bytes, len_bytes) {
        set(&mut node, "reg", range(&place));
    }
    node
}

/// What was read from flash to be booted.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub name: Name,
    /// Of the image as it lies in flash, without its container.
    pub sha512: [u8; HASH_BYTES],
    pub has_container: bool,
    /// By keys that are trusted.
    pub is_signed: bool,
}

/// The node that tells what is running.
pub fn measured(images: &[Measured]) -> DeviceTreeNode {
    let mut all = new_node(name::MEASURED);
    for image in images {
        let mut node = new_node(&format!("{}", image.name));
        set(&mut node, property::HASH_ALGORITHM, "sha512");
        set(&mut node, property::HASH, image.sha512);
        if image.has_container {
            set(&mut node, property::CONTAINED, [0_u8; 0]);
        }
        if image.is_signed {
            set(&mut node, property::SIGNED, [0_u8; 0]);
        }
        all.add_child(node);
    }
    all
}

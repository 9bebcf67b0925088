//! The node of the flash, by which Linux's driver makes an MTD device of it.
use super::writer::Writer;
use super::{range, set_cells};
use alloc::{format, vec};
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

pub fn add(tree: &mut Writer, params: &FlashParams) {
    tree.node(name::FLASH, |flash| {
        flash.set(property::COMPATIBLE, compatible::FLASH);
        flash.set(property::OPAL_ID, 0_u32);
        flash.set("reg", params.len_bytes);
        flash.set(property::FLASH_BLOCK_BYTES, params.block_bytes);
        flash.set(property::NO_ERASE, [0_u8; 0]);
        flash.node(name::PARTITIONS, |partitions| {
            partitions.set(property::COMPATIBLE, compatible::PARTITIONS);
            set_cells(partitions, 2, 2);
            add_partitions(partitions, params);
        });
    });
}

fn add_partitions(tree: &mut Writer, params: &FlashParams) {
    // Linux makes no device of the whole when it makes some of parts; programs look for this one.
    partition(tree, WHOLE, 0, params.len_bytes, false);
    let mut taken = vec![0];
    for part in params.partitions.iter().filter(|part| part.len_bytes > 0) {
        // A node's name is its place.
        if taken.contains(&part.offset_bytes) {
            continue;
        }
        taken.push(part.offset_bytes);
        let label = format!("{}", part.name);
        partition(
            tree,
            &label,
            part.offset_bytes,
            part.len_bytes,
            part.is_read_only,
        );
    }
}

fn partition(tree: &mut Writer, label: &str, at_bytes: u64, len_bytes: u64, is_read_only: bool) {
    tree.node(format!("partition@{at_bytes:x}"), |node| {
        node.set(property::LABEL, label);
        if let Some(place) = Region::new(at_bytes, len_bytes) {
            node.set("reg", range(&place));
        }
        if is_read_only {
            node.set(property::READ_ONLY, [0_u8; 0]);
        }
    });
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
pub fn add_measured(tree: &mut Writer, images: &[Measured]) {
    tree.node(name::MEASURED, |all| {
        for image in images {
            all.node(format!("{}", image.name), |node| {
                node.set(property::HASH_ALGORITHM, "sha512");
                node.set(property::HASH, image.sha512);
                if image.has_container {
                    node.set(property::CONTAINED, [0_u8; 0]);
                }
                if image.is_signed {
                    node.set(property::SIGNED, [0_u8; 0]);
                }
            });
        }
    });
}

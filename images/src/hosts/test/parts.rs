//! Parts of the device tree once more, and regions for dumps.
use alloc::format;
use alloc::string::String;
use alloc::vec;

use dtoolkit::fdt::FdtNode;
use dtoolkit::{Node, Property};
use hcalls::Status;

use crate::check::{Outcome, same};
use crate::lab::Lab;
use crate::opal::{address, call, wants};

const REGISTER_DUMP_REGION: u64 = 101;
const UNREGISTER_DUMP_REGION: u64 = 102;
const GET_DEVICE_TREE: u64 = 118;
const NO_MEM: i64 = -9;
/// Of a flattened tree: how it begins, and how its nodes end.
const MAGIC: u32 = 0xd00d_feed;
const END: u32 = 9;
/// A node with a handle, and no other below it.
const NODE: &str = "/interrupt-controller@0";
/// A host's first and last region, and how many the firmware keeps.
const FIRST: u64 = 0x80;
const LAST: u64 = 0xff;
const MOST: u64 = 8;

/// What it needs; by a status that is no refusal.
fn length(handle: u64) -> Option<u64> {
    u64::try_from(call(GET_DEVICE_TREE, &[handle, 0, 0])).ok()
}

/// What is below a node comes as a tree.
pub fn device_tree(lab: &mut Lab) -> Outcome {
    let node = lab.tree.find_node(NODE).ok_or("no interrupt controller")?;
    let handle = handle_of(&node)?;
    let len = length(handle).ok_or("no such part")?;
    let mut words = vec![0_u64; len as usize / 8 + 2];
    let at = address(&mut words[0]);
    wants(
        "no such node",
        GET_DEVICE_TREE,
        &[0, at, len],
        Status::Parameter,
    )?;
    wants(
        "no room",
        GET_DEVICE_TREE,
        &[handle, at, 0],
        Status::Parameter,
    )?;
    same(
        "a short buffer",
        call(GET_DEVICE_TREE, &[handle, at, len - 1]),
        NO_MEM,
    )?;
    same(
        "what has been written until then",
        words.iter().any(|word| *word != 0),
        false,
    )?;
    wants(
        "the part",
        GET_DEVICE_TREE,
        &[handle, at, len],
        Status::Success,
    )?;
    let bytes: vec::Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    same(
        "what is behind it",
        bytes[len as usize..].iter().any(|byte| *byte != 0),
        false,
    )?;
    let cells: vec::Vec<u32> = bytes[..len as usize & !3]
        .chunks_exact(4)
        .map(|cell| {
            cell.iter()
                .fold(0, |value, byte| value << 8 | u32::from(*byte))
        })
        .collect();
    same("magic and length", &cells[..2], &[MAGIC, len as u32])?;
    same(
        "there is nothing below it",
        cells[cells[2] as usize / 4],
        END,
    )
}

fn handle_of(node: &FdtNode) -> Result<u64, String> {
    let handle = node.property("phandle").ok_or("no handle")?;
    let handle: u32 = handle.value_as().map_err(|why| format!("{why:?}"))?;
    Ok(handle.into())
}

/// Eight of a host's regions are kept, by their numbers.
pub fn dump_regions(_lab: &mut Lab) -> Outcome {
    let mut memory = [0_u64; 2];
    let at = address(&mut memory);
    let register =
        |what: &str, args: &[u64], status| wants(what, REGISTER_DUMP_REGION, args, status);
    for (what, args) in [
        ("the firmware's number", [FIRST - 1, at, 16]),
        ("no number", [LAST + 1, at, 16]),
        ("nothing", [FIRST, at, 0]),
        ("no memory of the host's", [FIRST, 0x3000_0000, 16]),
    ] {
        register(what, &args, Status::Parameter)?;
    }
    for id in FIRST..FIRST + MOST {
        register("a region", &[id, at, 16], Status::Success)?;
    }
    register("one again", &[FIRST, at, 8], Status::Success)?;
    register("one more", &[LAST, at, 16], Status::Resource)?;
    for id in FIRST..FIRST + MOST {
        same(
            "its end",
            call(UNREGISTER_DUMP_REGION, &[id]),
            Status::Success as i64,
        )?;
    }
    wants(
        "its end again",
        UNREGISTER_DUMP_REGION,
        &[FIRST],
        Status::Parameter,
    )
}

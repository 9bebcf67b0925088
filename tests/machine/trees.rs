//! Device trees that nobody meant: the reason on the console, and the end.
//!
//! QEMU writes its tree when the machine is reset. Here the machine is stopped then, and the
//! debugger puts another in its place.
use std::time::Duration;

use dtoolkit::Node;
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use libtest_mimic::Trial;
use tests::console::Expected;
use tests::qemu::{Boot, End};
use tests::{gdb, images};

use crate::{Outcome, trial};

/// Where QEMU puts the tree.
const TREE: u64 = 0x100_0000;
/// The size in a tree's header.
const SIZE_AT: usize = 4;

const CORE: &str = "/cpus/PowerPC,POWER8@8";

type Change = fn(&mut DeviceTree);

/// Name, what is changed in the tree, and what is said of it.
const REFUSED: [(&str, Change, &str); 9] = [
    ("no-cpus", |tree| remove(tree, "/cpus"), "no cpus"),
    ("no-memory", |tree| remove(tree, "/memory@0"), "no memory"),
    (
        "no-presenter",
        no_presenter,
        "no interrupt presentation page",
    ),
    (
        "three-threads",
        |tree| set(tree, CORE, "ibm,ppc-interrupt-server#s", &[8, 9, 10]),
        "has 3 threads",
    ),
    (
        "other-server",
        |tree| set(tree, CORE, "ibm,ppc-interrupt-server#s", &[8, 10]),
        "is interrupt server",
    ),
    (
        "memory-wraps",
        |tree| set(tree, "/memory@0", "reg", &[u32::MAX, 0, 1, 0]),
        "memory of",
    ),
    (
        "memory-ends-below-firmware",
        |tree| set(tree, "/memory@0", "reg", &[0, 0, 0, 0x2000_0000]),
        "is not in RAM",
    ),
    (
        "initrd-over-firmware",
        |tree| initrd(tree, 0x3000_1000, 0x3000_2000),
        "meets the firmware",
    ),
    (
        "initrd-outside",
        |tree| initrd(tree, 0xf000_0000, 0xf000_1000),
        "is not in RAM",
    ),
];

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("trees::as-it-is", || boots("as-it-is", |_| {})),
        trial("trees::deep", || boots("deep", |tree| nest(tree, 10))),
        trial("trees::too-deep", || {
            refused("too-deep", "deep", |tree| {
                rebuilt(&tree, |tree| nest(tree, 40))
            })
        }),
        trial("trees::bad-magic", || {
            refused("bad-magic", "no device tree", |tree| {
                [&[0; 4], &tree[4..]].concat()
            })
        }),
        trial("trees::truncated", || {
            refused("truncated", "device tree", |tree| {
                let mut tree = tree[..0x200].to_vec();
                tree[SIZE_AT..SIZE_AT + 4].copy_from_slice(&0x200_u32.to_be_bytes());
                tree
            })
        }),
        trial("trees::immense", || {
            refused("immense", "device tree of", |mut tree| {
                tree[SIZE_AT..SIZE_AT + 4].copy_from_slice(&0x7fff_ffff_u32.to_be_bytes());
                tree
            })
        }),
    ];
    for (name, change, reason) in REFUSED {
        trials.push(trial(format!("trees::{name}"), move || {
            refused(name, reason, |tree| rebuilt(&tree, change))
        }));
    }
    trials
}

/// Boots with a changed tree that can be used.
fn boots(name: &'static str, change: Change) -> Outcome {
    let expected = Expected::lines(["catnap: 1 cores, 2 threads", "ok check_token", "host: done"]);
    run(name, &expected, |tree| rebuilt(&tree, change))
}

/// Boots with a changed tree that can't.
fn refused(
    name: &'static str,
    reason: &'static str,
    change: impl FnOnce(Vec<u8>) -> Vec<u8>,
) -> Outcome {
    let refusal = "catnap: can't boot: ";
    let expected = Expected::lines([reason])
        .allow(refusal)
        .forbid("to the host");
    run(name, &expected, change)
}

fn run(name: &str, expected: &Expected, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Outcome {
    let boot = Boot {
        payload: Some(images::path("testhost")),
        bootargs: "test=check_token".into(),
        limit: Duration::from_secs(60),
        ..Boot::new(1, 2)
    };
    let (running, mut debugger) = gdb::start(&boot, name)?;
    let header = debugger.read(TREE, SIZE_AT + 4)?;
    let size = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let tree = debugger.read(TREE, size as usize)?;
    debugger.write(TREE, &change(tree))?;
    debugger.detach()?;
    running.check(&End::Off, expected).map(drop)
}

fn rebuilt(tree: &[u8], change: impl FnOnce(&mut DeviceTree)) -> Vec<u8> {
    let mut model = DeviceTree::from_fdt(&Fdt::new(tree).expect("QEMU's tree"));
    change(&mut model);
    model.to_dtb()
}

fn remove(tree: &mut DeviceTree, path: &str) {
    tree.root.remove_child(&path[1..]).expect(path);
}

fn set(tree: &mut DeviceTree, path: &str, name: &str, cells: &[u32]) {
    let node = tree.find_node_mut(path).expect(path);
    node.add_property(DeviceTreeProperty::new(name, cells).expect(name));
}

fn initrd(tree: &mut DeviceTree, start: u32, end: u32) {
    set(tree, "/chosen", "linux,initrd-start", &[0, start]);
    set(tree, "/chosen", "linux,initrd-end", &[0, end]);
}

fn no_presenter(tree: &mut DeviceTree) {
    let names: Vec<String> = tree
        .root
        .children()
        .map(|node| node.name().to_string())
        .collect();
    for name in names
        .iter()
        .filter(|name| name.starts_with("interrupt-controller@"))
    {
        tree.root.remove_child(name);
    }
}

fn nest(tree: &mut DeviceTree, depth: usize) {
    let leaf = || DeviceTreeNode::new("nest").expect("a name");
    let nested = (1..depth).fold(leaf(), |inner, _| {
        let mut outer = leaf();
        outer.add_child(inner);
        outer
    });
    tree.root.add_child(nested);
}

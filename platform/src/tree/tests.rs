extern crate std;
use super::*;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use std::format;
use std::string::ToString;

mod mutations;
mod outlines;
mod secure;

// QEMU's own trees, taken from its memory.
const ONE_THREAD: &[u8] = include_bytes!("../../tests/trees/one-thread.dtb");
const TWO_CORES: &[u8] = include_bytes!("../../tests/trees/two-cores.dtb");
const TWO_CHIPS: &[u8] = include_bytes!("../../tests/trees/two-chips.dtb");

fn region(start: u64, len: u64) -> Region {
    Region::new(start, len).unwrap()
}

#[test]
fn one_thread_of_a_bare_machine() {
    let machine = read(ONE_THREAD).unwrap();
    let mut icp = [0; 8];
    icp[0] = 0x3_ffff_8000_8000;
    let mut servers = [0; 8];
    servers[0] = 8;
    let core = Core {
        pir: 8,
        chip: 0,
        threads: 1,
        servers,
        icp,
    };
    assert_eq!(machine.cores, [core]);
    assert_eq!(machine.unreachable, []);
    assert_eq!(machine.ram, [region(0, 2 << 30)]);
    assert_eq!(machine.initrd, None);
    assert_eq!(machine.bootargs, "");
    assert_eq!(machine.timebase_hz, 512_000_000);
    assert!(machine.is_qemu && !machine.has_bmc());
    let lpc = machine.lpc.unwrap();
    assert_eq!((lpc.pcba, lpc.uart), (0xb_0020, None));
}

#[test]
fn two_cores_with_payload_arguments() {
    let machine = read(TWO_CORES).unwrap();
    let pirs: Vec<_> = machine.cores.iter().map(|core| core.pir).collect();
    assert_eq!(pirs, [8, 16]);
    assert_eq!(machine.thread_count(), 16);
    for core in &machine.cores {
        assert_eq!(core.threads, 8);
        for thread in 0..8 {
            let pir = core.pir + thread;
            assert_eq!(core.servers[thread as usize], pir);
            let page = 0x3_ffff_8000_0000 | u64::from(pir) << 12;
            assert_eq!(core.icp[thread as usize], page);
        }
    }
    assert_eq!(machine.bootargs, "console=hvc0 test=one");
    assert_eq!(machine.initrd, Some(region(0x2800_0000, 6000)));
    let uart = UartPort {
        first_port: 0x3f8,
        baud: 115_200,
    };
    assert_eq!(machine.lpc.unwrap().uart, Some(uart));
}

#[test]
fn two_chips_with_a_bmc() {
    let machine = read(TWO_CHIPS).unwrap();
    let cores: Vec<_> = machine
        .cores
        .iter()
        .map(|core| (core.pir, core.chip))
        .collect();
    assert_eq!(cores, [(8, 0), (0x88, 1)]);
    assert_eq!(machine.cores[1].icp[7], 0x3_ffff_8018_f000);
    assert_eq!(machine.ram, [region(0, 2 << 30), region(2 << 30, 2 << 30)]);
    let chips: Vec<_> = machine
        .chips
        .iter()
        .map(|chip| (chip.id, chip.xscom_base, chip.has_primary_lpc))
        .collect();
    assert_eq!(
        chips,
        [
            (0, 0x3_fc00_0000_0000, true),
            (1, 0x3_fc08_0000_0000, false)
        ]
    );
    assert_eq!(machine.lpc.unwrap().bt_port, Some(0xe4));
    assert!(machine.has_bmc());
}

/// QEMU names a core's presentation controller by 20 characters and a unit address of 13. The
/// specification's limit of 31 is for the part before the `@`; a reader that counts both gets
/// no further than this node.
#[test]
fn a_node_name_longer_than_31_with_its_address_is_read() {
    let long_names = [FIRST_ICP, "/interrupt-controller@3FFFF80010000"].map(|path| &path[1..]);
    let fdt = Fdt::new(TWO_CORES).unwrap();
    for long in long_names {
        assert!(long.len() > 31 && fdt.root().children().any(|node| node.name() == long));
    }
    let machine = read(TWO_CORES).unwrap();
    let first_icps: Vec<_> = machine.cores.iter().map(|core| core.icp[0]).collect();
    assert_eq!(first_icps, [0x3_ffff_8000_8000, 0x3_ffff_8001_0000]);
}

/// The error of the tree of two cores after `change`.
fn error_after(change: impl FnOnce(&mut DeviceTree)) -> TreeError {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(TWO_CORES).unwrap());
    change(&mut tree);
    read(&tree.to_dtb()).unwrap_err()
}

/// Sets a property of the node at `path` to some cells.
fn set(path: &'static str, name: &'static str, cells: &[u32]) -> impl FnOnce(&mut DeviceTree) {
    move |tree| {
        let node = tree.find_node_mut(path).unwrap();
        node.add_property(DeviceTreeProperty::new(name, cells).unwrap());
    }
}

const FIRST_CPU: &str = "/cpus/PowerPC,POWER8@8";
const FIRST_ICP: &str = "/interrupt-controller@3FFFF80008000";
const XSCOM: &str = "/xscom@3fc0000000000";

#[test]
fn trees_that_are_none_are_refused() {
    assert_eq!(read(&[]), Err(TreeError::Magic(0)));
    assert_eq!(read(b"ELF!"), Err(TreeError::Magic(0x454c_4621)));
    assert_eq!(read(&ONE_THREAD[..39]), Err(TreeError::Size(39)));
    let cut = &ONE_THREAD[..ONE_THREAD.len() - 1];
    assert!(matches!(read(cut), Err(TreeError::Structure(_))));
    let huge = std::vec![0_u8; 1 << 21];
    let huge = [&ONE_THREAD[..40], &huge].concat();
    assert_eq!(read(&huge), Err(TreeError::Size((1 << 21) + 40)));
}

#[test]
fn cores_that_cannot_be_are_refused() {
    let servers = "ibm,ppc-interrupt-server#s";
    assert_eq!(
        error_after(|tree| drop(tree.root.remove_child("cpus"))),
        TreeError::NoCpus
    );
    assert_eq!(
        error_after(set(FIRST_CPU, servers, &[8, 9, 10])),
        TreeError::ThreadCount { pir: 8, threads: 3 }
    );
    assert_eq!(
        error_after(set(FIRST_CPU, servers, &[])),
        TreeError::ThreadCount { pir: 8, threads: 0 }
    );
    assert_eq!(
        error_after(set(FIRST_CPU, servers, &[8, 10])),
        TreeError::Server { pir: 9, server: 10 }
    );
    assert_eq!(
        error_after(set(FIRST_CPU, "ibm,pir", &[2048])),
        TreeError::Pir {
            pir: 2048,
            limit: 2048
        }
    );
    assert_eq!(
        error_after(set(FIRST_CPU, "ibm,pir", &[12])),
        TreeError::Pir {
            pir: 12,
            limit: 2048
        }
    );
    assert_eq!(
        error_after(set(FIRST_CPU, "ibm,chip-id", &[3])),
        TreeError::UnknownChip { pir: 8, chip: 3 }
    );
    assert_eq!(
        error_after(set(FIRST_CPU, "timebase-frequency", &[1])),
        TreeError::Timebase
    );
    assert_eq!(
        error_after(set(FIRST_CPU, "timebase-frequency", &[0])),
        TreeError::Property {
            node: "cpu",
            property: "timebase-frequency"
        }
    );
    assert_eq!(
        error_after(|tree| {
            let cpus = tree.find_node_mut("/cpus").unwrap();
            let mut copy = DeviceTreeNode::new("PowerPC,POWER8@9").unwrap();
            for property in cpus.child("PowerPC,POWER8@8").unwrap().properties() {
                copy.add_property(property.clone());
            }
            cpus.add_child(copy);
        }),
        TreeError::DuplicatePir { pir: 8 }
    );
}

#[test]
fn too_many_cores_are_refused() {
    let error = error_after(|tree| {
        let cpus = tree.find_node_mut("/cpus").unwrap();
        let first = cpus.child("PowerPC,POWER8@8").unwrap().clone();
        for copy in 0..MAX_CORES {
            let mut node = DeviceTreeNode::new(format!("cpu@{copy:x}")).unwrap();
            first
                .properties()
                .for_each(|property| node.add_property(property.clone()));
            cpus.add_child(node);
        }
    });
    assert_eq!(
        error,
        TreeError::TooMany {
            what: "cores",
            limit: MAX_CORES
        }
    );
}

#[test]
fn a_core_that_is_not_okay_is_left_out() {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(TWO_CORES).unwrap());
    let cpu = tree.find_node_mut(FIRST_CPU).unwrap();
    cpu.add_property(DeviceTreeProperty::new("status", "disabled").unwrap());
    let machine = read(&tree.to_dtb()).unwrap();
    assert_eq!(machine.cores.len(), 1);
    assert_eq!(machine.cores[0].pir, 16);
}

#[test]
fn icps_that_do_not_fit_are_refused() {
    let ranges = "ibm,interrupt-server-ranges";
    assert_eq!(
        error_after(|tree| drop(tree.root.remove_child("interrupt-controller@3FFFF80008000"))),
        TreeError::NoIcp { server: 8 }
    );
    assert_eq!(
        error_after(set(FIRST_ICP, ranges, &[8, 9])),
        TreeError::Property {
            node: "interrupt-controller",
            property: "reg"
        }
    );
    assert_eq!(
        error_after(set(FIRST_ICP, ranges, &[8, 7])),
        TreeError::NoIcp { server: 15 }
    );
    assert_eq!(
        error_after(set(FIRST_ICP, ranges, &[9, 8])),
        TreeError::DuplicateIcp { server: 16 }
    );
    assert_eq!(
        error_after(set(FIRST_ICP, ranges, &[u32::MAX, 8])),
        TreeError::Pir {
            pir: u32::MAX,
            limit: MAX_PIR
        }
    );
    let in_ram = [0, 0x1000, 0, 0x1000].repeat(8);
    assert_eq!(
        error_after(set(FIRST_ICP, "reg", &in_ram)),
        TreeError::NoIcp { server: 8 }
    );
}

#[test]
fn memory_that_cannot_be_is_refused() {
    assert_eq!(
        error_after(|tree| drop(tree.root.remove_child("memory@0"))),
        TreeError::NoMemory
    );
    assert_eq!(
        error_after(set("/memory@0", "reg", &[0, 0, 0, 0])),
        TreeError::NoMemory
    );
    assert_eq!(
        error_after(set(
            "/memory@0",
            "reg",
            &[0, 0, 0, 0x2000, 0, 0x1000, 0, 0x1000]
        )),
        TreeError::MemoryOverlap(region(0, 0x2000), region(0x1000, 0x1000))
    );
    assert_eq!(
        error_after(set("/memory@0", "reg", &[!0, !0, 0, 2])),
        TreeError::MemoryRange {
            start: u64::MAX,
            len: 2
        }
    );
    assert_eq!(
        error_after(set("/memory@0", "reg", &[0x8000_0000, 0, 0, 0x1000])),
        TreeError::MemoryRange {
            start: 1 << 63,
            len: 0x1000
        }
    );
    assert_eq!(
        error_after(set("/", "#size-cells", &[1])),
        TreeError::Property {
            node: "/",
            property: "#size-cells"
        }
    );
}

#[test]
fn an_initrd_outside_ram_is_refused() {
    assert_eq!(
        error_after(set("/chosen", "linux,initrd-end", &[0x8000_0001])),
        TreeError::Initrd {
            start: 0x2800_0000,
            end: 0x8000_0001
        }
    );
    assert_eq!(
        error_after(set("/chosen", "linux,initrd-end", &[0x2800_0000])),
        TreeError::Initrd {
            start: 0x2800_0000,
            end: 0x2800_0000
        }
    );
    assert_eq!(
        error_after(set("/chosen", "linux,initrd-start", &[0, 0, 0])),
        TreeError::Property {
            node: "chosen",
            property: "linux,initrd-start"
        }
    );
}

#[test]
fn xscoms_that_cannot_be_are_refused() {
    assert_eq!(
        error_after(|tree| drop(tree.root.remove_child("xscom@3fc0000000000"))),
        TreeError::NoXscom
    );
    assert_eq!(
        error_after(set(XSCOM, "reg", &[0, 0, 8, 0])),
        TreeError::XscomBase { chip: 0, base: 0 }
    );
    assert_eq!(
        error_after(set(XSCOM, "ibm,chip-id", &[])),
        TreeError::Property {
            node: "xscom",
            property: "ibm,chip-id"
        }
    );
}

/// The tree of two cores with a chain of nodes below the root.
fn tree_with_chain(len: u32) -> Vec<u8> {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(TWO_CORES).unwrap());
    let chain = (1..len).fold(DeviceTreeNode::new("deep").unwrap(), |child, _| {
        let mut parent = DeviceTreeNode::new("deep").unwrap();
        parent.add_child(child);
        parent
    });
    tree.root.add_child(chain);
    tree.to_dtb()
}

#[test]
fn a_deep_tree_is_refused() {
    assert!(read(&tree_with_chain(MAX_DEPTH - 1)).is_ok());
    let error = TreeError::Depth { limit: MAX_DEPTH };
    assert_eq!(read(&tree_with_chain(MAX_DEPTH)), Err(error));
}

#[test]
fn reasons_can_be_read() {
    let error = error_after(set(FIRST_CPU, "ibm,pir", &[2056]));
    assert_eq!(
        error.to_string(),
        "device tree: PIR 0x808 is past 0x800 or not at its core's first thread"
    );
}

/// A chip's XSCOM, with a bridge beside what QEMU's bare machine has.
fn with_bridges(bridges: &[[u32; 2]]) -> Result<Machine, TreeError> {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(TWO_CORES).unwrap());
    let node = tree.find_node_mut(XSCOM).unwrap();
    for (number, [index, pcba]) in bridges.iter().enumerate() {
        let mut bridge = DeviceTreeNode::new(format!("pbcq@{number}").as_str()).unwrap();
        let mut add = |name, cells: &[u32]| {
            bridge.add_property(DeviceTreeProperty::new(name, cells).unwrap());
        };
        add("ibm,phb-index", &[*index]);
        add("reg", &[*pcba, 0x46, 0x901_2000, 0x15]);
        let compatible = DeviceTreeProperty::new("compatible", "ibm,power8-pbcq").unwrap();
        bridge.add_property(compatible);
        node.add_child(bridge);
    }
    read(&tree.to_dtb())
}

#[test]
fn pci_host_bridges_are_in_order() {
    assert_eq!(read(TWO_CORES).unwrap().pci_bridges, []);
    let machine = with_bridges(&[[2, 0x201_2800], [0, 0x201_2000]]).unwrap();
    let bridge = |index, nest_pcba| PciBridge {
        chip: 0,
        index,
        xscom_base: 0x3_fc00_0000_0000,
        nest_pcba,
    };
    let expected = [bridge(0, 0x201_2000), bridge(2, 0x201_2800)];
    assert_eq!(machine.pci_bridges, expected);
}

#[test]
fn pci_host_bridges_that_cannot_be_are_refused() {
    let twice = with_bridges(&[[1, 0x201_2400], [1, 0x201_2800]]);
    assert_eq!(
        twice.unwrap_err(),
        TreeError::DuplicatePci { chip: 0, index: 1 }
    );
    let property = |property| TreeError::Property {
        node: "pbcq",
        property,
    };
    let fourth = with_bridges(&[[3, 0x201_2400]]).unwrap_err();
    assert_eq!(fourth, property("ibm,phb-index"));
    let outside = with_bridges(&[[1, 0x7fff_ffff]]).unwrap_err();
    assert_eq!(outside, property("reg"));
}

extern crate std;
use super::*;
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode};
use dtoolkit::{Node, Property};
use pci_types::PciAddress;
use platform::chip::pci::scan::Bridge;
use platform::memory::region::Region;
use platform::tree::outline::Outline;
use std::string::ToString;
use std::vec;

const XICS: u32 = 0x802f;

fn bridge() -> HostBridge {
    HostBridge {
        chip: 0,
        index: 1,
        registers: 0x3_fffe_4010_0000,
        m32: Region::new(0x3_ff80_8000_0000, 0x8000_0000).unwrap(),
        m64: Region::new(0x3_d010_0000_0000, 64 << 30).unwrap(),
        is_qemu: true,
    }
}

fn function(bus: u8, device: u8, parent: Option<usize>) -> Function {
    Function {
        address: PciAddress::new(1, bus, device, 0),
        vendor: 0x1b36,
        device: 0x10,
        class: 0x01_0802,
        revision: 2,
        pin: 1,
        is_express: true,
        parent,
        bridge: None,
    }
}

fn with_bus(function: Function, secondary: u8, is_link: bool) -> Function {
    Function {
        class: 0x06_0400,
        bridge: Some(Bridge {
            primary: function.address.bus(),
            secondary,
            subordinate: 0xff,
            is_link,
        }),
        ..function
    }
}

fn cells(node: &DeviceTreeNode, name: &str) -> Vec<u32> {
    let property = node.property(name).unwrap_or_else(|| panic!("no {name}"));
    let (cells, _) = property.value().as_chunks();
    cells.iter().copied().map(u32::from_be_bytes).collect()
}

fn tree(functions: &[Function]) -> DeviceTreeNode {
    let host = PciHost {
        bridge: bridge(),
        functions,
    };
    let empty = DeviceTree::new().to_dtb();
    let mut tree = Writer::copying(&Outline::of(&empty).unwrap());
    add(&mut tree, &host, XICS);
    DeviceTree::from_fdt(&Fdt::new_unchecked(&tree.finish(&[], 0))).root
}

fn names(node: &DeviceTreeNode) -> Vec<std::string::String> {
    node.children()
        .map(|child| child.name().to_string())
        .collect()
}

/// As other firmware hands the same bridge over.
#[test]
fn a_host_bridge_is_described() {
    let node = tree(&[with_bus(function(0, 0, None), 1, true)]);
    assert_eq!(node.name(), "pciex@3fffe40100000");
    let expected: [(&str, &[u32]); 13] = [
        ("reg", &[0x3fffe, 0x4010_0000, 0, 0x1000]),
        ("#address-cells", &[3]),
        ("#size-cells", &[2]),
        ("#interrupt-cells", &[1]),
        ("bus-range", &[0, 0xff]),
        (
            "ranges",
            &[
                0x200_0000,
                0,
                0x8000_0000,
                0x3ff80,
                0x8000_0000,
                0,
                0x7fff_0000,
            ],
        ),
        ("ibm,opal-phbid", &[0, 1]),
        ("ibm,opal-m64-window", &[0x3d010, 0, 0x3d010, 0, 0x10, 0]),
        ("ibm,opal-num-pes", &[0x100]),
        ("ibm,opal-reserved-pe", &[0xff]),
        ("ibm,opal-msi-ranges", &[0x1000, 32]),
        ("ibm,phb-diag-data-size", &[0x1128]),
        ("interrupt-map-mask", &[0, 0, 0, 7]),
    ];
    for (name, value) in expected {
        assert_eq!(cells(&node, name), value, "{name}");
    }
    let map = cells(&node, "interrupt-map");
    assert_eq!(map[..7], [0, 0, 0, 1, XICS, 0x17f8, 1]);
    assert_eq!(map[21..], [0, 0, 0, 4, XICS, 0x17fb, 1]);
}

#[test]
fn functions_are_where_they_are_plugged() {
    let mut second = function(1, 0, Some(0));
    second.address = PciAddress::new(1, 1, 0, 1);
    second.pin = 0;
    let node = tree(&[
        with_bus(function(0, 0, None), 1, true),
        function(1, 0, Some(0)),
        second,
    ]);
    assert_eq!(names(&node), ["pci@0"]);
    let port = node.children().next().unwrap();
    assert_eq!(names(port), ["pci1b36,10@0", "pci1b36,10@0,1"]);
    let nvme = port.children().next().unwrap();
    assert_eq!(cells(nvme, "reg"), [0x1_0000, 0, 0, 0, 0]);
    assert_eq!(cells(nvme, "class-code"), [0x01_0802]);
    assert_eq!(cells(nvme, "vendor-id"), [0x1b36]);
    assert_eq!(cells(nvme, "interrupts"), [1]);
    assert!(nvme.property("interrupt-map").is_none());
    let second = port.children().nth(1).unwrap();
    assert_eq!(cells(second, "reg")[0], 0x1_0100);
    assert!(second.property("interrupts").is_none());
}

/// Root port, upstream port, downstream port 2 with a device, legacy bridge in port 3 with devices.
#[test]
fn pins_are_turned_by_each_bridge() {
    let functions = vec![
        with_bus(function(0, 0, None), 1, true),
        with_bus(function(1, 0, Some(0)), 2, false),
        with_bus(function(2, 2, Some(1)), 3, true),
        function(3, 0, Some(2)),
        with_bus(function(2, 3, Some(1)), 4, true),
        with_bus(function(4, 0, Some(4)), 5, false),
        function(5, 6, Some(5)),
    ];
    let pins = |behind, pin| root_pin(&functions, Some(behind), pin);
    // INTA of the device is INTC of the port in front.
    assert_eq!((pins(2, 0), pins(2, 1), pins(2, 3)), (2, 3, 1));
    // By its own number, and by its port's.
    assert_eq!(pins(5, 6), (6 + 3) % 4);
    let node = tree(&functions);
    let port = node.children().next().unwrap();
    let switch = port.children().next().unwrap();
    let legacy_port = switch.children().nth(1).unwrap();
    let legacy = legacy_port.children().next().unwrap();
    assert_eq!(cells(legacy, "interrupt-map-mask"), [0x1800, 0, 0, 7]);
    let map = cells(legacy, "interrupt-map");
    assert_eq!(map.len(), 16 * 7);
    // Device 6 is as device 2, INTA.
    let entry = &map[2 * 4 * 7..][..7];
    assert_eq!(entry, [2 << 11, 0, 0, 1, XICS, 0x17f8 + 1, 1]);
    assert_eq!(names(legacy), ["pci1b36,10@6"]);
}

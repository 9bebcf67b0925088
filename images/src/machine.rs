//! What a host reads from the device tree.
use alloc::vec::Vec;
use core::ops::Range;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};

/// The machine, as far as a host for SMT guests needs it.
#[derive(Debug, PartialEq, Eq)]
pub struct Machine<'a> {
    /// `/chosen` `bootargs`; empty if there are none.
    pub boot_args: &'a str,
    /// Real addresses of the initial RAM disk.
    pub initrd: Option<Range<u64>>,
    /// RAM, and what of it others use.
    pub ram: Vec<Range<u64>>,
    pub reserved: Vec<Range<u64>>,
    /// The PIR (and interrupt server number) of each core's thread 0, in ascending order.
    pub cores: Vec<u32>,
    /// Features by `/ibm,opal/smt`, which tells that the firmware runs SMT guests.
    pub smt_features: Option<u64>,
    /// Real address of the first chip's XSCOM window.
    pub xscom: Option<u64>,
}

/// The tree lacks something or has it in another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTree(pub &'static str);

impl<'a> Machine<'a> {
    pub fn read(tree: Fdt<'a>) -> Result<Self, BadTree> {
        let chosen = tree.find_node("/chosen").ok_or(BadTree("no /chosen"))?;
        let boot_args = match chosen.property("bootargs") {
            None => "",
            Some(text) => text.value_as().map_err(|_| BadTree("/chosen bootargs"))?,
        };
        let initrd = match (
            number(&chosen, "linux,initrd-start"),
            number(&chosen, "linux,initrd-end"),
        ) {
            (Some(start), Some(end)) if start < end => Some(start..end),
            _ => None,
        };
        Ok(Self {
            boot_args,
            initrd,
            ram: ram(tree)?,
            reserved: reserved(tree)?,
            cores: cores(tree)?,
            smt_features: tree
                .find_node("/ibm,opal/smt")
                .and_then(|smt| number(&smt, "catnap,features")),
            xscom: xscom(tree),
        })
    }
}

/// A property of one or two cells.
fn number(node: &FdtNode<'_>, name: &str) -> Option<u64> {
    let property = node.property(name)?;
    match property.value() {
        bytes @ [_, _, _, _] => Some(u32::from_be_bytes(bytes.try_into().ok()?).into()),
        bytes => Some(u64::from_be_bytes(bytes.try_into().ok()?)),
    }
}

fn has_type(node: &FdtNode<'_>, device_type: &str) -> bool {
    node.property("device_type")
        .is_some_and(|kind| kind.value_as() == Ok(device_type))
}

fn regions(node: FdtNode<'_>, bad: BadTree) -> Result<Vec<Range<u64>>, BadTree> {
    let Ok(Some(regions)) = node.reg() else {
        return Err(bad);
    };
    regions
        .map(|region| {
            let start: u64 = region.address().ok()?;
            let len_bytes: u64 = region.size().ok()?;
            Some(start..start.checked_add(len_bytes)?)
        })
        .collect::<Option<_>>()
        .ok_or(bad)
}

fn ram(tree: Fdt<'_>) -> Result<Vec<Range<u64>>, BadTree> {
    let mut ram = Vec::new();
    for node in tree
        .root()
        .children()
        .filter(|node| has_type(node, "memory"))
    {
        ram.extend(regions(node, BadTree("memory reg"))?);
    }
    if ram.is_empty() {
        Err(BadTree("no memory"))
    } else {
        Ok(ram)
    }
}

/// The reservations of the tree's header, and `/reserved-memory`.
fn reserved(tree: Fdt<'_>) -> Result<Vec<Range<u64>>, BadTree> {
    let mut reserved = Vec::new();
    for entry in tree.memory_reservations() {
        let end = entry
            .address()
            .checked_add(entry.size())
            .ok_or(BadTree("memory reservation"))?;
        reserved.push(entry.address()..end);
    }
    if let Some(node) = tree.find_node("/reserved-memory") {
        for child in node
            .children()
            .filter(|child| child.property("reg").is_some())
        {
            reserved.extend(regions(child, BadTree("reserved-memory reg"))?);
        }
    }
    Ok(reserved)
}

fn cores(tree: Fdt<'_>) -> Result<Vec<u32>, BadTree> {
    let cpus = tree.find_node("/cpus").ok_or(BadTree("no /cpus"))?;
    let mut cores = Vec::new();
    for cpu in cpus.children().filter(|node| has_type(node, "cpu")) {
        let servers = cpu
            .property("ibm,ppc-interrupt-server#s")
            .ok_or(BadTree("cpu servers"))?;
        let first = servers
            .value()
            .first_chunk()
            .ok_or(BadTree("cpu servers"))?;
        if cpu
            .status()
            .is_ok_and(|status| status == dtoolkit::standard::Status::Okay)
        {
            cores.push(u32::from_be_bytes(*first));
        }
    }
    cores.sort_unstable();
    if cores.is_empty() {
        Err(BadTree("no cpu"))
    } else {
        Ok(cores)
    }
}

fn xscom(tree: Fdt<'_>) -> Option<u64> {
    let mut nodes = tree.root().children();
    let node = nodes.find(|node| node.name_without_address() == "xscom")?;
    node.reg().ok()??.next()?.address().ok()
}

/// Real address of the interrupt presentation controller of the thread `pir`: chips other than the
/// first have theirs elsewhere than the PIR alone would say.
pub fn presenter(tree: Fdt<'_>, pir: u32) -> Result<u64, BadTree> {
    let bad = BadTree("interrupt presentation");
    for node in tree
        .root()
        .children()
        .filter(|node| has_type(node, "PowerPC-External-Interrupt-Presentation"))
    {
        let servers = node
            .property("ibm,interrupt-server-ranges")
            .and_then(|ranges| ranges.value().first_chunk().copied())
            .map(|[a, b, c, d]: [u8; 4]| u32::from_be_bytes([a, b, c, d]))
            .ok_or(bad)?;
        let page = pir
            .checked_sub(servers)
            .and_then(|index| node.reg().ok()??.nth(index as usize));
        if let Some(page) = page {
            return page.address().map_err(|_| bad);
        }
    }
    Err(bad)
}

#[cfg(test)]
#[expect(
    clippy::single_range_in_vec_init,
    reason = "lists of ranges, some of length 1"
)]
mod tests {
    use super::*;
    use dtoolkit::memreserve::MemoryReservation;
    use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

    fn node(
        name: &str,
        properties: &[(&str, &[u8])],
        children: Vec<DeviceTreeNode>,
    ) -> DeviceTreeNode {
        let mut node = DeviceTreeNode::new_unchecked(name);
        for &(name, value) in properties {
            node.add_property(DeviceTreeProperty::new_unchecked(name, value));
        }
        for child in children {
            node.add_child(child);
        }
        node
    }

    fn cpu(name: &str, pir: u8) -> DeviceTreeNode {
        let servers = [0, 0, 0, pir, 0, 0, 0, pir + 1];
        node(
            name,
            &[
                ("device_type", b"cpu\0"),
                ("ibm,ppc-interrupt-server#s", &servers),
                ("status", b"okay\0"),
            ],
            vec![],
        )
    }

    fn tree() -> DeviceTree {
        let mut tree = DeviceTree::new();
        let cells: &[(&str, &[u8])] = &[
            ("#address-cells", &[0, 0, 0, 2]),
            ("#size-cells", &[0, 0, 0, 2]),
        ];
        for &(name, value) in cells {
            tree.root
                .add_property(DeviceTreeProperty::new_unchecked(name, value));
        }
        let region = |start: u64, len: u64| [start.to_be_bytes(), len.to_be_bytes()].concat();
        let chosen: &[(&str, &[u8])] = &[
            ("bootargs", b"smt=8 cores=2\0"),
            ("linux,initrd-start", &0x2800_0000u64.to_be_bytes()),
            ("linux,initrd-end", &0x2800_1234u32.to_be_bytes()),
        ];
        tree.root.add_child(node("chosen", chosen, vec![]));
        tree.root.add_child(node(
            "cpus",
            &[],
            vec![cpu("PowerPC,POWER8@10", 16), cpu("PowerPC,POWER8@8", 8)],
        ));
        let memory: &[(&str, &[u8])] = &[
            ("device_type", b"memory\0"),
            ("reg", &region(0, 0x1_0000_0000)),
        ];
        tree.root.add_child(node("memory@0", memory, vec![]));
        let firmware = node(
            "catnap@30000000",
            &[("reg", &region(0x3000_0000, 0x100_0000))],
            vec![],
        );
        tree.root
            .add_child(node("reserved-memory", cells, vec![firmware]));
        tree.memory_reservations = vec![MemoryReservation::new(0x100_0000, 0x1_0000)];
        tree
    }

    #[test]
    fn reads_what_a_host_needs() {
        let dtb = tree().to_dtb();
        let machine = Machine::read(Fdt::new(&dtb).unwrap()).unwrap();
        assert_eq!(machine.boot_args, "smt=8 cores=2");
        assert_eq!(machine.initrd, Some(0x2800_0000..0x2800_1234));
        assert_eq!(machine.ram, [0..0x1_0000_0000]);
        assert_eq!(
            machine.reserved,
            [0x100_0000..0x101_0000, 0x3000_0000..0x3100_0000]
        );
        assert_eq!(machine.cores, [8, 16]);
        assert_eq!(machine.smt_features, None);
    }

    #[test]
    fn finds_a_presenter_on_any_chip() {
        let mut tree = tree();
        for (name, first, page) in [
            ("interrupt-controller@0", 8u8, 0x3_ffff_8000_8000u64),
            ("interrupt-controller@1", 0x88, 0x3_ffff_8018_8000),
        ] {
            let reg: Vec<u8> = (0..8)
                .flat_map(|ptid| {
                    [
                        (page + ptid * 0x1000).to_be_bytes(),
                        0x1000u64.to_be_bytes(),
                    ]
                })
                .flatten()
                .collect();
            let properties: &[(&str, &[u8])] = &[
                ("device_type", b"PowerPC-External-Interrupt-Presentation\0"),
                ("ibm,interrupt-server-ranges", &[0, 0, 0, first, 0, 0, 0, 8]),
                ("reg", &reg),
            ];
            tree.root.add_child(node(name, properties, vec![]));
        }
        let dtb = tree.to_dtb();
        let tree = Fdt::new(&dtb).unwrap();
        assert_eq!(presenter(tree, 0x8), Ok(0x3_ffff_8000_8000));
        assert_eq!(presenter(tree, 0xf), Ok(0x3_ffff_8000_f000));
        assert_eq!(presenter(tree, 0x8a), Ok(0x3_ffff_8018_a000));
        for absent in [0, 7, 0x10, 0x90] {
            assert!(presenter(tree, absent).is_err(), "{absent:#x}");
        }
    }

    #[test]
    fn sees_the_firmware_that_runs_smt_guests() {
        let mut tree = tree();
        let features: &[(&str, &[u8])] = &[("catnap,features", &[0, 0, 0, 1, 0, 0, 0, 2])];
        let smt = node("smt", features, vec![]);
        tree.root.add_child(node("ibm,opal", &[], vec![smt]));
        let dtb = tree.to_dtb();
        let machine = Machine::read(Fdt::new(&dtb).unwrap()).unwrap();
        assert_eq!(machine.smt_features, Some(0x1_0000_0002));
    }

    #[test]
    fn says_what_is_missing() {
        for (gone, why) in [
            ("chosen", "no /chosen"),
            ("cpus", "no /cpus"),
            ("memory@0", "no memory"),
        ] {
            let mut tree = tree();
            tree.root.remove_child(gone).unwrap();
            let dtb = tree.to_dtb();
            assert_eq!(Machine::read(Fdt::new(&dtb).unwrap()), Err(BadTree(why)));
        }
    }
}

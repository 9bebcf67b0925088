//! The host's tree beside one that is made as a document: the machine's tree read into the library's nodes,
//! each change made there, one after the other.
use super::*;

/// What differs from the machine's tree, but for the firmware's own nodes, which come from `ours`.
fn by_nodes(
    fdt: &[u8],
    machine: &Machine,
    all_threads: bool,
    flash_booted: bool,
    ours: &DeviceTree,
) -> DeviceTree {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(fdt).unwrap());
    change_cpus(&mut tree, machine, all_threads);
    for node in tree.root.children_mut() {
        let chip = cell(node, property::CHIP_ID);
        if let Some(chip) = chip.filter(|_| node.name().starts_with("memory@")) {
            set(node, property::ASSOCIATIVITY, [4, 0, 0, 0, chip]);
        }
    }
    if let Some(port) = machine.lpc.and_then(|lpc| lpc.uart) {
        let uart = format!("isa-serial@i{:x}", port.first_port);
        let buses = tree.root.children_mut();
        let buses = buses.flat_map(DeviceTreeNode::children_mut);
        for node in buses.filter_map(|bus| bus.child_mut(&uart)) {
            set(node, "status", "reserved");
        }
    }
    choose(child(&mut tree.root, "chosen"), flash_booted);
    set(
        child(&mut tree.root, name::FIRMWARE_VERSIONS),
        "catnap",
        "catnap-0.1.0",
    );
    for own in [name::XICS, name::OPAL, name::RESERVED_MEMORY] {
        tree.root.add_child(ours.root.child(own).unwrap().clone());
    }
    for list in [property::RESERVED_NAMES, property::RESERVED_RANGES] {
        let list = ours.root.property(list).unwrap().clone();
        tree.root.add_property(list);
    }
    let more = ours.memory_reservations.len() - 2;
    tree.memory_reservations
        .extend(&ours.memory_reservations[more..]);
    tree
}

/// The child of exactly that name, which is made if there is none.
fn child<'a>(node: &'a mut DeviceTreeNode, name: &str) -> &'a mut DeviceTreeNode {
    if node.child_mut(name).is_none() {
        node.add_child(DeviceTreeNode::new_unchecked(name));
    }
    node.child_mut(name).unwrap()
}

fn cell(node: &DeviceTreeNode, name: &str) -> Option<u32> {
    node.property(name)?.value_as().ok()
}

fn first_server(cpu: &DeviceTreeNode) -> Option<u32> {
    let servers = cpu.property(property::INTERRUPT_SERVERS)?;
    servers
        .value()
        .first_chunk()
        .copied()
        .map(u32::from_be_bytes)
}

fn change_cpus(tree: &mut DeviceTree, machine: &Machine, all_threads: bool) {
    let Some(cpus) = tree.root.child_mut("cpus") else {
        return;
    };
    let mut cores: Vec<_> = cpus
        .children()
        .map(|cpu| (first_server(cpu), cpu.name().to_string()))
        .collect();
    cores.sort_by_key(|(server, _)| *server);
    let mut number = 0;
    for (server, name) in cores {
        let mut core = cpus.remove_child(&name).unwrap();
        if server.is_some_and(|pir| machine.unreachable.contains(&pir)) {
            continue;
        }
        number += 1;
        if let Some(server) = server.filter(|_| !all_threads) {
            set(&mut core, property::INTERRUPT_SERVERS, server);
        }
        if let Some(chip) = cell(&core, property::CHIP_ID) {
            set(
                &mut core,
                property::ASSOCIATIVITY,
                [5, 0, 0, 0, chip, number],
            );
        }
        cpus.add_child(core);
    }
}

fn choose(chosen: &mut DeviceTreeNode, flash_booted: bool) {
    set(chosen, property::STDOUT_PATH, node::CONSOLE);
    set(chosen, property::LINUX_STDOUT_PATH, node::CONSOLE);
    if flash_booted {
        set(chosen, property::SYSTEM_FLASH, node::FLASH);
        set(chosen, "linux,initrd-start", 0x2800_0000_u64);
        set(chosen, "linux,initrd-end", 0x2800_0000_u64 + 5000);
        set(chosen, "bootargs", "quiet");
    }
}

/// Whether the tree, if its machine can be read, becomes what the library makes of it.
fn assert_same(fdt: &[u8], all_threads: bool, flash_booted: bool) -> bool {
    let Ok(machine) = tree::read(fdt) else {
        return false;
    };
    let Ok(bytes) = built_for(fdt, &machine, all_threads, flash_booted) else {
        return false;
    };
    assert!(!Outline::of(&bytes).unwrap().may_have_twins());
    let ours = DeviceTree::from_fdt(&checked(&bytes));
    let expected = by_nodes(fdt, &machine, all_threads, flash_booted, &ours);
    assert_eq!(ours, expected);
    let cores = |tree: &DeviceTree| {
        let cpus = tree.root.child("cpus").unwrap().children();
        cpus.map(|cpu| cpu.name().to_string()).collect::<Vec<_>>()
    };
    if ours.root.child("cpus").is_some() {
        assert_eq!(cores(&ours), cores(&expected));
    }
    true
}

#[test]
fn trees_of_qemus_are_as_the_library_makes_them() {
    for fdt in [ONE_THREAD, TWO_CORES, TWO_CHIPS] {
        for options in 0..4 {
            assert!(assert_same(fdt, options & 1 != 0, options & 2 != 0));
        }
    }
}

/// Names that the firmware looks for, or makes; and others.
const NODES: [&str; 14] = [
    "cpus",
    "cpus@0",
    "chosen",
    "chosen@1",
    "memory@1",
    "memory",
    "ibm,opal",
    "ibm,firmware-versions",
    "interrupt-controller@0",
    "reserved-memory",
    "isa-serial@i3f8",
    "isa@b0020",
    "PowerPC,POWER8@8",
    "other@2",
];
const PROPERTIES: [&str; 12] = [
    property::INTERRUPT_SERVERS,
    property::CHIP_ID,
    property::ASSOCIATIVITY,
    property::PHANDLE,
    property::STDOUT_PATH,
    property::RESERVED_RANGES,
    "catnap",
    "status",
    "bootargs",
    "linux,initrd-end",
    "phandl",
    "phandles",
];

/// A change of a tree's: at which node, what, with which name, with how many bytes.
type Change = (prop::sample::Index, u8, prop::sample::Index, u8);

fn count(node: &DeviceTreeNode) -> usize {
    1 + node.children().map(count).sum::<usize>()
}

fn nth<'a>(node: &'a mut DeviceTreeNode, left: &mut usize) -> Option<&'a mut DeviceTreeNode> {
    if *left == 0 {
        return Some(node);
    }
    *left -= 1;
    node.children_mut().find_map(|child| nth(child, left))
}

fn change(tree: &mut DeviceTree, (at, what, name, len): &Change) {
    let mut left = at.index(count(&tree.root));
    let node = nth(&mut tree.root, &mut left).unwrap();
    let (a_node, a_property) = (*name.get(&NODES[..]), *name.get(&PROPERTIES[..]));
    let value: Vec<u8> = (0..len % 10).map(|byte| byte.wrapping_mul(*len)).collect();
    match what % 4 {
        0 => node.add_child(DeviceTreeNode::new_unchecked(a_node)),
        1 => drop(node.remove_child(a_node)),
        2 => drop(node.remove_property(a_property)),
        _ => set(node, a_property, value),
    }
}

/// Writes a node; `twice` says which nodes and properties come again, otherwise.
fn write(tree: &mut Writer, node: &DeviceTreeNode, twice: &mut impl FnMut() -> bool) {
    tree.node(node.name(), |tree| {
        for property in node.properties() {
            if twice() {
                tree.set(property.name(), [1_u8, 2, 3]);
            }
            tree.set(property.name(), property.value());
        }
        for child in node.children() {
            if twice() {
                tree.node(child.name(), |tree| tree.set("reg", 0_u32));
            }
            write(tree, child, twice);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_tree_is_as_the_library_makes_it(
        which in 0_usize..3,
        changes in prop::collection::vec(any::<Change>(), 0..12),
        twins in prop::collection::vec(0_usize..400, 0..3),
        reserved in prop::collection::vec(any::<[u8; 16]>(), 0..3),
        options in any::<[bool; 2]>(),
    ) {
        let fdt = [ONE_THREAD, TWO_CORES, TWO_CHIPS][which];
        let mut tree = DeviceTree::from_fdt(&Fdt::new(fdt).unwrap());
        changes.iter().for_each(|it| change(&mut tree, it));
        let empty = DeviceTree::new().to_dtb();
        let mut writer = Writer::copying(&Outline::of(&empty).unwrap());
        let mut place = 0;
        write(&mut writer, &tree.root, &mut || {
            place += 1;
            twins.contains(&place)
        });
        assert_same(&writer.finish(&reserved, 0), options[0], options[1]);
    }
}

#[test]
fn of_twins_the_last_is_kept() {
    let tree = DeviceTree::from_fdt(&Fdt::new(TWO_CORES).unwrap());
    let empty = DeviceTree::new().to_dtb();
    let mut same = 0;
    for twin in 1..200 {
        let mut writer = Writer::copying(&Outline::of(&empty).unwrap());
        let mut place = 0;
        write(&mut writer, &tree.root, &mut || {
            place += 1;
            place == twin
        });
        let fdt = writer.finish(&[], 0);
        assert_eq!(Outline::of(&fdt).unwrap().may_have_twins(), twin <= place);
        same += usize::from(assert_same(&fdt, false, false));
    }
    // The others say of the machine what can't be.
    assert!(same > 180, "{same}");
}

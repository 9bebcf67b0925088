extern crate std;
use super::*;
use dtoolkit::fdt::FdtNode;
use dtoolkit::model::{DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::{Node, Property, ToPropertyValue};
use platform::flash::table::{Name, Partition};
use platform::tree;
use proptest::prelude::*;
use skiboot_compat::tree::{fw_features, node, smt};
use std::string::ToString;

const ONE_THREAD: &[u8] = include_bytes!("../../platform/tests/trees/one-thread.dtb");
const TWO_CORES: &[u8] = include_bytes!("../../platform/tests/trees/two-cores.dtb");
const TWO_CHIPS: &[u8] = include_bytes!("../../platform/tests/trees/two-chips.dtb");

/// What the library makes of the same.
#[path = "host_tree/model_tests.rs"]
mod model;

fn set(node: &mut DeviceTreeNode, name: &str, value: impl ToPropertyValue) {
    node.add_property(DeviceTreeProperty::new_unchecked(name, value));
}

fn region(start: u64, len: u64) -> Region {
    Region::new(start, len).unwrap()
}

/// The host's tree of a machine that can be read.
fn host_tree(fdt: &[u8]) -> Vec<u8> {
    built(fdt, &tree::read(fdt).unwrap()).unwrap()
}

fn built(fdt: &[u8], machine: &Machine) -> Result<Vec<u8>, HostTreeError> {
    built_for(fdt, machine, false, false)
}

/// Two, one that has nothing, and one at another's place.
fn partitions() -> [Partition; 4] {
    let part = |name, offset_bytes, len_bytes, is_read_only| Partition {
        name: Name::new(name),
        offset_bytes,
        len_bytes,
        used_bytes: 0,
        has_ecc: false,
        is_read_only,
    };
    [
        part(b"part", 0, 4096, false),
        part(b"VERSION", 0x1_0000, 0x2000, true),
        part(b"EMPTY", 0x2_0000, 0, false),
        part(b"AGAIN", 0x1_0000, 0x1000, false),
    ]
}

/// A kernel and a RAM disk of which nothing is known but the hash.
fn measured() -> [Measured; 2] {
    let image = |name, byte, is_known| Measured {
        name: Name::new(name),
        sha512: [byte; 64],
        has_container: is_known,
        is_signed: is_known,
    };
    [image(b"ROOTFS", 1, false), image(b"BOOTKERNEL", 2, true)]
}

fn built_for(
    fdt: &[u8],
    machine: &Machine,
    all_threads: bool,
    flash_booted: bool,
) -> Result<Vec<u8>, HostTreeError> {
    let partitions = partitions();
    let params = HostTreeParams {
        boot_pir: machine.cores[0].pir,
        all_threads,
        opal_base: 0x3000_0000,
        opal_entry: 0x3000_4000,
        opal_runtime_len: 16 << 20,
        memcons: 0x3012_3450,
        version: "catnap-0.1.0",
        nvram_bytes: 65536,
        ipmi_event: 63,
        reserved: &[
            ("catnap", region(0x3000_0000, 16 << 20)),
            ("catnap-trace", region(0x1_2345_6000, 0x1000)),
        ],
        symbol_map: Some(region(0x3030_0000, 0x6543)),
        exports: &[("smt_stats", region(0x3020_0000, 0x2000))],
        chosen: &Chosen {
            initrd: flash_booted.then(|| region(0x2800_0000, 5000)),
            bootargs: flash_booted.then(|| "quiet".to_string()),
            measured: match flash_booted {
                true => measured().to_vec(),
                false => Vec::new(),
            },
        },
        pci: &[],
        flash: flash_booted.then_some(FlashParams {
            len_bytes: 64 << 20,
            block_bytes: 4096,
            partitions: &partitions,
        }),
        smt: SmtParams {
            versions: [1, 1],
            tokens: [1100, 1109],
            widths: &[1, 2, 4, 8],
            page_bytes: 4096,
            features: 0x1_0000_0003,
        },
    };
    build(fdt, machine, &params)
}

/// The tree, which is sound but for two names: they are longer than the specification allows, as all
/// hosts of OPAL have them.
fn checked(bytes: &[u8]) -> Fdt<'_> {
    let fdt = Fdt::new_unchecked(bytes);
    without_long_names(&fdt);
    fdt
}

/// A copy of it without those names.
fn without_long_names(fdt: &Fdt) -> Vec<u8> {
    let mut model = DeviceTree::from_fdt(fdt);
    let opal = model.find_node_mut(node::OPAL).unwrap();
    opal.remove_property(property::REFERENCE_POINTS).unwrap();
    opal.remove_child(fw_features::NAME);
    let bytes = model.to_dtb();
    Fdt::new(&bytes).unwrap();
    bytes
}

/// The machine as the host's tree tells it.
fn read_back(bytes: &[u8]) -> Machine {
    tree::read(&without_long_names(&Fdt::new_unchecked(bytes))).unwrap()
}

fn cells(node: &FdtNode, name: &str) -> Vec<u32> {
    let property = node.property(name).unwrap();
    let (cells, rest) = property.value().as_chunks();
    assert!(rest.is_empty());
    cells.iter().map(|&cell| u32::from_be_bytes(cell)).collect()
}

fn text(node: &FdtNode, name: &str) -> String {
    String::from_utf8(node.property(name).unwrap().value().to_vec()).unwrap()
}

#[test]
fn the_host_has_one_thread_of_each_core_by_pir() {
    for (fdt, pirs) in [
        (ONE_THREAD, &[8][..]),
        (TWO_CORES, &[8, 16]),
        (TWO_CHIPS, &[8, 0x88]),
    ] {
        let bytes = host_tree(fdt);
        let cpus = checked(&bytes).find_node("/cpus").unwrap();
        let servers: Vec<_> = cpus
            .children()
            .map(|cpu| cells(&cpu, "ibm,ppc-interrupt-server#s"))
            .collect();
        assert_eq!(servers.concat(), pirs);
    }
}

#[test]
fn what_came_from_flash_is_told_as_a_loader_would() {
    let machine = tree::read(ONE_THREAD).unwrap();
    let bytes = built_for(ONE_THREAD, &machine, false, true).unwrap();
    let host = read_back(&bytes);
    assert_eq!(host.initrd, Some(region(0x2800_0000, 5000)));
    assert_eq!(host.bootargs, "quiet");
    let fdt = checked(&bytes);
    let chosen = fdt.find_node("/chosen").unwrap();
    assert_eq!(text(&chosen, "ibm,system-flash"), "/ibm,opal/flash@0\0");
    let flash = fdt.find_node("/ibm,opal/flash@0").unwrap();
    assert_eq!(text(&flash, "compatible"), "ibm,opal-flash\0");
    assert_eq!(cells(&flash, "reg"), [0, 64 << 20]);
    assert_eq!(cells(&flash, "ibm,opal-id"), [0]);
    assert_eq!(cells(&flash, "ibm,flash-block-size"), [4096]);
    let partitions: Vec<_> = flash.children().next().unwrap().children().collect();
    let labels: Vec<_> = partitions.iter().map(|node| text(node, "label")).collect();
    assert_eq!(labels, ["PNOR\0", "VERSION\0"]);
    assert_eq!(cells(&partitions[0], "reg"), [0, 0, 0, 64 << 20]);
    assert_eq!(cells(&partitions[1], "reg"), [0, 0x1_0000, 0, 0x2000]);
    let read_only = |node: &FdtNode| node.property("read-only").is_some();
    assert!(!read_only(&partitions[0]) && read_only(&partitions[1]));
    for image in measured() {
        let node = fdt.find_node(&format!("/ibm,opal/measured/{}", image.name));
        let node = node.unwrap();
        assert_eq!(text(&node, "hash-algo"), "sha512\0");
        assert_eq!(node.property("hash").unwrap().value(), image.sha512);
        let has = |name| node.property(name).is_some();
        assert_eq!(has("contained"), image.has_container);
        assert_eq!(has("signed"), image.is_signed);
    }
}

#[test]
fn the_host_can_have_all_threads() {
    let machine = tree::read(TWO_CORES).unwrap();
    let bytes = built_for(TWO_CORES, &machine, true, false).unwrap();
    assert_eq!(read_back(&bytes).cores, machine.cores);
}

/// QEMU's third chip would be the first.
#[test]
fn cores_that_nobody_can_interrupt_are_left_out() {
    let mut model = DeviceTree::from_fdt(&Fdt::new(TWO_CHIPS).unwrap());
    let servers: [u32; 8] = core::array::from_fn(|ptid| 0x108 + ptid as u32);
    let core = model.find_node_mut("/cpus/PowerPC,POWER8@88").unwrap();
    set(core, property::INTERRUPT_SERVERS, servers);
    set(core, "ibm,pir", 0x108_u32);
    let pages = "/interrupt-controller@3FFFF80188000";
    let pages = model.find_node_mut(pages).unwrap();
    set(pages, "ibm,interrupt-server-ranges", [0x108_u32, 8]);
    let fdt = model.to_dtb();

    let machine = tree::read(&fdt).unwrap();
    assert_eq!(machine.unreachable, [0x108]);
    let bytes = built(&fdt, &machine).unwrap();
    let cpus = checked(&bytes).find_node("/cpus").unwrap();
    let names: Vec<_> = cpus.children().map(|cpu| cpu.name().to_string()).collect();
    assert_eq!(names, ["PowerPC,POWER8@8"]);
}

#[test]
fn cores_and_memory_belong_to_their_chips() {
    let bytes = host_tree(TWO_CHIPS);
    let fdt = checked(&bytes);
    let chips = |parent: FdtNode, prefix: &str| -> Vec<(u32, u32)> {
        let all = parent.children();
        let wanted = all.filter(|node| node.name().starts_with(prefix));
        let chips = wanted.map(|node| {
            let place = cells(&node, "ibm,associativity");
            assert_eq!(place[0] as usize, place.len() - 1);
            (place[4], cells(&node, "ibm,chip-id")[0])
        });
        chips.collect()
    };
    let cores = chips(fdt.find_node("/cpus").unwrap(), "PowerPC");
    let memory = chips(fdt.root(), "memory@");
    for found in [cores, memory] {
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|(place, chip)| place == chip) && found[0] != found[1]);
    }
}

#[test]
fn opal_is_where_the_firmware_says() {
    let bytes = host_tree(TWO_CORES);
    let opal = checked(&bytes).find_node("/ibm,opal").unwrap();
    assert_eq!(text(&opal, "compatible"), "ibm,opal-v2\0ibm,opal-v3\0");
    assert_eq!(cells(&opal, "opal-base-address"), [0, 0x3000_0000]);
    assert_eq!(cells(&opal, "opal-entry-address"), [0, 0x3000_4000]);
    assert_eq!(cells(&opal, "opal-runtime-size"), [0, 16 << 20]);
    assert_eq!(cells(&opal, "ibm,opal-memcons"), [0, 0x3012_3450]);
    let firmware = opal.child("firmware").unwrap();
    assert_eq!(text(&firmware, "version"), "catnap-0.1.0\0");
    assert_eq!(cells(&firmware, "symbol-map"), [0, 0x3030_0000, 0, 0x6543]);
    let exports = firmware.child("exports").unwrap();
    assert_eq!(cells(&exports, "smt_stats"), [0, 0x3020_0000, 0, 0x2000]);
}

#[test]
fn smt_can_be_discovered() {
    let bytes = host_tree(TWO_CORES);
    let node = checked(&bytes).find_node(smt::PATH).unwrap();
    assert_eq!(text(&node, "compatible"), "catnap,smt-v1\0");
    assert_eq!(cells(&node, smt::VERSIONS), [1, 1]);
    assert_eq!(cells(&node, smt::TOKENS), [1100, 1109]);
    assert_eq!(cells(&node, smt::WIDTHS), [1, 2, 4, 8]);
    assert_eq!(cells(&node, smt::PAGE_BYTES), [4096]);
    assert_eq!(cells(&node, smt::FEATURES), [1, 3]);
}

/// As Linux's `kvm.ko` reads them: by name, and by the property that is there.
#[test]
fn qemus_processors_need_no_mitigations_and_others_may() {
    let fdt = TWO_CORES;
    let mut machine = tree::read(fdt).unwrap();
    assert!(machine.is_qemu);
    let bytes = built(fdt, &machine).unwrap();
    for (name, state, other) in [
        ("needs-l1d-flush-msr-pr-0-to-1", "disabled", "enabled"),
        ("needs-l1d-flush-msr-hv-1-to-0", "disabled", "enabled"),
        ("needs-spec-barrier-for-bound-checks", "disabled", "enabled"),
        ("fw-count-cache-flush-bcctr2,0,0", "enabled", "disabled"),
    ] {
        let path = format!("/ibm,opal/fw-features/{name}");
        let node = checked(&bytes).find_node(&path).expect(name);
        assert!(
            node.property(state).is_some_and(|it| it.value().is_empty()),
            "{name}"
        );
        assert!(node.property(other).is_none(), "{name}");
    }
    machine.is_qemu = false;
    let bytes = built(fdt, &machine).unwrap();
    assert!(checked(&bytes).find_node("/ibm,opal/fw-features").is_none());
}

#[test]
fn the_console_is_opals() {
    let bytes = host_tree(TWO_CORES);
    let fdt = checked(&bytes);
    let chosen = fdt.find_node("/chosen").unwrap();
    for name in ["stdout-path", "linux,stdout-path"] {
        assert_eq!(text(&chosen, name), "/ibm,opal/consoles/serial@0\0");
    }
    let console = fdt.find_node(node::CONSOLE).unwrap();
    assert_eq!(text(&console, "compatible"), "ibm,opal-console-raw\0");
    assert_eq!(cells(&console, "reg"), [0]);
    let uart = fdt.find_node("/xscom@3fc0000000000/isa@b0020/isa-serial@i3f8");
    assert_eq!(text(&uart.unwrap(), "status"), "reserved\0");
}

#[test]
fn what_qemu_gave_to_the_payload_stays() {
    let bytes = host_tree(TWO_CORES);
    let host = read_back(&bytes);
    let machine = tree::read(TWO_CORES).unwrap();
    assert_eq!(host.bootargs, "console=hvc0 test=one");
    assert_eq!(host.initrd, machine.initrd);
    assert_eq!((&host.ram, &host.chips), (&machine.ram, &machine.chips));
    assert_eq!(host.lpc, machine.lpc);
    let threads: Vec<_> = host.cores.iter().map(|core| core.threads).collect();
    assert_eq!(threads, [1, 1]);
}

#[test]
fn the_firmwares_memory_is_taken_in_every_way() {
    let bytes = host_tree(TWO_CHIPS);
    let fdt = checked(&bytes);
    let header: Vec<_> = fdt
        .memory_reservations()
        .map(|reservation| (reservation.address(), reservation.size()))
        .collect();
    assert_eq!(header, [(0x3000_0000, 16 << 20), (0x1_2345_6000, 0x1000)]);
    let ranges = [0, 0x3000_0000, 0, 16 << 20, 1, 0x2345_6000, 0, 0x1000];
    let root = fdt.root();
    assert_eq!(cells(&root, "reserved-ranges"), ranges);
    assert_eq!(
        text(&root, "reserved-names"),
        "catnap@30000000\0catnap-trace@123456000\0"
    );
    let parent = fdt.find_node("/reserved-memory").unwrap();
    assert_eq!(cells(&parent, "#size-cells"), [2]);
    assert!(parent.property("ranges").unwrap().value().is_empty());
    let child = parent.child("catnap-trace@123456000").unwrap();
    assert_eq!(cells(&child, "reg"), [1, 0x2345_6000, 0, 0x1000]);
}

#[test]
fn the_header_names_the_boot_thread() {
    let bytes = host_tree(TWO_CHIPS);
    assert_eq!(checked(&bytes).boot_cpuid_phys(), 8);
}

#[test]
fn the_log_has_the_layout_that_the_tree_promises() {
    use platform::log::ring;
    use skiboot_compat::memcons;
    assert_eq!(ring::MAGIC, memcons::MAGIC);
    assert_eq!(ring::WRAPPED, memcons::OUT_POS_WRAPPED);
    assert!(ring::TEXT_LEN as u32 <= memcons::OUT_POS_MASK);
}

#[test]
fn a_tree_that_is_none_is_refused() {
    let machine = tree::read(ONE_THREAD).unwrap();
    let error = built(&ONE_THREAD[1..], &machine).unwrap_err();
    assert!(matches!(error, HostTreeError::Structure(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn any_machine_that_can_be_read_gets_a_tree_that_can_be_read(
        which in 0_usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut fdt = [ONE_THREAD, TWO_CORES, TWO_CHIPS][which].to_vec();
        for (at, byte) in changes {
            let at = at.index(fdt.len());
            fdt[at] = byte;
        }
        let Ok(machine) = tree::read(&fdt) else { return Ok(()) };
        if let Ok(bytes) = built(&fdt, &machine) {
            let host = checked(&bytes);
            prop_assert!(host.find_node(node::CONSOLE).is_some());
        }
    }
}

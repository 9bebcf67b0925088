//! What the host's tree has of the machine's, and in what the two differ.
use super::writer::{Setting, Writer};
use super::{HostTreeError, HostTreeParams, Reserved, is_own};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use platform::tree::Machine;
use platform::tree::outline::OutlineNode;
use skiboot_compat::tree::{name, node, property};

/// Levels of buses below the root: the UART is on the second.
const BUSES: u32 = 2;

/// Copies the machine's tree. `add` makes the nodes of the firmware's own below the root.
pub fn copy(
    tree: &mut Writer,
    root: OutlineNode,
    machine: &Machine,
    params: &HostTreeParams,
    reserved: &Reserved,
    add: impl FnOnce(&mut Writer),
) -> Result<(), HostTreeError> {
    let port = machine.lpc.and_then(|lpc| lpc.uart);
    let copy = Copy {
        machine,
        params,
        uart: port.map(|port| format!("isa-serial@i{:x}", port.first_port)),
    };
    let lists: [Setting; 2] = [
        (property::RESERVED_NAMES, &reserved.names()),
        (property::RESERVED_RANGES, &reserved.ranges()),
    ];
    tree.node_like(root, &lists, |tree| {
        copy.below_root(tree, root)?;
        add(tree);
        Ok(())
    })
}

struct Copy<'a> {
    machine: &'a Machine,
    params: &'a HostTreeParams<'a>,
    /// The UART is the firmware's; the host goes by its calls.
    uart: Option<String>,
}

impl Copy<'_> {
    fn below_root(&self, tree: &mut Writer, root: OutlineNode) -> Result<(), HostTreeError> {
        let (mut chosen, mut versions, mut has_cpus) = (None, None, false);
        for node in root.children() {
            match node.name() {
                b"chosen" => chosen = Some(node),
                b"ibm,firmware-versions" => versions = Some(node),
                b"cpus" => {
                    has_cpus = true;
                    self.cpus(tree, node)?;
                }
                name if name.starts_with(b"memory@") => self.memory(tree, node),
                name if is_own(name, self.params) => {}
                _ => self.bus(tree, node, BUSES),
            }
        }
        if !has_cpus && !self.params.all_threads {
            return Err(HostTreeError::Missing("cpus"));
        }
        self.chosen(tree, chosen);
        self.versions(tree, versions);
        Ok(())
    }

    /// What is on it may be the UART.
    fn bus(&self, tree: &mut Writer, bus: OutlineNode, levels: u32) {
        match self.uart {
            Some(_) => tree.node_like(bus, &[], |tree| self.below(tree, bus, levels)),
            None => tree.copy(bus),
        }
    }

    fn below(&self, tree: &mut Writer, bus: OutlineNode, levels: u32) {
        for node in bus.children() {
            if levels > 1 {
                self.bus(tree, node, levels - 1);
            } else if self
                .uart
                .as_ref()
                .is_some_and(|uart| node.name() == uart.as_bytes())
            {
                tree.node_like(node, &[("status", &"reserved")], |tree| {
                    node.children().for_each(|child| tree.copy(child));
                });
            } else {
                tree.copy(node);
            }
        }
    }

    /// Linux makes a NUMA node of each chip.
    fn memory(&self, tree: &mut Writer, node: OutlineNode) {
        let place = node.cell(property::CHIP_ID).map(|chip| [4, 0, 0, 0, chip]);
        let setting = place
            .as_ref()
            .map(|place| (property::ASSOCIATIVITY, place as _));
        tree.node_like(node, setting.as_slice(), |tree| {
            self.below(tree, node, BUSES)
        });
    }

    /// Without cores that are left out, and sorted: QEMU names its last core first. Linux numbers threads in
    /// the tree's order and, told to start so many (`maxcpus=`), takes the first: they have to make whole cores,
    /// the boot thread's among them.
    fn cpus(&self, tree: &mut Writer, cpus: OutlineNode) -> Result<(), HostTreeError> {
        let cores = cpus.children().map(|cpu| (first_server(cpu), cpu));
        let is_left_out =
            |pir: &Option<u32>| pir.is_some_and(|pir| self.machine.unreachable.contains(&pir));
        let mut cores: Vec<_> = cores.filter(|(pir, _)| !is_left_out(pir)).collect();
        // What isn't a core comes first.
        cores.sort_by_key(|(pir, _)| *pir);
        tree.node_like(cpus, &[], |tree| {
            (1..)
                .zip(cores)
                .try_for_each(|(number, (_, cpu))| self.cpu(tree, cpu, number))
        })
    }

    /// The host has each core's thread 0; the others are the firmware's.
    fn cpu(&self, tree: &mut Writer, cpu: OutlineNode, number: u32) -> Result<(), HostTreeError> {
        let place = cpu
            .cell(property::CHIP_ID)
            .map(|chip| [5, 0, 0, 0, chip, number]);
        let mut settings: Vec<Setting> = Vec::with_capacity(2);
        if let Some(place) = &place {
            settings.push((property::ASSOCIATIVITY, place));
        }
        let servers = cpu.property(property::INTERRUPT_SERVERS);
        let first = servers.map(|servers| servers.first_chunk::<4>().copied());
        if let Some(first) = first.as_ref().filter(|_| !self.params.all_threads) {
            let first = first
                .as_ref()
                .ok_or(HostTreeError::Missing("interrupt server"))?;
            settings.push((property::INTERRUPT_SERVERS, first));
        }
        tree.node_like(cpu, &settings, |tree| self.below(tree, cpu, BUSES - 1));
        Ok(())
    }

    /// What the firmware has chosen, the console first of all.
    fn chosen(&self, tree: &mut Writer, chosen: Option<OutlineNode>) {
        let choice = self.params.chosen;
        let initrd = choice
            .initrd
            .as_ref()
            .map(|initrd| (initrd.start(), initrd.end()));
        let bootargs = choice.bootargs.as_deref();
        let mut settings: Vec<Setting> = Vec::with_capacity(6);
        settings.push((property::STDOUT_PATH, &node::CONSOLE));
        settings.push((property::LINUX_STDOUT_PATH, &node::CONSOLE));
        if self.params.flash.is_some() {
            settings.push((property::SYSTEM_FLASH, &node::FLASH));
        }
        if let Some((start, end)) = &initrd {
            settings.push(("linux,initrd-start", start));
            settings.push(("linux,initrd-end", end));
        }
        if let Some(bootargs) = &bootargs {
            settings.push(("bootargs", bootargs));
        }
        self.known(tree, "chosen", chosen, &settings);
    }

    /// Tools of hosts list versions of all firmware by this node; on hardware what ran before has begun it.
    fn versions(&self, tree: &mut Writer, versions: Option<OutlineNode>) {
        let version: Setting = ("catnap", &self.params.version);
        self.known(tree, name::FIRMWARE_VERSIONS, versions, &[version]);
    }

    /// A node that the machine's tree may have.
    fn known(
        &self,
        tree: &mut Writer,
        name: &str,
        node: Option<OutlineNode>,
        settings: &[Setting],
    ) {
        match node {
            Some(node) => tree.node_like(node, settings, |tree| self.below(tree, node, BUSES)),
            None => tree.node(name, |tree| tree.set_all(settings)),
        }
    }
}

/// The PIR of a core's thread 0; None for what isn't a core.
fn first_server(cpu: OutlineNode) -> Option<u32> {
    let servers = cpu.property(property::INTERRUPT_SERVERS)?;
    servers.first_chunk().copied().map(u32::from_be_bytes)
}

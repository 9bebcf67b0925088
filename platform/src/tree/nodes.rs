//! What the nodes of the tree say, and putting it together.
use super::cells::{address, cell, missing, names, pair, push, value_of, wide_pair};
use super::lpc::{lpc_bus, psi_pcba};
use super::pci::pci_bridge;
use super::secure::secure_boot;
use super::{
    Chip, Core, LpcBus, MAX_CHIPS, MAX_CORES, MAX_PIR, MAX_RAM_REGIONS, MAX_REAL, MAX_THREADS,
    Machine, PciBridge, SecureBoot, TreeError, XSCOM_WINDOW_LEN,
};
use crate::memory::MemoryMap;
use crate::memory::region::Region;
use alloc::string::String;
use alloc::vec::Vec;
use asm::QEMU_UNREACHABLE_PIR;
use dtoolkit::fdt::FdtNode;
use dtoolkit::{Node, Property};

/// An interrupt presentation page.
const ICP_PAGE_LEN: u64 = 0x1000;

/// What the nodes read so far have said.
#[derive(Default)]
pub struct Found<'a> {
    cores: Vec<Core>,
    icps: Vec<IcpRange<'a>>,
    ram: Vec<Region>,
    chips: Vec<Chip>,
    lpc: Option<LpcBus>,
    pci_bridges: Vec<PciBridge>,
    secure_boot: SecureBoot,
    bootargs: String,
    initrd_start: Option<u64>,
    initrd_end: Option<u64>,
    timebase_hz: Option<u32>,
    is_qemu: bool,
}

/// Consecutive interrupt servers and the pages (address, length) they have.
struct IcpRange<'a> {
    first: u32,
    pages: &'a [[u8; 16]],
}

impl<'a> Found<'a> {
    /// The root: whose machine it is, and that addresses and lengths take two cells each.
    pub fn root(&mut self, node: &FdtNode<'a>) -> Result<(), TreeError> {
        for property in node.properties() {
            match property.name() {
                "compatible" => self.is_qemu = property.value().starts_with(b"qemu,"),
                name @ ("#address-cells" | "#size-cells") if cell(&property) != Some(2) => {
                    let property = if name == "#size-cells" {
                        "#size-cells"
                    } else {
                        "#address-cells"
                    };
                    return Err(TreeError::Property {
                        node: "/",
                        property,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub fn cpus(&mut self, node: &FdtNode<'a>) -> Result<(), TreeError> {
        node.children().try_for_each(|child| self.cpu(&child))
    }

    fn cpu(&mut self, node: &FdtNode<'a>) -> Result<(), TreeError> {
        let (mut pir, mut chip, mut timebase_hz) = (None, None, None);
        let mut servers: &[[u8; 4]] = &[];
        let (mut is_cpu, mut is_okay) = (false, true);
        for property in node.properties() {
            match property.name() {
                "device_type" => is_cpu = property.value() == b"cpu\0",
                "status" => is_okay = property.value() == b"okay\0",
                "ibm,pir" => pir = cell(&property),
                "ibm,chip-id" => chip = cell(&property),
                "timebase-frequency" => timebase_hz = cell(&property),
                "ibm,ppc-interrupt-server#s" => servers = value_of(&property).as_chunks().0,
                _ => {}
            }
        }
        if !is_cpu || !is_okay {
            return Ok(());
        }
        let pir = pir.ok_or(missing("cpu", "ibm,pir"))?;
        let chip = chip.ok_or(missing("cpu", "ibm,chip-id"))?;
        let timebase_hz = timebase_hz
            .filter(|&hz| hz > 0)
            .ok_or(missing("cpu", "timebase-frequency"))?;
        if *self.timebase_hz.get_or_insert(timebase_hz) != timebase_hz {
            return Err(TreeError::Timebase);
        }
        let core = core(pir, chip, servers)?;
        push(&mut self.cores, core, MAX_CORES, "cores")
    }

    pub fn chosen(&mut self, node: &FdtNode<'a>) -> Result<(), TreeError> {
        for property in node.properties() {
            match property.name() {
                "bootargs" => {
                    let text = property
                        .value_as::<&str>()
                        .map_err(|_| missing("chosen", "bootargs"))?;
                    self.bootargs = text.into();
                }
                "linux,initrd-start" => self.initrd_start = address(&property),
                "linux,initrd-end" => self.initrd_end = address(&property),
                _ => {}
            }
        }
        Ok(())
    }

    pub fn secure_boot(&mut self, node: &FdtNode<'a>) -> Result<(), TreeError> {
        self.secure_boot = secure_boot(node)?;
        Ok(())
    }

    /// An interrupt presentation controller: ranges of servers, and a page for each server.
    pub fn interrupt_controller(&mut self, node: &FdtNode<'a>) -> Result<(), TreeError> {
        let (mut ranges, mut pages): (&[[u8; 8]], &[[u8; 16]]) = (&[], &[]);
        let mut is_presentation = false;
        for property in node.properties() {
            match property.name() {
                "compatible" => is_presentation = names(&property, b"IBM,ppc-xicp"),
                "ibm,interrupt-server-ranges" => ranges = value_of(&property).as_chunks().0,
                "reg" => pages = value_of(&property).as_chunks().0,
                _ => {}
            }
        }
        if !is_presentation {
            return Ok(());
        }
        for range in ranges {
            let (first, count) = pair(range);
            if first >= MAX_PIR || count > MAX_PIR - first {
                return Err(TreeError::Pir {
                    pir: first,
                    limit: MAX_PIR,
                });
            }
            let (own, rest) = pages
                .split_at_checked(count as usize)
                .ok_or(missing("interrupt-controller", "reg"))?;
            pages = rest;
            push(
                &mut self.icps,
                IcpRange { first, pages: own },
                MAX_CORES,
                "interrupt controllers",
            )?;
        }
        Ok(())
    }

    pub fn memory(&mut self, node: &FdtNode<'a>) -> Result<(), TreeError> {
        let mut is_memory = false;
        let mut ranges: &[[u8; 16]] = &[];
        for property in node.properties() {
            match property.name() {
                "device_type" => is_memory = property.value() == b"memory\0",
                "reg" => ranges = value_of(&property).as_chunks().0,
                _ => {}
            }
        }
        for range in ranges.iter().filter(|_| is_memory) {
            let (start, len) = wide_pair(range);
            if len == 0 {
                continue;
            }
            let region = Region::new(start, len)
                .filter(|region| region.end() <= MAX_REAL)
                .ok_or(TreeError::MemoryRange { start, len })?;
            push(&mut self.ram, region, MAX_RAM_REGIONS, "memory ranges")?;
        }
        Ok(())
    }

    /// A chip's XSCOM, and the LPC bus below it.
    pub fn xscom(&mut self, node: &FdtNode<'a>) -> Result<(), TreeError> {
        let (mut chip, mut base) = (None, None);
        let mut is_xscom = false;
        for property in node.properties() {
            match property.name() {
                "compatible" => is_xscom = names(&property, b"ibm,xscom"),
                "ibm,chip-id" => chip = cell(&property),
                "reg" => {
                    base = value_of(&property)
                        .first_chunk()
                        .map(|range| wide_pair(range).0);
                }
                _ => {}
            }
        }
        if !is_xscom {
            return Ok(());
        }
        let id = chip.ok_or(missing("xscom", "ibm,chip-id"))?;
        let xscom_base = base.ok_or(missing("xscom", "reg"))?;
        let mut has_primary_lpc = false;
        let mut psi = None;
        for child in node.children() {
            match child.name_without_address() {
                "isa" if self.lpc.is_none() => {
                    self.lpc = lpc_bus(&child, xscom_base)?;
                    has_primary_lpc = self.lpc.is_some();
                }
                "psihb" => psi = psi.or(psi_pcba(&child)),
                "pbcq" => {
                    let bridge = pci_bridge(&child, id, xscom_base)?;
                    self.pci_bridges.extend(bridge);
                }
                _ => {}
            }
        }
        if let Some(lpc) = self.lpc.as_mut().filter(|_| has_primary_lpc) {
            lpc.psi_pcba = psi;
        }
        let chip = Chip {
            id,
            xscom_base,
            has_primary_lpc,
        };
        push(&mut self.chips, chip, MAX_CHIPS, "chips")
    }

    /// Checks that what the nodes said holds together.
    pub fn into_machine(mut self) -> Result<Machine, TreeError> {
        self.check_ram()?;
        self.check_chips()?;
        self.check_pci()?;
        self.check_cores()?;
        let unreachable = self.leave_out_unreachable()?;
        let initrd = self.initrd()?;
        Ok(Machine {
            unreachable,
            timebase_hz: self.timebase_hz.ok_or(TreeError::NoCpus)?,
            cores: self.cores,
            ram: self.ram,
            initrd,
            bootargs: self.bootargs,
            chips: self.chips,
            lpc: self.lpc,
            pci_bridges: self.pci_bridges,
            secure_boot: self.secure_boot,
            is_qemu: self.is_qemu,
        })
    }

    fn check_ram(&mut self) -> Result<(), TreeError> {
        self.ram.sort_unstable();
        if self.ram.is_empty() {
            return Err(TreeError::NoMemory);
        }
        match self.ram.windows(2).find(|pair| pair[0].overlaps(&pair[1])) {
            Some(pair) => Err(TreeError::MemoryOverlap(pair[0], pair[1])),
            None => Ok(()),
        }
    }

    fn check_chips(&mut self) -> Result<(), TreeError> {
        self.chips.sort_unstable_by_key(|chip| chip.id);
        if self.chips.is_empty() {
            return Err(TreeError::NoXscom);
        }
        if let Some(pair) = self.chips.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(TreeError::DuplicateChip { chip: pair[0].id });
        }
        for chip in &self.chips {
            let base = chip.xscom_base;
            let is_device = Region::new(base, XSCOM_WINDOW_LEN).is_some_and(|window| {
                base % XSCOM_WINDOW_LEN == 0
                    && window.end() <= MAX_REAL
                    && !self.ram.iter().any(|ram| ram.overlaps(&window))
            });
            if !is_device {
                return Err(TreeError::XscomBase {
                    chip: chip.id,
                    base,
                });
            }
        }
        Ok(())
    }

    /// Each chip has few bridges, since no two have one place.
    fn check_pci(&mut self) -> Result<(), TreeError> {
        self.pci_bridges.sort_unstable();
        let place = |bridge: &PciBridge| (bridge.chip, bridge.index);
        let mut pairs = self.pci_bridges.windows(2);
        match pairs.find(|pair| place(&pair[0]) == place(&pair[1])) {
            Some(pair) => Err(TreeError::DuplicatePci {
                chip: pair[0].chip,
                index: pair[0].index,
            }),
            None => Ok(()),
        }
    }

    fn check_cores(&mut self) -> Result<(), TreeError> {
        self.cores.sort_unstable_by_key(|core| core.pir);
        let mut next_pir = 0;
        for core in &self.cores {
            if core.pir < next_pir {
                return Err(TreeError::DuplicatePir { pir: core.pir });
            }
            next_pir = core.pir + core.threads as u32;
            let (pir, chip) = (core.pir, core.chip);
            if self
                .chips
                .binary_search_by_key(&chip, |chip| chip.id)
                .is_err()
            {
                return Err(TreeError::UnknownChip { pir, chip });
            }
        }
        self.assign_icps()
    }

    /// Drops the cores whose interrupt presentation pages don't answer.
    fn leave_out_unreachable(&mut self) -> Result<Vec<u32>, TreeError> {
        let is_reachable =
            |core: &Core| !self.is_qemu || core.pir + core.threads as u32 <= QEMU_UNREACHABLE_PIR;
        let left_out = self.cores.iter().filter(|core| !is_reachable(core));
        let left_out = left_out.map(|core| core.pir).collect();
        self.cores.retain(is_reachable);
        match self.cores.is_empty() {
            true => Err(TreeError::NoCpus),
            false => Ok(left_out),
        }
    }

    /// Gives each thread the page of its server.
    fn assign_icps(&mut self) -> Result<(), TreeError> {
        self.icps.sort_unstable_by_key(|range| range.first);
        let ends_early = |pair: &&[IcpRange]| {
            pair[0].first as usize + pair[0].pages.len() > pair[1].first as usize
        };
        if let Some(pair) = self.icps.windows(2).find(ends_early) {
            return Err(TreeError::DuplicateIcp {
                server: pair[1].first,
            });
        }
        for core in &mut self.cores {
            for (&server, icp) in core.servers[..core.threads].iter().zip(&mut core.icp) {
                let behind = self.icps.partition_point(|range| range.first <= server);
                let (page, len) = self.icps[..behind]
                    .last()
                    .and_then(|range| range.pages.get((server - range.first) as usize))
                    .map(wide_pair)
                    .ok_or(TreeError::NoIcp { server })?;
                let is_device = Region::new(page, len).is_some_and(|page| {
                    page.end() <= MAX_REAL && !self.ram.iter().any(|ram| ram.overlaps(&page))
                });
                if !is_device || len < ICP_PAGE_LEN || page % ICP_PAGE_LEN != 0 {
                    return Err(TreeError::NoIcp { server });
                }
                *icp = page;
            }
        }
        Ok(())
    }

    fn initrd(&self) -> Result<Option<Region>, TreeError> {
        let (start, end) = match (self.initrd_start, self.initrd_end) {
            (Some(start), Some(end)) => (start, end),
            (None, None) => return Ok(None),
            (None, _) => return Err(missing("chosen", "linux,initrd-start")),
            (_, None) => return Err(missing("chosen", "linux,initrd-end")),
        };
        let initrd =
            Region::between(start, end).filter(|initrd| MemoryMap::new(&self.ram).is_ram(initrd));
        match initrd {
            Some(initrd) => Ok(Some(initrd)),
            None => Err(TreeError::Initrd { start, end }),
        }
    }
}

/// A core from its node, its own claims checked.
fn core(pir: u32, chip: u32, servers: &[[u8; 4]]) -> Result<Core, TreeError> {
    let threads = servers.len();
    if !matches!(threads, 1 | 2 | 4 | 8) {
        return Err(TreeError::ThreadCount { pir, threads });
    }
    if pir >= MAX_PIR || !(pir as usize).is_multiple_of(threads) {
        return Err(TreeError::Pir {
            pir,
            limit: MAX_PIR,
        });
    }
    let mut core = Core {
        pir,
        chip,
        threads,
        servers: [0; MAX_THREADS],
        icp: [0; MAX_THREADS],
    };
    for ((server, given), pir) in core.servers.iter_mut().zip(servers).zip(pir..) {
        *server = u32::from_be_bytes(*given);
        if *server != pir {
            return Err(TreeError::Server {
                pir,
                server: *server,
            });
        }
    }
    Ok(core)
}

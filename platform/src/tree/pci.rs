//! PCI host bridges.
use super::cells::{cell, missing, names, value_of};
use super::lpc::MAX_PCBA;
use super::{MAX_CHIPS, MAX_PCI_BRIDGES, PciBridge, TreeError};
use dtoolkit::fdt::FdtNode;
use dtoolkit::{Node, Property};

/// The host bridge of a chip that a node stands for, if it is one.
pub fn pci_bridge(
    node: &FdtNode,
    chip: u32,
    xscom_base: u64,
) -> Result<Option<PciBridge>, TreeError> {
    let (mut is_bridge, mut index, mut reg) = (false, None, None);
    for property in node.properties() {
        match property.name() {
            "compatible" => is_bridge = names(&property, b"ibm,power8-pbcq"),
            "ibm,phb-index" => index = cell(&property),
            "reg" => reg = value_of(&property).first_chunk().copied(),
            _ => {}
        }
    }
    if !is_bridge {
        return Ok(None);
    }
    // Interrupts and calls have numbers that are made of the two.
    if chip >= MAX_CHIPS as u32 {
        return Err(missing("xscom", "ibm,chip-id"));
    }
    Ok(Some(PciBridge {
        chip,
        index: index
            .filter(|&index| index < MAX_PCI_BRIDGES)
            .ok_or(missing("pbcq", "ibm,phb-index"))?,
        xscom_base,
        nest_pcba: reg
            .map(u32::from_be_bytes)
            .filter(|&pcba| pcba < MAX_PCBA)
            .ok_or(missing("pbcq", "reg"))?,
    }))
}

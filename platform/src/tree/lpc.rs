//! The LPC bus and what is on it.
use super::cells::{cell, missing, names, value_of};
use super::{LpcBus, TreeError, UartPort};
use dtoolkit::fdt::FdtNode;
use dtoolkit::{Node, Property};

/// Baud rate of a UART whose node doesn't say.
const DEFAULT_BAUD: u32 = 115_200;
/// First cell of a `reg` on the bus: an I/O port.
const IO_SPACE: u32 = 1;

/// The bus below an XSCOM, if it is the machine's own and not just another chip's.
pub fn lpc_bus(node: &FdtNode, xscom_base: u64) -> Result<Option<LpcBus>, TreeError> {
    let (mut is_lpc, mut is_primary, mut pcba) = (false, false, None);
    for property in node.properties() {
        match property.name() {
            "compatible" => is_lpc = names(&property, b"ibm,power8-lpc"),
            "primary" => is_primary = true,
            "reg" => pcba = value_of(&property).first_chunk().copied(),
            _ => {}
        }
    }
    if !is_lpc || !is_primary {
        return Ok(None);
    }
    let mut bus = LpcBus {
        xscom_base,
        // The bridge's registers lie in the window, and so must their last one.
        pcba: pcba
            .map(u32::from_be_bytes)
            .filter(|&pcba| pcba < MAX_PCBA)
            .ok_or(missing("isa", "reg"))?,
        uart: None,
        bt_port: None,
        rtc_port: None,
        psi_pcba: None,
    };
    for device in node.children() {
        add_device(&mut bus, &device);
    }
    Ok(Some(bus))
}

/// XSCOM addresses below this lie in a chip's window, with those of a device's further registers.
pub const MAX_PCBA: u32 = 0x7fff_ff00;

/// The bridge to the interrupts of the processor's service interface, LPC's among them.
pub fn psi_pcba(node: &FdtNode) -> Option<u32> {
    let (mut is_psi, mut pcba) = (false, None);
    for property in node.properties() {
        match property.name() {
            "compatible" => is_psi = names(&property, b"ibm,power8-psihb-x"),
            "reg" => pcba = value_of(&property).first_chunk().copied(),
            _ => {}
        }
    }
    let pcba = pcba.map(u32::from_be_bytes);
    pcba.filter(|&pcba| is_psi && pcba < MAX_PCBA)
}

fn add_device(bus: &mut LpcBus, node: &FdtNode) {
    let (mut is_uart, mut is_bt, mut is_rtc) = (false, false, false);
    let (mut port, mut baud) = (None, DEFAULT_BAUD);
    for property in node.properties() {
        match property.name() {
            "compatible" => {
                is_uart = names(&property, b"ns16550");
                is_bt = names(&property, b"ipmi-bt");
                is_rtc = names(&property, b"pnpPNP,b00");
            }
            "reg" => port = value_of(&property).first_chunk().and_then(io_port),
            "current-speed" => baud = cell(&property).unwrap_or(baud),
            _ => {}
        }
    }
    match port {
        Some(first_port) if is_uart && bus.uart.is_none() => {
            bus.uart = Some(UartPort { first_port, baud });
        }
        Some(port) if is_bt && bus.bt_port.is_none() => bus.bt_port = Some(port),
        Some(port) if is_rtc && bus.rtc_port.is_none() => bus.rtc_port = Some(port),
        _ => {}
    }
}

/// The first port of a `reg`, if it is one with seven more behind it.
fn io_port(reg: &[u8; 8]) -> Option<u16> {
    let (space, port) = super::cells::pair(reg);
    let port = u16::try_from(port).ok()?;
    (space == IO_SPACE && port.checked_add(7).is_some()).then_some(port)
}

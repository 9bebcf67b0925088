//! The machine's PCI host bridges: switched on while booting, with what is plugged in behind them.
pub mod calls;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use log::warn;
use platform::chip::pci::{Function, Phb3, pbcq, scan};
use platform::memory::region::Region;
use platform::tree::{Machine, PciBridge, XSCOM_WINDOW_LEN};
use spin::Once;

/// A bridge that is on.
pub struct Plugged {
    pub phb: Phb3,
    pub functions: Vec<Function>,
}

/// In order of their numbers.
static BRIDGES: Once<Vec<Plugged>> = Once::new();

/// Switches all bridges on and finds their devices. One that can't be used costs a line on the log.
pub fn init(machine: &Machine) -> &'static [Plugged] {
    BRIDGES.call_once(|| {
        let nodes = machine.pci_bridges.iter();
        let started = nodes.filter_map(|node| match start(machine, node) {
            Ok(plugged) => Some(plugged),
            Err(why) => {
                let PciBridge { chip, index, .. } = node;
                warn!("pci: bridge {index} of chip {chip} stays off: {why}");
                None
            }
        });
        started.collect()
    })
}

fn start(machine: &Machine, node: &PciBridge) -> Result<Plugged, String> {
    let is_taken = |region: &Region| {
        let mut chips = machine.chips.iter();
        machine.ram.iter().any(|ram| ram.overlaps(region))
            || chips.any(|chip| {
                Region::new(chip.xscom_base, XSCOM_WINDOW_LEN)
                    .is_some_and(|window| window.overlaps(region))
            })
    };
    // SAFETY: the node is what the machine's tree says.
    let bridge = unsafe { pbcq::switch_on(node, machine.is_qemu, is_taken) };
    let bridge = bridge.map_err(|why| why.to_string())?;
    // SAFETY: the registers are mapped there, since the bridge is on.
    let phb = unsafe { Phb3::start(bridge) }.map_err(|why| why.to_string())?;
    let functions = scan::scan(&phb, bridge.id() as u16);
    phb.note_functions(&functions);
    Ok(Plugged { phb, functions })
}

/// All that are on.
pub fn all() -> &'static [Plugged] {
    BRIDGES.get().map_or(&[], |bridges| &bridges[..])
}

/// The bridge with a number.
#[inline]
pub fn find(id: u64) -> Option<&'static Phb3> {
    let mut bridges = all().iter().map(|plugged| &plugged.phb);
    bridges.find(|phb| u64::from(phb.bridge.id()) == id)
}

//! A chip's registers and the LPC bus, for tools of a running host: getscom and putscom, and drivers of Linux
//! that reach I/O ports.
use super::answer::{Answer, DONE};
use super::host_memory::store;
use crate::machine;
use asm::{ibm, spr};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use platform::chip::xscom::Xscom;
use platform::lpc::{FIRMWARE_SPACE_BYTES, Lpc, LpcError, MEMORY_SPACE_BYTES, bus};
use platform::tree::Machine;
use skiboot_compat::pci::{LPC_FIRMWARE, LPC_IO, LPC_MEMORY};
use skiboot_compat::status::Status;

/// HMER: an access to a chip's register has failed; has ended.
const FAILED: u64 = ibm(8);
const ENDED: u64 = ibm(9);
/// XSCOM addresses that a chip's window has.
const XSCOM_LIMIT: u64 = 1 << 31;
/// Registers of the firmware's own devices, from their address on: LPC's bridge, PSI, a PCI host bridge.
const LPC_REGISTERS: u64 = 4;
const PSI_REGISTERS: u64 = 0x20;
const PCI_REGISTERS: u64 = 0x46;
/// I/O ports of the LPC bus.
const PORTS: u64 = 0x1_0000;

/// OPAL_XSCOM_READ: chip, XSCOM address, address of the value (8 bytes). HARDWARE: there is no such register.
pub fn xscom_read(chip: u64, pcba: u64, value_at: u64) -> Answer {
    let (xscom, pcba) = register(chip, pcba)?;
    let value = access(|| xscom.read(pcba))?;
    store(value_at, value.to_be_bytes())?;
    DONE
}

/// OPAL_XSCOM_WRITE: chip, XSCOM address, value. What the firmware needs the host may take from it.
pub fn xscom_write(chip: u64, pcba: u64, value: u64) -> Answer {
    let (xscom, register) = register(chip, pcba)?;
    if is_ours(machine()?, pcba) {
        static SAID: AtomicBool = AtomicBool::new(false);
        if !SAID.swap(true, Relaxed) {
            log::warn!("the host writes to a device of the firmware: {pcba:#x} = {value:#x}");
        }
    }
    access(|| xscom.write(register, value))?;
    DONE
}

fn machine() -> Result<&'static Machine, Status> {
    machine::machine().ok_or(Status::Unsupported)
}

fn register(chip: u64, pcba: u64) -> Result<(Xscom, u32), Status> {
    let mut chips = machine()?.chips.iter();
    let chip = chips.find(|it| u64::from(it.id) == chip);
    let chip = chip.ok_or(Status::Parameter)?;
    if pcba >= XSCOM_LIMIT {
        return Err(Status::Parameter);
    }
    // SAFETY: the window is as the machine's tree says.
    Ok((unsafe { Xscom::new(chip.xscom_base) }, pcba as u32))
}

/// The thread's HMER tells how an access ended.
fn access<T>(access: impl FnOnce() -> T) -> Result<T, Status> {
    // SAFETY: writing clears what is 0 in the value: what an earlier access left.
    unsafe { spr::write::<{ spr::HMER }>(!(FAILED | ENDED)) };
    let value = access();
    match spr::read::<{ spr::HMER }>() & FAILED {
        0 => Ok(value),
        _ => Err(Status::Hardware),
    }
}

fn is_ours(machine: &Machine, pcba: u64) -> bool {
    let is_in = |first: u32, count| pcba.wrapping_sub(u64::from(first)) < count;
    let lpc = machine.lpc.as_ref();
    lpc.is_some_and(|lpc| is_in(lpc.pcba, LPC_REGISTERS))
        || lpc
            .and_then(|lpc| lpc.psi_pcba)
            .is_some_and(|psi| is_in(psi, PSI_REGISTERS))
        || machine
            .pci_bridges
            .iter()
            .any(|bridge| is_in(bridge.nest_pcba, PCI_REGISTERS))
}

/// A space of the LPC bus.
#[derive(Clone, Copy)]
enum Space {
    Memory,
    Ports,
    Firmware,
}

impl Space {
    fn named(kind: u64) -> Option<Self> {
        match kind {
            LPC_MEMORY => Some(Self::Memory),
            LPC_IO => Some(Self::Ports),
            LPC_FIRMWARE => Some(Self::Firmware),
            _ => None,
        }
    }

    const fn len_bytes(self) -> u64 {
        match self {
            Self::Memory => MEMORY_SPACE_BYTES,
            Self::Ports => PORTS,
            Self::Firmware => FIRMWARE_SPACE_BYTES,
        }
    }

    fn read(self, lpc: &Lpc, address: u64) -> Result<u8, LpcError> {
        match self {
            Self::Memory => lpc.read_memory(address),
            Self::Ports => lpc.read_io(address as u16),
            Self::Firmware => {
                lpc.open_firmware_space()?;
                let word = lpc.read_firmware(address & !3)?;
                Ok(word[(address & 3) as usize])
            }
        }
    }

    fn write(self, lpc: &Lpc, address: u64, byte: u8) -> Result<(), LpcError> {
        match self {
            Self::Memory => lpc.write_memory(address, byte),
            Self::Ports => lpc.write_io(address as u16, byte),
            Self::Firmware => {
                lpc.open_firmware_space()?;
                lpc.write_firmware_byte(address, byte)
            }
        }
    }
}

/// OPAL_LPC_READ: chip, kind of space, address, address of the value (4 bytes), length (1, 2, 4). The first
/// byte is the value's most significant one.
pub fn lpc_read(chip: u64, kind: u64, first: u64, value_at: u64, len: u64) -> Answer {
    let (space, addresses) = addresses(chip, kind, first, len)?;
    store(value_at, [0; 4])?;
    let bus = bus::lock();
    let lpc = bus.lpc.as_ref().ok_or(Status::Unsupported)?;
    let mut value = 0_u32;
    for address in addresses {
        value = value << 8 | u32::from(space.read(lpc, address).map_err(status)?);
    }
    store(value_at, value.to_be_bytes())?;
    DONE
}

/// OPAL_LPC_WRITE: chip, kind of space, address, value, length.
pub fn lpc_write(chip: u64, kind: u64, first: u64, value: u64, len: u64) -> Answer {
    let (space, addresses) = addresses(chip, kind, first, len)?;
    let bytes = (value as u32).to_be_bytes();
    let bus = bus::lock();
    let lpc: &Lpc = bus.lpc.as_ref().ok_or(Status::Unsupported)?;
    for (address, byte) in addresses.zip(&bytes[4 - len as usize..]) {
        space.write(lpc, address, *byte).map_err(status)?;
    }
    DONE
}

fn status(_: LpcError) -> Status {
    Status::Hardware
}

fn addresses(chip: u64, kind: u64, first: u64, len: u64) -> Result<(Space, Range<u64>), Status> {
    let has_bus = |it: &&platform::tree::Chip| u64::from(it.id) == chip && it.has_primary_lpc;
    machine()?
        .chips
        .iter()
        .find(has_bus)
        .ok_or(Status::Parameter)?;
    let space = Space::named(kind).ok_or(Status::Parameter)?;
    match len {
        1 | 2 | 4 if first <= space.len_bytes() - len => Ok((space, first..first + len)),
        _ => Err(Status::Parameter),
    }
}

/// OPAL_RESYNC_TIMEBASE: nothing; no sleep that hosts are offered stops a core's time base.
pub fn resync_timebase() -> Answer {
    DONE
}

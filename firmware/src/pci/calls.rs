//! What PCI calls do with a bridge. Arguments are the host's, as they come in registers: whatever is wrong
//! with them is found before anything changes.
use platform::chip::pci::bridge::PES;
use platform::chip::pci::phb3::{Msi, PciError, Phb3, Rids, TceWindow, Width};
use platform::memory::region::Region;
use skiboot_compat::pci;
use skiboot_compat::status::Status;

/// What a call answers.
type Answer<T = ()> = Result<T, Status>;

/// A call's refusal, as the status that tells of it.
fn status(error: PciError) -> Status {
    match error {
        PciError::Argument => Status::Parameter,
        PciError::Unsupported => Status::Unsupported,
        PciError::Partial => Status::Partial,
        PciError::Hardware => Status::Hardware,
        PciError::NoMemory => Status::NoMem,
    }
}

fn checked<T: TryFrom<u64>>(argument: u64) -> Answer<T> {
    T::try_from(argument).map_err(|_| Status::Parameter)
}

fn is_on(argument: u64) -> Answer<bool> {
    match argument {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Status::Parameter),
    }
}

const _: () = assert!(PES == 256, "a PE's number is a byte");

/// Reads configuration space.
#[inline(always)]
pub fn read_config(phb: &Phb3, rid: u64, offset: u64, width: Width) -> Answer<u32> {
    let (rid, offset) = (checked(rid)?, checked(offset)?);
    phb.read_config(rid, offset, width).map_err(status)
}

/// Writes it; what the value has above the width doesn't count.
#[inline]
pub fn write_config(phb: &Phb3, rid: u64, offset: u64, width: Width, value: u64) -> Answer {
    let (rid, offset) = (checked(rid)?, checked(offset)?);
    phb.write_config(rid, offset, width, value as u32)
        .map_err(status)
}

/// What SET_PE is told of requester ids.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    pub rid: u64,
    pub bus: u64,
    pub device: u64,
    pub function: u64,
}

/// Gives a PE to the requester ids that agree with one, or takes it from them.
pub fn set_pe(phb: &Phb3, pe: u64, compared: Compared, action: u64) -> Answer {
    let bus = match compared.bus {
        pci::BUS_ANY => 0,
        bits @ pci::BUS_3_BITS..=pci::BUS_ALL => 0xff ^ 0xff_u16 >> (bits + 1),
        _ => return Err(Status::Parameter),
    };
    let device = if is_on(compared.device)? { 0xf8 } else { 0 };
    let function = if is_on(compared.function)? { 7 } else { 0 };
    let rids = Rids {
        rid: checked(compared.rid)?,
        mask: bus << 8 | device | function,
    };
    phb.set_pe(checked(pe)?, rids, is_on(action)?);
    Ok(())
}

/// Freezes a PE with another, or doesn't any more.
pub fn set_peltv(phb: &Phb3, parent: u64, child: u64, action: u64) -> Answer {
    phb.set_child(checked(parent)?, checked(child)?, is_on(action)?);
    Ok(())
}

/// Sets a window for 64-bit addresses. The PCI address is the same, whatever is passed.
pub fn set_window(phb: &Phb3, kind: u64, window: u64, address: u64, pci: u64, len: u64) -> Answer {
    if !is_m64(kind)? {
        return Err(Status::Unsupported);
    }
    if pci != 0 && pci != address {
        return Err(Status::Parameter);
    }
    let region = Region::new(address, len).ok_or(Status::Parameter)?;
    phb.set_m64(window, region).map_err(status)
}

/// Switches one on, cut into a segment for each PE or all of it for one, or off.
pub fn enable_window(phb: &Phb3, kind: u64, window: u64, enable: u64) -> Answer {
    if !is_m64(kind)? {
        return Err(Status::Unsupported);
    }
    let switched = match enable {
        pci::M64_DISABLE => phb.disable_m64(window),
        pci::M64_ENABLE_SPLIT => phb.enable_m64(window, false),
        pci::M64_ENABLE_NON_SPLIT => phb.enable_m64(window, true),
        _ => return Err(Status::Parameter),
    };
    switched.map_err(status)
}

fn is_m64(kind: u64) -> Answer<bool> {
    match kind {
        pci::WINDOW_M64 => Ok(true),
        pci::WINDOW_M32 | pci::WINDOW_IO => Ok(false),
        _ => Err(Status::Parameter),
    }
}

/// Gives a segment of the window for 32-bit addresses a PE, or all of a window for 64-bit addresses.
pub fn map_mmio(phb: &Phb3, pe: u64, kind: u64, window: u64, segment: u64) -> Answer {
    let pe = checked(pe)?;
    match kind {
        pci::WINDOW_M32 if window == 0 => phb.map_m32(pe, segment).map_err(status),
        pci::WINDOW_M32 => Err(Status::Parameter),
        // Where such a window has segments, each has the PE of its number.
        _ if is_m64(kind)? && segment == 0 => phb.give_m64(window, pe).map_err(status),
        pci::WINDOW_M64 => Err(Status::Parameter),
        _ => Err(Status::Unsupported),
    }
}

/// What MAP_PE_DMA_WINDOW is told of tables.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    pub levels: u64,
    pub address: u64,
    /// Bytes of a table; 0: the window is closed.
    pub level_bytes: u64,
    pub page_bytes: u64,
}

/// Opens a DMA window by tables, or closes it. `host_ram`: the real address of the host's memory.
pub fn map_dma(
    phb: &Phb3,
    pe: u64,
    window: u64,
    tables: Tables,
    host_ram: impl Fn(u64, u64) -> Option<u64>,
) -> Answer {
    let pe = checked(pe)?;
    if tables.level_bytes == 0 {
        return phb.map_dma(pe, window, None).map_err(status);
    }
    let table = host_ram(tables.address, tables.level_bytes).ok_or(Status::Parameter)?;
    let tce = TceWindow {
        table,
        level_bytes: tables.level_bytes,
        levels: tables.levels,
        page_bytes: tables.page_bytes,
    };
    phb.map_dma(pe, window, Some(&tce)).map_err(status)
}

/// Opens a DMA window onto memory as it is, or closes it.
pub fn map_dma_real(phb: &Phb3, pe: u64, window: u64, start: u64, len: u64) -> Answer {
    phb.map_dma_real(checked(pe)?, window, start, len)
        .map_err(status)
}

/// Which PE's devices may send an MSI.
pub fn set_msi_pe(phb: &Phb3, pe: u64, msi: u64) -> Answer {
    phb.set_msi_pe(checked(msi)?, checked(pe)?).map_err(status)
}

/// What a device has to write for an MSI: one, by its number. Which MVE is meant doesn't matter: this
/// bridge has none.
pub fn msi(phb: &Phb3, msi: u64, count: u64, is_32_bit: bool) -> Answer<Msi> {
    match count {
        1 => phb.msi(checked(msi)?, is_32_bit).map_err(status),
        _ => Err(Status::Parameter),
    }
}

/// The end of an MSI, named by its number within the bridge or by the global one.
#[inline]
pub fn end_msi(phb: &Phb3, msi: u64) -> Answer {
    let source = match phb.bridge.source(msi) {
        Some(source) => source,
        None => checked(msi)?,
    };
    phb.end_msi(source).map_err(status)
}

/// Resets what the scope says, or ends that.
pub fn reset(phb: &Phb3, scope: u64, state: u64) -> Answer {
    let begins = is_on(state)?;
    match scope {
        pci::RESET_TABLES if begins => phb.clear_tables(),
        pci::RESET_TABLES => {}
        pci::RESET_COMPLETE | pci::RESET_HOT | pci::RESET_FUNDAMENTAL => phb.reset_bus(begins),
        // No error is ever pending.
        pci::RESET_ERROR => {}
        pci::RESET_LINK => return Err(Status::Unsupported),
        _ => return Err(Status::Parameter),
    }
    Ok(())
}

/// What of a PE is frozen.
#[inline]
pub fn frozen(phb: &Phb3, pe: u64) -> Answer<u8> {
    Ok(phb.frozen(checked(pe)?))
}

/// Declares parts of a PE frozen, or not any more.
pub fn set_frozen(phb: &Phb3, pe: u64, parts: u64, is_frozen: bool) -> Answer {
    let pe = checked(pe)?;
    match checked(parts)? {
        parts @ pci::FREEZE_MMIO..=pci::FREEZE_ALL => phb.set_frozen(pe, parts, is_frozen),
        _ => return Err(Status::Parameter),
    }
    Ok(())
}

/// Injects an error: this bridge is never told to.
pub fn inject(pe: u64, kind: u64, function: u64) -> Answer {
    checked::<u8>(pe)?;
    match kind <= pci::LAST_ERROR_KIND && function <= pci::LAST_ERROR_FUNCTION {
        true => Err(Status::Unsupported),
        false => Err(Status::Parameter),
    }
}

#[cfg(test)]
mod tests;

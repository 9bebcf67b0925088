//! PCI calls. The first argument of each is the number of a host bridge.
//!
//! What the arguments say is checked in [`crate::pci::calls`]; here answers go to the host's memory.
use super::answer::{Answer, DONE};
use super::host_memory::{slice, store};
use crate::pci::calls::{self, Compared, Tables};
use crate::pci::find;
use crate::smt::check;
use platform::chip::pci::phb3::{Phb3, Width};
use skiboot_compat::pci;
use skiboot_compat::status::Status;

#[inline]
fn bridge(id: u64) -> Result<&'static Phb3, Status> {
    find(id).ok_or(Status::Parameter)
}

/// OPAL_PCI_CONFIG_READ_BYTE: bridge, requester id, offset, address of the value.
pub fn read_byte(id: u64, rid: u64, offset: u64, at: u64) -> Answer {
    let value = calls::read_config(bridge(id)?, rid, offset, Width::Byte)?;
    store(at, [value as u8])?;
    DONE
}

/// OPAL_PCI_CONFIG_READ_HALF_WORD: as above, two bytes.
pub fn read_half(id: u64, rid: u64, offset: u64, at: u64) -> Answer {
    let value = calls::read_config(bridge(id)?, rid, offset, Width::Half)?;
    store(at, (value as u16).to_be_bytes())?;
    DONE
}

/// OPAL_PCI_CONFIG_READ_WORD: as above, four bytes.
pub fn read_word(id: u64, rid: u64, offset: u64, at: u64) -> Answer {
    let value = calls::read_config(bridge(id)?, rid, offset, Width::Word)?;
    store(at, value.to_be_bytes())?;
    DONE
}

/// OPAL_PCI_CONFIG_WRITE_BYTE: bridge, requester id, offset, value.
pub fn write_byte(id: u64, rid: u64, offset: u64, value: u64) -> Answer {
    calls::write_config(bridge(id)?, rid, offset, Width::Byte, value)?;
    DONE
}

/// OPAL_PCI_CONFIG_WRITE_HALF_WORD: as above, two bytes.
pub fn write_half(id: u64, rid: u64, offset: u64, value: u64) -> Answer {
    calls::write_config(bridge(id)?, rid, offset, Width::Half, value)?;
    DONE
}

/// OPAL_PCI_CONFIG_WRITE_WORD: as above, four bytes.
pub fn write_word(id: u64, rid: u64, offset: u64, value: u64) -> Answer {
    calls::write_config(bridge(id)?, rid, offset, Width::Word, value)?;
    DONE
}

/// OPAL_PCI_SET_PE: bridge, PE, requester id, how bus, device and function are compared, map or unmap.
pub fn set_pe(
    id: u64,
    pe: u64,
    rid: u64,
    bus: u64,
    device: u64,
    function: u64,
    action: u64,
) -> Answer {
    let compared = Compared {
        rid,
        bus,
        device,
        function,
    };
    calls::set_pe(bridge(id)?, pe, compared, action)?;
    DONE
}

/// OPAL_PCI_SET_PELTV: bridge, parent, child, add or remove.
pub fn set_peltv(id: u64, parent: u64, child: u64, action: u64) -> Answer {
    calls::set_peltv(bridge(id)?, parent, child, action)?;
    DONE
}

/// OPAL_PCI_SET_PHB_MEM_WINDOW: bridge, kind, window, address, PCI address, length.
pub fn set_window(id: u64, kind: u64, window: u64, address: u64, pci: u64, len: u64) -> Answer {
    calls::set_window(bridge(id)?, kind, window, address, pci, len)?;
    DONE
}

/// OPAL_PCI_PHB_MMIO_ENABLE: bridge, kind, window, how.
pub fn enable_window(id: u64, kind: u64, window: u64, how: u64) -> Answer {
    calls::enable_window(bridge(id)?, kind, window, how)?;
    DONE
}

/// OPAL_PCI_MAP_PE_MMIO_WINDOW: bridge, PE, kind, window, segment.
pub fn map_mmio(id: u64, pe: u64, kind: u64, window: u64, segment: u64) -> Answer {
    calls::map_mmio(bridge(id)?, pe, kind, window, segment)?;
    DONE
}

/// OPAL_PCI_MAP_PE_DMA_WINDOW: bridge, PE, window, levels, table, its length, page size.
pub fn map_dma(
    id: u64,
    pe: u64,
    window: u64,
    levels: u64,
    address: u64,
    level_bytes: u64,
    page_bytes: u64,
) -> Answer {
    let tables = Tables {
        levels,
        address,
        level_bytes,
        page_bytes,
    };
    let host_ram = |address, len_bytes| check::host_ram(address, len_bytes, 1);
    calls::map_dma(bridge(id)?, pe, window, tables, host_ram)?;
    DONE
}

/// OPAL_PCI_MAP_PE_DMA_WINDOW_REAL: bridge, PE, window, first address, length.
pub fn map_dma_real(id: u64, pe: u64, window: u64, start: u64, len: u64) -> Answer {
    calls::map_dma_real(bridge(id)?, pe, window, start, len)?;
    DONE
}

/// OPAL_PCI_SET_XIVE_PE: bridge, PE, MSI.
pub fn set_xive_pe(id: u64, pe: u64, msi: u64) -> Answer {
    calls::set_msi_pe(bridge(id)?, pe, msi)?;
    DONE
}

/// OPAL_GET_MSI_32: bridge, MVE, MSI, how many, addresses of address and data (four bytes each).
pub fn get_msi_32(id: u64, _mve: u64, msi: u64, count: u64, address: u64, data: u64) -> Answer {
    let msi = calls::msi(bridge(id)?, msi, count, true)?;
    store_both(
        (address, (msi.address as u32).to_be_bytes()),
        (data, msi.data.to_be_bytes()),
    )
}

/// OPAL_GET_MSI_64: as above, with an address of eight bytes.
pub fn get_msi_64(id: u64, _mve: u64, msi: u64, count: u64, address: u64, data: u64) -> Answer {
    let msi = calls::msi(bridge(id)?, msi, count, false)?;
    store_both(
        (address, msi.address.to_be_bytes()),
        (data, msi.data.to_be_bytes()),
    )
}

/// Both, or neither.
fn store_both<const A: usize, const B: usize>(a: (u64, [u8; A]), b: (u64, [u8; B])) -> Answer {
    slice(b.0, B as u64)?;
    store(a.0, a.1)?;
    store(b.0, b.1)?;
    DONE
}

/// OPAL_PCI_MSI_EOI: bridge, interrupt.
pub fn end_msi(id: u64, msi: u64) -> Answer {
    calls::end_msi(bridge(id)?, msi)?;
    DONE
}

/// OPAL_PCI_RESET: bridge, what, begin or end. Slots have no numbers here.
pub fn reset(id: u64, scope: u64, state: u64) -> Answer {
    calls::reset(bridge(id)?, scope, state)?;
    DONE
}

/// OPAL_PCI_POLL: bridge. A reset is over when PCI_RESET is.
pub fn poll(id: u64) -> Answer {
    bridge(id)?;
    DONE
}

/// OPAL_PCI_EEH_FREEZE_STATUS: bridge, PE, addresses of what is frozen (a byte) and of a kind of error (two
/// bytes), which may be 0, and of one more that nobody reads.
pub fn freeze_status(id: u64, pe: u64, frozen_at: u64, error_at: u64, _status_at: u64) -> Answer {
    let frozen = calls::frozen(bridge(id)?, pe)?;
    if error_at != 0 {
        slice(error_at, 2)?;
    }
    if frozen_at != 0 {
        store(frozen_at, [frozen])?;
    }
    if error_at != 0 {
        store(error_at, pci::NO_ERROR.to_be_bytes())?;
    }
    DONE
}

/// OPAL_PCI_EEH_FREEZE_CLEAR: bridge, PE, what.
pub fn freeze_clear(id: u64, pe: u64, parts: u64) -> Answer {
    calls::set_frozen(bridge(id)?, pe, parts, false)?;
    DONE
}

/// OPAL_PCI_EEH_FREEZE_SET: bridge, PE, what.
pub fn freeze_set(id: u64, pe: u64, parts: u64) -> Answer {
    calls::set_frozen(bridge(id)?, pe, parts, true)?;
    DONE
}

/// OPAL_PCI_NEXT_ERROR: bridge, addresses of a PE (eight bytes), of what happened and of how bad it is (two
/// each). Nothing ever has: this bridge isn't asked.
pub fn next_error(id: u64, pe_at: u64, error_at: u64, severity_at: u64) -> Answer {
    bridge(id)?;
    slice(error_at, 2)?;
    slice(severity_at, 2)?;
    store(pe_at, pci::NO_PE.to_be_bytes())?;
    store(error_at, pci::NO_ERROR.to_be_bytes())?;
    store(severity_at, pci::NO_SEVERITY.to_be_bytes())?;
    DONE
}

/// OPAL_PCI_GET_PHB_DIAG_DATA2: bridge, buffer, its length. All registers that tell of errors are 0.
pub fn diag_data(id: u64, buffer: u64, len_bytes: u64) -> Answer {
    bridge(id)?;
    if len_bytes < pci::DIAG_LEN as u64 {
        return Err(Status::Parameter);
    }
    let buffer = slice(buffer, pci::DIAG_LEN as u64)?;
    buffer.fill(0);
    let words = [pci::DIAG_VERSION, pci::DIAG_PHB3, pci::DIAG_LEN as u32];
    for (place, word) in buffer.as_chunks_mut().0.iter_mut().zip(words) {
        *place = word.to_be_bytes();
    }
    DONE
}

/// OPAL_PCI_ERR_INJECT: bridge, PE, kind of error, access, address, mask.
pub fn inject(id: u64, pe: u64, kind: u64, function: u64, _address: u64, _mask: u64) -> Answer {
    bridge(id)?;
    calls::inject(pe, kind, function)?;
    DONE
}

//! Arguments and answers of PCI calls (OPAL API "opal-pci-…").

/// What of a PE is frozen, as FREEZE_STATUS answers it and FREEZE_SET and FREEZE_CLEAR take it.
pub const FREEZE_MMIO: u8 = 1;
pub const FREEZE_DMA: u8 = 2;
pub const FREEZE_ALL: u8 = 3;

/// Kinds of windows.
pub const WINDOW_M32: u64 = 1;
pub const WINDOW_M64: u64 = 2;
pub const WINDOW_IO: u64 = 3;

/// PHB_MMIO_ENABLE: off; on, with a segment for each PE; on, for one PE.
pub const M64_DISABLE: u64 = 0;
pub const M64_ENABLE_SPLIT: u64 = 1;
pub const M64_ENABLE_NON_SPLIT: u64 = 2;

/// SET_PE: what of a requester id is compared. Of the bus nothing, all, or (2 to 6) one bit more than the
/// number from the top.
pub const BUS_ANY: u64 = 0;
pub const BUS_3_BITS: u64 = 2;
pub const BUS_7_BITS: u64 = 6;
pub const BUS_ALL: u64 = 7;
/// Of the device and the function nothing, or all.
pub const COMPARE_DEVICE: u64 = 1;
pub const COMPARE_FUNCTION: u64 = 1;
pub const UNMAP_PE: u64 = 0;
pub const MAP_PE: u64 = 1;

/// SET_PELTV.
pub const REMOVE_PE: u64 = 0;
pub const ADD_PE: u64 = 1;

/// PCI_RESET: what.
pub const RESET_COMPLETE: u64 = 1;
pub const RESET_LINK: u64 = 2;
pub const RESET_ERROR: u64 = 3;
pub const RESET_HOT: u64 = 4;
pub const RESET_FUNDAMENTAL: u64 = 5;
pub const RESET_TABLES: u64 = 6;
/// And whether it begins or ends.
pub const RESET_END: u64 = 0;
pub const RESET_BEGIN: u64 = 1;

/// NEXT_ERROR: there is none.
pub const NO_ERROR: u16 = 0;
pub const NO_SEVERITY: u16 = 0;
pub const NO_PE: u64 = u64::MAX;

/// ERR_INJECT: the last kind of error, and the last access that it happens at.
pub const LAST_ERROR_KIND: u64 = 1;
pub const LAST_ERROR_FUNCTION: u64 = 19;

/// GET_PHB_DIAG_DATA2: what describes the data, and how long it is.
pub const DIAG_VERSION: u32 = 1;
pub const DIAG_PHB3: u32 = 2;
pub const DIAG_LEN: usize = 0x1128;

/// LPC_READ, LPC_WRITE: address spaces.
pub const LPC_MEMORY: u64 = 0;
pub const LPC_IO: u64 = 1;
pub const LPC_FIRMWARE: u64 = 2;

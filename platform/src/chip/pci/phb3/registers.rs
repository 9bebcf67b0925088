//! A bridge's registers, and the tables on the chip that they lead to.
use crate::memory::{mmio, real};
use asm::{ibm, ibm_field};

/// Registers, by offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Register {
    LsiSourceId = 0x100,
    ConfigData = 0x130,
    ConfigAddress = 0x140,
    IvtBar = 0x150,
    RbaBar = 0x158,
    Config = 0x160,
    RttBar = 0x168,
    PeltvBar = 0x188,
    M32Base = 0x190,
    M32Mask = 0x198,
    M32Start = 0x1a0,
    PestBar = 0x1a8,
    M64UpperBits = 0x1f0,
    RtcInvalidate = 0x208,
    TceKill = 0x210,
    IodaAddress = 0x220,
    IodaData = 0x228,
    FfiRequest = 0x238,
    FfiLock = 0x240,
    IvcInvalidate = 0x2a0,
    IvcUpdate = 0x2a8,
    Version = 0x800,
    Control = 0x810,
}

/// A table's BAR is in force.
pub const BAR_ENABLE: u64 = ibm(0);
/// [`Register::LsiSourceId`]: the LSIs are the top eight sources, as in the PBCQ.
pub const LSI_TOP: u64 = ibm_field(5, 12);
/// [`Register::Config`]: MSIs of both widths, and the window for 32-bit addresses.
pub const CONFIG: u64 = ibm(8) | ibm(14) | ibm(16);
/// Invalidate or kill registers: all entries.
pub const ALL: u64 = ibm(0);
/// [`Register::FfiRequest`]: where a source's number is.
pub const FFI_SOURCE_SHIFT: u32 = 4;

/// [`Register::IvcUpdate`]: what of a cached entry changes, and the new values.
pub mod ivc {
    use super::ibm;

    pub const P: u64 = ibm(0);
    pub const Q: u64 = ibm(1);
    pub const SERVER: u64 = ibm(2);
    pub const PRIORITY: u64 = ibm(3);
    pub const GEN: u64 = ibm(4);
    /// The generation that the entry must have.
    pub const MATCH_SHIFT: u32 = 56;
    pub const SERVER_SHIFT: u32 = 40;
    pub const PRIORITY_SHIFT: u32 = 32;
    pub const GEN_SHIFT: u32 = 30;
    /// [`super::Register::IvcInvalidate`]: the entry's number.
    pub const INVALIDATE_SHIFT: u32 = 32;
}

/// Tables on the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Table {
    /// Whom LSIs interrupt.
    Lxivt = 2,
    /// DMA windows: two of each PE.
    Tvt = 9,
    /// Windows for 64-bit addresses.
    M64bt = 16,
    /// PEs of the segments of the window for 32-bit addresses.
    M32dt = 17,
}

const TABLE_SHIFT: u32 = 48;
/// The index goes up with each access.
const AUTO_INCREMENT: u64 = ibm(0);

impl Table {
    pub const fn len(self) -> u64 {
        match self {
            Self::Lxivt => 8,
            Self::Tvt => 512,
            Self::M64bt => 16,
            Self::M32dt => 256,
        }
    }
}

/// A bridge's registers.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    base: u64,
}

impl Registers {
    /// # Safety
    /// `base` is the real address of a bridge's registers, which are mapped.
    pub const unsafe fn new(base: u64) -> Self {
        Self { base }
    }

    #[inline(always)]
    fn at(self, offset: u64) -> *mut u8 {
        real::ptr(self.base + offset)
    }

    #[inline]
    pub fn read(self, register: Register) -> u64 {
        // SAFETY: a register of the bridge, by `new`.
        unsafe { mmio::read64(self.at(register as u64)) }
    }

    #[inline]
    pub fn write(self, register: Register, value: u64) {
        // SAFETY: a register of the bridge, by `new`; tables that it is told of are the driver's own, for as
        // long as the machine runs.
        unsafe { mmio::write64(self.at(register as u64), value) }
    }

    /// Reads the configuration space that [`Register::ConfigAddress`] points to: `1 << log2_len` bytes.
    #[inline(always)]
    pub fn read_config(self, byte: u16, log2_len: u32) -> u32 {
        let at = self.at(Register::ConfigData as u64 + u64::from(byte & 3));
        // SAFETY: the four bytes of the data register, aligned by the caller's checks; `read` may have been
        // an access to the same bridge, so the order is kept.
        unsafe {
            match log2_len {
                0 => u32::from(mmio::next_read8(at)),
                1 => u32::from(mmio::next_read16(at).swap_bytes()),
                _ => mmio::next_read32(at).swap_bytes(),
            }
        }
    }

    /// Writes there.
    #[inline]
    pub fn write_config(self, byte: u16, log2_len: u32, value: u32) {
        let at = self.at(Register::ConfigData as u64 + u64::from(byte & 3));
        // SAFETY: as above. What a device does is limited by the tables of its bridge.
        unsafe {
            match log2_len {
                0 => mmio::next_write8(at, value as u8),
                1 => mmio::next_write16(at, (value as u16).swap_bytes()),
                _ => mmio::next_write32(at, value.swap_bytes()),
            }
        }
    }

    /// Writes an entry of a table. The caller holds the bridge's lock.
    #[inline]
    pub fn set_entry(self, table: Table, index: u64, value: u64) {
        self.write(Register::IodaAddress, (table as u64) << TABLE_SHIFT | index);
        self.write(Register::IodaData, value);
    }

    /// Reads one, likewise.
    #[inline]
    pub fn entry(self, table: Table, index: u64) -> u64 {
        self.write(Register::IodaAddress, (table as u64) << TABLE_SHIFT | index);
        self.read(Register::IodaData)
    }

    /// Gives all entries of a table one value, likewise.
    pub fn fill(self, table: Table, value: u64) {
        let first = (table as u64) << TABLE_SHIFT;
        self.write(Register::IodaAddress, AUTO_INCREMENT | first);
        for _ in 0..table.len() {
            self.write(Register::IodaData, value);
        }
    }
}

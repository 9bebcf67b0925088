//! A bridge's tables in memory: it reads them by itself.
use crate::chip::pci::bridge::{FIRST_LSI, PES, RESERVED_PE, SOURCES};
use crate::memory::real;
use alloc::alloc::alloc_zeroed;
use core::alloc::Layout;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Requester ids: bus, device, function.
pub const RIDS: usize = 1 << 16;
/// Words of a PE's row in PELT-V: a bit for each PE.
const PELTV_WORDS: usize = PES / 64;
/// Four PEs of 16 bits make a word of the RTT.
const RTT_WORDS: usize = RIDS / 4;
const RTT_RESERVED: u64 = RESERVED_PE as u64 * 0x0001_0001_0001_0001;

/// An entry of the IVT: whom an MSI interrupts, and whether it is pending. Big-endian. Bridge and firmware
/// write it a part at a time.
#[repr(C)]
pub struct Ive {
    /// Server times four in the upper 24 bits, priority.
    pub route: AtomicU32,
    /// The lowest bit is P (it has been sent, and not ended), above it the generation.
    pub p: AtomicU8,
    /// The lowest bit is Q (it came again meanwhile).
    pub q: AtomicU8,
    /// The PE whose devices may send it.
    pub pe: AtomicU16,
    unused: AtomicU64,
}

const _: () = assert!(size_of::<Ive>() == 16);
const _: () = assert!(core::mem::offset_of!(Ive, p) == 4 && core::mem::offset_of!(Ive, pe) == 6);

/// Priority of an interrupt that is off.
const MASKED: u32 = 0xff;

/// All zero until [`Tables::clear`].
#[derive(Clone, Copy)]
pub struct Tables {
    /// PEs by requester id.
    rtt: &'static [AtomicU64; RTT_WORDS],
    ivt: &'static [Ive; SOURCES as usize],
    /// PEs that are frozen with a PE.
    peltv: &'static [AtomicU64; PES * PELTV_WORDS],
    /// What the bridge notes of frozen PEs.
    pest: &'static [AtomicU64; PES * 2],
}

impl Tables {
    /// Takes memory for tables, for good. `None`: there isn't that much.
    pub fn create() -> Option<Self> {
        // SAFETY: all of them are made of atomic integers, which may be zero.
        unsafe {
            Some(Self {
                rtt: zeroed()?,
                ivt: zeroed()?,
                peltv: zeroed()?,
                pest: zeroed()?,
            })
        }
    }

    pub fn rtt_address(&self) -> u64 {
        real::address(self.rtt)
    }

    pub fn ivt_address(&self) -> u64 {
        real::address(self.ivt)
    }

    pub fn peltv_address(&self) -> u64 {
        real::address(self.peltv)
    }

    pub fn pest_address(&self) -> u64 {
        real::address(self.pest)
    }

    /// No device has a PE, no MSI goes anywhere, no PE is frozen with another.
    pub fn clear(&self) {
        fill(self.rtt, RTT_RESERVED);
        fill(self.peltv, 0);
        fill(self.pest, 0);
        for ive in self.ivt {
            ive.route.store(MASKED.to_be(), Relaxed);
            ive.p.store(0, Relaxed);
            ive.q.store(0, Relaxed);
            ive.pe.store(0, Relaxed);
        }
    }

    /// The entry of an MSI; `None`: the source is none.
    #[inline]
    pub fn ive(&self, source: u32) -> Option<&'static Ive> {
        match source < FIRST_LSI {
            true => self.ivt.get(source as usize),
            false => None,
        }
    }

    /// The PE of a requester id.
    pub fn pe(&self, rid: u16) -> u16 {
        let word = u64::from_be(self.rtt[usize::from(rid) / 4].load(Relaxed));
        (word >> shift(rid)) as u16
    }

    /// Gives a requester id a PE. The caller holds the bridge's lock.
    pub fn set_pe(&self, rid: u16, pe: u8) {
        let entry = &self.rtt[usize::from(rid) / 4];
        let word = u64::from_be(entry.load(Relaxed));
        let word = word & !(0xffff << shift(rid)) | u64::from(pe) << shift(rid);
        entry.store(word.to_be(), Relaxed);
    }

    /// Gives all requester ids of a bus a PE, likewise.
    pub fn set_bus_pe(&self, bus: u8, pe: u8) {
        const WORDS: usize = 256 / 4;
        let first = usize::from(bus) * WORDS;
        let pes = u64::from(pe) * 0x0001_0001_0001_0001;
        fill(&self.rtt[first..first + WORDS], pes);
    }

    /// Whether `child` is frozen with `parent`. The caller holds the bridge's lock.
    pub fn set_child(&self, parent: u8, child: u8, is_child: bool) {
        let word = usize::from(parent) * PELTV_WORDS + usize::from(child) / 64;
        let bit = (1_u64 << (63 - child % 64)).to_be();
        let row = self.peltv[word].load(Relaxed);
        let row = if is_child { row | bit } else { row & !bit };
        self.peltv[word].store(row, Relaxed);
    }

    #[cfg(test)]
    pub fn is_child(&self, parent: u8, child: u8) -> bool {
        let word = usize::from(parent) * PELTV_WORDS + usize::from(child) / 64;
        let row = u64::from_be(self.peltv[word].load(Relaxed));
        row << (child % 64) >> 63 == 1
    }
}

const fn shift(rid: u16) -> u32 {
    48 - (rid % 4) as u32 * 16
}

fn fill(words: &[AtomicU64], value: u64) {
    let value = value.to_be();
    words.iter().for_each(|word| word.store(value, Relaxed));
}

/// Memory aligned to its size, as the bridge wants.
///
/// # Safety
/// A `T` may be all zero.
unsafe fn zeroed<T>() -> Option<&'static T> {
    let layout =
        Layout::from_size_align(size_of::<T>(), size_of::<T>().next_power_of_two()).ok()?;
    // SAFETY: the layout isn't empty; the memory is nobody else's, zero, and never given back.
    unsafe { alloc_zeroed(layout).cast::<T>().as_ref() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_to_their_size() {
        let tables = Tables::create().unwrap();
        assert_eq!(tables.rtt_address() % 0x2_0000, 0);
        assert_eq!(tables.ivt_address() % 0x8000, 0);
        assert_eq!(tables.peltv_address() % 0x2000, 0);
        assert_eq!(tables.pest_address() % 0x1000, 0);
    }

    #[test]
    fn ids_have_pes() {
        let tables = Tables::create().unwrap();
        tables.clear();
        assert!((0..=u16::MAX).all(|rid| tables.pe(rid) == 255));
        tables.set_pe(0x0101, 7);
        tables.set_bus_pe(2, 9);
        let pes = [0x100, 0x101, 0x102, 0x1ff, 0x200, 0x2ff, 0x300].map(|rid| tables.pe(rid));
        assert_eq!(pes, [255, 7, 255, 255, 9, 9, 255]);
        // As the bridge reads it: two bytes for each id.
        let bytes = real::ptr(tables.rtt_address()).cast::<[u8; 2]>();
        // SAFETY: within the table.
        assert_eq!(unsafe { bytes.add(0x101).read() }, [0, 7]);
    }

    #[test]
    fn children_are_bits() {
        let tables = Tables::create().unwrap();
        tables.set_child(3, 65, true);
        assert!(tables.is_child(3, 65) && !tables.is_child(3, 64) && !tables.is_child(65, 3));
        let byte = real::ptr(tables.peltv_address() + 3 * 32 + 65 / 8);
        // SAFETY: within the table.
        assert_eq!(unsafe { byte.read() }, 0x80 >> 1);
        tables.set_child(3, 65, false);
        assert!(!tables.is_child(3, 65));
    }

    #[test]
    fn lsis_have_no_entry() {
        let tables = Tables::create().unwrap();
        tables.clear();
        let last = tables.ive(FIRST_LSI - 1).unwrap();
        assert_eq!(u32::from_be(last.route.load(Relaxed)), 0xff);
        assert!(tables.ive(FIRST_LSI).is_none());
    }
}

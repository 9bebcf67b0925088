//! Statistics of all vcores and cores in one block of memory, named `smt_stats` in the tree's
//! `ibm,opal/firmware/exports`: what SMT_STATS and vcpu pages tell, for who has no handles.
//!
//! The firmware brings it up to date while hosts ask for events (OPAL_POLL_EVENTS), ten times a second at
//! most. The block is a [`Header`], then a [`Vcore`] for each that there can be, then a [`Core`] for each
//! that there is. All is big-endian.
use crate::MAX_THREADS;
use crate::stats::VcoreStats;
use zerocopy::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// "CATSTATS".
pub const MAGIC: u64 = u64::from_be_bytes(*b"CATSTATS");
/// Of this layout.
pub const VERSION: u32 = 1;

/// How the block begins (64 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    pub magic: U64,
    pub version: U32,
    pub header_bytes: U32,
    /// Places for vcores.
    pub vcores: U32,
    pub vcore_bytes: U32,
    pub cores: U32,
    pub core_bytes: U32,
    pub tb_hz: U64,
    /// How often it was brought up to date, twice; odd while that is going on.
    pub updates: U64,
    /// Time base when it last was.
    pub updated_tb: U64,
    pub reserved: U64,
}

/// A vcore (616 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Vcore {
    /// 0: the place is free, and the rest means nothing.
    pub handle: U64,
    pub lpid: U32,
    /// Its slots.
    pub width: U32,
    /// Id of the vcpu in slot 0.
    pub first_id: U64,
    pub stats: VcoreStats,
    /// By slot.
    pub vcpus: [Vcpu; MAX_THREADS],
}

/// A vcpu: what its page's firmware line counts.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Vcpu {
    /// 1: there is one in the slot.
    pub present: U32,
    /// Its last [`crate::ExitReason`].
    pub reason: U32,
    pub entries: U64,
    pub in_guest_tb: U64,
    pub ceded_tb: U64,
    pub served: U64,
    pub yields: U64,
}

/// A core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Core {
    pub pir: U32,
    /// A [`crate::run::CoreState`].
    pub state: U32,
    /// Wake-ups of its secondaries that nobody had asked for.
    pub spurious: U64,
}

const _: () = assert!(size_of::<Header>() == 64 && size_of::<Core>() == 16);
const _: () = assert!(size_of::<Vcpu>() == 48 && size_of::<Vcore>() == 24 + 192 + 8 * 48);

/// A block, to be read.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    pub header: Header,
    pub vcores: &'a [Vcore],
    pub cores: &'a [Core],
}

impl<'a> Table<'a> {
    /// `None`: the bytes are no block of this version, or cut short.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = Header::read_from_prefix(bytes).ok()?;
        let sizes = [header.header_bytes, header.vcore_bytes, header.core_bytes];
        let own = [size_of::<Header>(), size_of::<Vcore>(), size_of::<Core>()];
        if header.magic.get() != MAGIC
            || header.version.get() != VERSION
            || sizes.map(|size| size.get() as usize) != own
        {
            return None;
        }
        let (vcores, cores) = (header.vcores.get() as usize, header.cores.get() as usize);
        let (vcores, rest) = <[Vcore]>::ref_from_prefix_with_elems(rest, vcores).ok()?;
        let (cores, _) = <[Core]>::ref_from_prefix_with_elems(rest, cores).ok()?;
        Some(Self {
            header,
            vcores,
            cores,
        })
    }

    /// Those that there are.
    pub fn present(&self) -> impl Iterator<Item = &'a Vcore> {
        self.vcores.iter().filter(|vcore| vcore.handle.get() != 0)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;
    use zerocopy::FromZeros;

    fn block(vcores: u32, cores: u32) -> Vec<u8> {
        let mut header = Header::new_zeroed();
        header.magic.set(MAGIC);
        header.version.set(VERSION);
        header.header_bytes.set(size_of::<Header>() as u32);
        header.vcores.set(vcores);
        header.vcore_bytes.set(size_of::<Vcore>() as u32);
        header.cores.set(cores);
        header.core_bytes.set(size_of::<Core>() as u32);
        let mut bytes = header.as_bytes().to_vec();
        for handle in 0..vcores {
            let mut vcore = Vcore::new_zeroed();
            vcore.handle.set(handle.into());
            bytes.extend(vcore.as_bytes());
        }
        for core in 0..cores {
            let mut own = Core::new_zeroed();
            own.pir.set(core * 8);
            bytes.extend(own.as_bytes());
        }
        bytes
    }

    #[test]
    fn vcores_and_cores_are_found() {
        let bytes = block(3, 2);
        let table = Table::read(&bytes).unwrap();
        let handles: Vec<u64> = table.present().map(|vcore| vcore.handle.get()).collect();
        assert_eq!(handles, [1, 2]);
        let pirs: Vec<u32> = table.cores.iter().map(|core| core.pir.get()).collect();
        assert_eq!(pirs, [0, 8]);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let bytes = block(2, 1);
        for len in 0..bytes.len() {
            assert!(Table::read(&bytes[..len]).is_none(), "{len}");
        }
        for place in 0..32 {
            let mut wrong = bytes.clone();
            wrong[place] ^= 0x80;
            assert!(Table::read(&wrong).is_none(), "{place}");
        }
    }
}

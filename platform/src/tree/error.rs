//! Why a tree is refused.
use crate::memory::region::Region;
use dtoolkit::error::FdtParseError;
use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TreeError {
    #[error("no device tree: magic number {0:#010x}")]
    Magic(u32),
    #[error("a device tree of {0} bytes")]
    Size(u32),
    #[error("device tree: {0}")]
    Structure(FdtParseError),
    #[error("device tree: nodes more than {limit} deep")]
    Depth { limit: u32 },
    #[error("device tree: node {node} has no usable {property}")]
    Property {
        node: &'static str,
        property: &'static str,
    },
    #[error("device tree: no cpus")]
    NoCpus,
    #[error("device tree: more than {limit} {what}")]
    TooMany { what: &'static str, limit: usize },
    #[error("device tree: core with PIR {pir:#x} has {threads} threads")]
    ThreadCount { pir: u32, threads: usize },
    #[error("device tree: PIR {pir:#x} is past {limit:#x} or not at its core's first thread")]
    Pir { pir: u32, limit: u32 },
    #[error("device tree: two cores have PIR {pir:#x}")]
    DuplicatePir { pir: u32 },
    #[error("device tree: thread with PIR {pir:#x} is interrupt server {server:#x}")]
    Server { pir: u32, server: u32 },
    #[error("device tree: no interrupt presentation page for server {server:#x}")]
    NoIcp { server: u32 },
    #[error("device tree: two interrupt presentation pages for server {server:#x}")]
    DuplicateIcp { server: u32 },
    #[error("device tree: cores differ in timebase-frequency")]
    Timebase,
    #[error("device tree: no memory")]
    NoMemory,
    #[error("device tree: memory of {len:#x} bytes at {start:#x} wraps or is out of reach")]
    MemoryRange { start: u64, len: u64 },
    #[error("device tree: memory at {0} and at {1} overlap")]
    MemoryOverlap(Region, Region),
    #[error("device tree: no XSCOM")]
    NoXscom,
    #[error("device tree: XSCOM of chip {chip:#x} at {base:#x} is not a device")]
    XscomBase { chip: u32, base: u64 },
    #[error("device tree: two chips have id {chip:#x}")]
    DuplicateChip { chip: u32 },
    #[error("device tree: chip {chip:#x} has two PCI host bridges {index}")]
    DuplicatePci { chip: u32, index: u32 },
    #[error("device tree: core with PIR {pir:#x} is on chip {chip:#x}, which has no XSCOM")]
    UnknownChip { pir: u32, chip: u32 },
    #[error("device tree: initrd from {start:#x} to {end:#x} is not in RAM")]
    Initrd { start: u64, end: u64 },
}

//! A guest's hashed page table, as the hardware reads it (Power ISA 2.07 Book III-S 5.7.7), and the
//! hypercalls by which the guest changes it. It knows doublewords in memory, and no register but TLBs.
//!
//! Guest, host and firmware share the table. Its doublewords are big-endian, and change under whoever
//! reads them.

pub mod access;
pub mod entry;
pub mod memory;
pub mod segment;
pub mod service;
mod shadow;
mod size;
pub mod table;

pub use memory::Map;
pub use segment::Sought;
pub use service::Guest;
pub use shadow::Shadow;
pub use table::Table;

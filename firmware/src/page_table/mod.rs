//! A guest's hashed page table, as the hardware reads it (Power ISA 2.07 Book III-S 5.7.7). Pure: it
//! knows doublewords in memory, and no register.
//!
//! Guest, host and firmware share the table. Its doublewords are big-endian, and change under whoever
//! reads them.

pub mod entry;
pub mod segment;
pub mod table;

pub use segment::Sought;
pub use table::{Found, Table};

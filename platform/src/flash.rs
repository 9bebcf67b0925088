//! A POWER8's flash: its partition table, its error-correcting code, and the containers that signed
//! partitions begin with. Nothing here touches the machine.

pub mod container;
pub mod data;
pub mod device;
pub mod ecc;
pub mod hiomap;
pub mod image;
pub mod store;
pub mod table;

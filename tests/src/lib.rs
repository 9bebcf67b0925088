//! What tests of the whole machine are made of: images to boot, QEMU, its console, its debugger.
//!
//! The trials themselves are in `machine/`, one table of them in `machine/main.rs`.
pub mod behaviours;
pub mod console;
pub mod constants;
pub mod elf;
pub mod gdb;
pub mod headers;
pub mod images;
pub mod qemu;
pub mod table;

//! What `cargo xtask` does, in parts that `tests` can use as well.
pub mod apt;
pub mod bench;
pub mod beside;
pub mod c_header;
pub mod claims;
pub mod console;
pub mod cpio;
pub mod cross;
pub mod debian;
pub mod debug;
pub mod deny;
pub mod flat;
pub mod gdb;
pub mod image;
pub mod linux;
pub mod mutants;
pub mod pnor;
pub mod process;
pub mod project;
pub mod qemu;
pub mod rules;
pub mod run;
pub mod setup;
pub mod soak;
pub mod socket;
pub mod stats;
pub mod symbols;
pub mod test;
pub mod told;
pub mod toolchain;
pub mod trace;

#[cfg(test)]
mod rooms_tests;

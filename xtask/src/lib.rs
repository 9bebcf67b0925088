//! What `cargo xtask` does, in parts that `tests` can use as well.
pub mod c_header;
pub mod claims;
pub mod console;
pub mod cpio;
pub mod cross;
pub mod debian;
pub mod debug;
pub mod deny;
pub mod dist;
pub mod flat;
pub mod gdb;
pub mod guest;
pub mod hex;
pub mod image;
pub mod kvm_module;
pub mod linux;
pub mod mutants;
pub mod pnor;
pub mod process;
pub mod project;
pub mod qemu;
pub mod run;
pub mod setup;
pub mod soak;
pub mod socket;
pub mod symbols;
pub mod test;

#[cfg(test)]
mod rooms_tests;

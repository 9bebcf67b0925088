//! What `cargo xtask` does, in parts that `tests` can use as well.
pub mod apt;
pub mod claims;
pub mod console;
pub mod cpio;
pub mod cross;
pub mod debug;
pub mod deny;
pub mod flat;
pub mod image;
pub mod process;
pub mod project;
pub mod qemu;
pub mod run;
pub mod setup;
pub mod symbols;
pub mod test;
pub mod toolchain;

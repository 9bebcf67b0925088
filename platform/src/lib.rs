#![no_std]

extern crate alloc;

pub mod console;
pub mod lock;
pub mod log_ring;
pub mod logger;
pub mod lpc;
pub mod memory;
pub mod mmio;
pub mod real;
pub mod region;
pub mod tree;
pub mod uart;
pub mod xics;
pub mod xscom;

#[cfg(target_arch = "powerpc64")]
pub mod guest;

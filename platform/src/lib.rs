#![no_std]

pub mod mmio;
pub mod real;
pub mod xics;

#[cfg(target_arch = "powerpc64")]
pub mod guest;

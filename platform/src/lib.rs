#![no_std]

pub mod mmio;
pub mod real;

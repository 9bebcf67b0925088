#![no_std]

extern crate alloc;

pub mod chip;
pub mod cpu;
pub mod flash;
pub mod log;
pub mod lpc;
pub mod memory;
pub mod payload;
pub mod tree;

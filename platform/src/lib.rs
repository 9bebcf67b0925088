#![no_std]

extern crate alloc;

pub mod bmc;
pub mod bt;
pub mod console;
pub mod decrementer;
pub mod dts;
pub mod hmi;
pub mod lock;
pub mod log_ring;
pub mod logger;
pub mod lpc;
pub mod memory;
pub mod mmio;
pub mod nvram;
pub mod payload;
pub mod psi;
pub mod real;
pub mod region;
pub mod rtc;
pub mod tree;
pub mod uart;
pub mod xics;
pub mod xscom;
pub mod zero;

pub mod guest;
pub mod space;
pub mod thread;
pub mod world;

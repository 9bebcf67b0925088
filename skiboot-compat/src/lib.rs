//! What a host of OPAL firmware relies on: calls, status codes, the memory console, and the names
//! in the device tree. Facts of the interface alone, no code of any firmware.
//!
//! Sections named are those of the OPAL API documentation.
#![no_std]
#![forbid(unsafe_code)]

pub mod calls;
pub mod console;
pub mod cpu;
pub mod dump;
pub mod entry;
pub mod hmi;
pub mod ipmi;
pub mod memcons;
pub mod message;
pub mod pci;
pub mod rtc;
pub mod status;
pub mod tree;

pub use calls::{Call, Token};
pub use status::Status;

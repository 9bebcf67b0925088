//! What runs above catnap: the example that a host's authors read, and the images of the tests.
//!
//! The bins `host` and `testhost` are operating systems that call the firmware; they use
//! [`host_runtime`]. The bins `guest-…` run in partitions, big-endian or little-endian; they use
//! [`guest_runtime`]. The bins `linux-…` are programs for Linux on catnap, and use nothing. All else
//! here is plain data handling that runs anywhere.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod behaviour;
pub mod boot_args;
pub mod cpio;
pub mod guest_calls;
pub mod guest_image;
pub mod guest_runtime;
pub mod hex;
pub mod host_runtime;
pub mod machine;
pub mod placement;
pub mod ram;
pub mod random;
pub mod share;
pub mod table;

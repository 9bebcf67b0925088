//! catnap: resident firmware for POWER8 that holds each core's secondary threads in nap and runs
//! SMT guests on them for the host.
//!
//! [`boot`] goes from reset to the host; [`opal`] takes the host's calls; [`smt`] runs vcores, by
//! the protocol of [`vcore`]. On the build host what needs no devices is compiled,
//! above `asm`'s simulated machine.
#![no_std]

extern crate alloc;

pub mod args;
pub mod call_faults;
pub mod host_tree;
pub mod page_table;
pub mod pci;
pub mod smt;
pub mod trace;

#[cfg(target_arch = "powerpc64")]
pub mod boot;
#[cfg(target_arch = "powerpc64")]
pub mod end;
#[cfg(target_arch = "powerpc64")]
pub mod entries;
#[cfg(target_arch = "powerpc64")]
pub mod epitaph;
#[cfg(target_arch = "powerpc64")]
pub mod flash;
#[cfg(target_arch = "powerpc64")]
mod flash_boot;
#[cfg(target_arch = "powerpc64")]
pub mod heap;
#[cfg(target_arch = "powerpc64")]
pub mod layout;
#[cfg(target_arch = "powerpc64")]
pub mod machine;
#[cfg(target_arch = "powerpc64")]
pub mod nvram;
#[cfg(target_arch = "powerpc64")]
pub mod opal;
#[cfg(target_arch = "powerpc64")]
mod secure;
#[cfg(target_arch = "powerpc64")]
mod settings;
#[cfg(target_arch = "powerpc64")]
mod symbol_map;

//! PCI: the host bridges of POWER8 chips (PHB3), and what is plugged in behind them.
//!
//! [`pbcq`] switches a bridge on, [`phb3`] drives it, [`scan`] finds the devices.
pub mod bridge;
pub mod pbcq;
pub mod phb3;
pub mod scan;

pub use bridge::HostBridge;
pub use phb3::Phb3;
pub use scan::Function;

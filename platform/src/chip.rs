//! What each chip has beside its cores.
pub mod dts;
pub mod interrupts;
pub mod pci;
pub mod psi;
pub mod xscom;

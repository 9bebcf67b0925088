//! The protocol of a vcore: who may enter, who must leave, and how nobody is forgotten.
//!
//! Pure Rust without hardware: two words, each changed by compare-and-swap. [`Roster`] says what
//! the host wants of each vcpu (a *slot* of the vcore), [`Entry`] what each hardware thread (a
//! *ptid* of the core) does in the present run. The same source runs on the machine, in tests and
//! under loom.
#![no_std]

mod bits;
pub mod entry;
pub mod roster;
mod seating;
pub mod start;
#[cfg(all(test, not(loom)))]
mod states;
pub mod sync;
#[cfg(all(test, loom))]
mod weak;
mod word;

pub use bits::{Mask, Slots};
pub use entry::Entry;
pub use roster::Roster;
pub use seating::Seating;
pub use sync::full_barrier;

/// Tells one run of a vcore from the next, in both words; wraps around.
pub type Generation = u16;
/// Bits of a [`Generation`].
pub const GENERATION_BITS: u32 = 15;

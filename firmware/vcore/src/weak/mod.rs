//! The protocol under the weak memory model: loom tries every order in which a few threads can
//! take their steps, and every value that a load may find there (`--cfg loom`).
//!
//! [`machine`] stands for what the protocol acts on: pages, presenters, the hypervisor decrementer.
//! [`seat`] is a hardware thread's part and [`host`] a host core's, step by step as the modules of
//! the same purpose in `smt` have it; words, letters and steps with barriers are the firmware's
//! own. [`scenarios`] are explored and must hold; each [`flaw`] must be caught.

extern crate std;

mod explore;
mod flaw;
mod host;
mod machine;
mod scenarios;
mod seat;

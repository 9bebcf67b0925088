//! Every state that a vcore, its cores and the hosts around it can get into.
//!
//! [`state`] is one such state; [`thread`] and [`host`] say which steps lead on from it, a step
//! being one operation on [`super::Roster`] or [`super::Entry`], which are the firmware's own, or
//! one act on what stands around them. [`invariants`] must hold in each; [`search`] visits all and
//! shows that nobody waits for ever. [`flaw`] breaks the protocol where that must be noticed.

mod canon;
mod flaw;
mod host;
mod invariants;
mod name;
mod runner;
mod search;
mod state;
mod tests;
mod thread;

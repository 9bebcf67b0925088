//! Vcores for hosts: what a call may do, who runs where, and how a thread carries it out.
//!
//! A call comes in through [`calls`], which checks every argument ([`check`]); its objects live in
//! [`objects`], and what is kept of each core in [`cores`]. VCORE_RUN goes on in [`run`], CORE_CLAIM in
//! [`core_claim`]. The protocol between the threads is [`vcore`].

pub mod calls;
pub mod check;
pub mod core_claim;
pub mod cores;
pub mod host_threads;
pub mod memory_calls;
pub mod objects;
pub mod run;
pub mod vcore_table;

#[cfg(any(test, fuzzing))]
pub mod fake_machine;

#[cfg(test)]
mod query_tests;
#[cfg(test)]
mod sim_tests;

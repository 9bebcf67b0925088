//! Vcores for hosts: what a call may do, who runs where, and how a thread carries it out.
//!
//! A call comes in through [`calls`], which checks every argument; its objects live in [`objects`].
//! VCORE_RUN goes on in [`run`] (the runner's part), each thread's part is [`seat`] until it is in
//! its guest and [`leave`] from there, and what a guest asks for without leaving is in
//! [`hypercall`]. The protocol between them is [`crate::vcore`].

pub mod calls;
pub mod check;
pub mod cores;
pub mod fates;
pub mod objects;

#[cfg(any(test, fuzzing))]
pub mod machine_tests;

pub mod claim;
pub mod exported;
pub mod hosts;
pub mod hypercall;
pub mod inject;
pub mod kicked;
pub mod leave;
pub mod run;
pub mod running;
pub mod seat;
pub mod shared;
pub mod struck;

#[cfg(test)]
mod sim_tests;

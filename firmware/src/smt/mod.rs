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

#[cfg(target_arch = "powerpc64")]
pub mod claim;
#[cfg(target_arch = "powerpc64")]
pub mod exported;
#[cfg(target_arch = "powerpc64")]
pub mod hosts;
#[cfg(target_arch = "powerpc64")]
pub mod hypercall;
#[cfg(target_arch = "powerpc64")]
pub mod inject;
#[cfg(target_arch = "powerpc64")]
pub mod kicked;
#[cfg(target_arch = "powerpc64")]
pub mod leave;
#[cfg(target_arch = "powerpc64")]
pub mod run;
#[cfg(target_arch = "powerpc64")]
pub mod running;
#[cfg(target_arch = "powerpc64")]
pub mod seat;
#[cfg(target_arch = "powerpc64")]
pub mod shared;
#[cfg(target_arch = "powerpc64")]
pub mod struck;

//! What KVM and a program share of a vcpu: why it came out, and a hypercall's registers (Linux's struct kvm_run).
#![allow(dead_code, reason = "each program needs some of it")]

use super::machine;
use super::system::{Errno, File};

/// KVM's request for how many bytes that are (Linux's include/uapi/linux/kvm.h, in POWER's numbers).
const GET_RUN_BYTES: u64 = 0x2000_ae04;
/// What a run ends for (KVM_EXIT_DEBUG and KVM_EXIT_PAPR_HCALL).
pub const EXIT_DEBUG: u32 = 4;
pub const EXIT_HYPERCALL: u32 = 19;
/// No hypercall of PAPR's, so that it gets to the program.
pub const NUMBER: u64 = 0x3fc;
const INTERRUPTED: u64 = 4;

/// As far as it's used.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Told {
    request: u64,
    pub exit_reason: u32,
    unused: [u32; 5],
    /// Of a hypercall, with its answer and r4 to r12 behind it; after a breakpoint, where that is.
    pub number: u64,
    answer: u64,
    pub args: [u64; 9],
}

#[derive(Clone, Copy)]
pub struct Shared(*mut Told);

impl Shared {
    pub fn of(kvm: File, vcpu: File) -> Result<Self, Errno> {
        let len_bytes = kvm.request(GET_RUN_BYTES, 0)?;
        Ok(Self(vcpu.memory(len_bytes)?.cast()))
    }

    /// Since the vcpu came out last.
    pub fn told(self) -> Told {
        // SAFETY: memory that stays; this program's only thread isn't in the vcpu, so that KVM doesn't write it.
        unsafe { self.0.read_volatile() }
    }

    /// What the hypercall that is under way answers.
    pub fn answer(self, answer: u64) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.0).answer).write_volatile(answer) }
    }

    /// What it leaves in r4 and on.
    pub fn set_args(self, args: [u64; 9]) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.0).args).write_volatile(args) }
    }
}

/// Runs a vcpu until it is out for something else than a signal.
pub fn run(vcpu: File) -> Result<(), Errno> {
    loop {
        match machine::run(vcpu) {
            Err(Errno(INTERRUPTED)) => {}
            done => return done.map(drop),
        }
    }
}

const _: () = assert!(core::mem::offset_of!(Told, number) == 32);

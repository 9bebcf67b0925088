//! For Linux on catnap: virtual machines by Linux's own KVM, all at the same time, big-endian and
//! little-endian ones. Each has one vcpu, which counts and tells by a hypercall.
//!
//! Argument: how many machines. Of each it says how long a hypercall took to this program and back, the
//! median; and in the end how many were good. It exits with 0 if all were.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]

mod machine;
mod output;
mod shared;
mod system;

use core::fmt::Write;
use machine::Order;
use output::Output;
use shared::{EXIT_HYPERCALL, NUMBER, Shared};
use system::{Errno, File};

/// How often each virtual machine makes its hypercall.
const ROUNDS: usize = 1000;
/// Of the time base.
const TICKS_PER_US: u64 = 512;

const MEMORY_BYTES: u64 = 16 << 20;
/// r4 counts from 1.
const GUEST: [u32; 4] = [
    0x3884_0001,                 // addi 4, 4, 1
    0x3860_0000 | NUMBER as u32, // li 3, NUMBER
    0x4400_0022,                 // sc 1
    0x4bff_fff4,                 // b to the first
];
/// Why a machine wasn't good.
enum Fault {
    /// The kernel refused this.
    Refused(&'static str, Errno),
    /// In this round: why the vcpu came out, with which number and count.
    Wrong(u64, u32, u64, u64),
}

/// A virtual machine until it has told its last count; how many ticks of the time base each round took.
fn machine(order: Order) -> Result<[u64; ROUNDS], Fault> {
    let refused = |what| move |errno| Fault::Refused(what, errno);
    let kvm = machine::kvm().map_err(refused("/dev/kvm"))?;
    let vm = machine::new(kvm).map_err(refused("a VM"))?;
    machine::set_memory(vm, MEMORY_BYTES, &GUEST, order).map_err(refused("its memory"))?;
    let vcpu = machine::vcpu(vm, 0, order).map_err(refused("a vcpu"))?;
    let shared = Shared::of(kvm, vcpu).map_err(refused("its exits"))?;
    rounds(vcpu, shared)
}

fn rounds(vcpu: File, shared: Shared) -> Result<[u64; ROUNDS], Fault> {
    let mut taken_tb = [0; ROUNDS];
    let mut before_tb = system::time_base();
    for (round, taken_tb) in taken_tb.iter_mut().enumerate() {
        count(vcpu, shared, round as u64 + 1)?;
        let now_tb = system::time_base();
        *taken_tb = now_tb - before_tb;
        before_tb = now_tb;
    }
    Ok(taken_tb)
}

/// Into the guest, and out by its hypercall.
fn count(vcpu: File, shared: Shared, round: u64) -> Result<(), Fault> {
    shared::run(vcpu).map_err(|errno| Fault::Refused("a run", errno))?;
    let told = shared.told();
    let found = (told.exit_reason, told.number, told.args[0]);
    if found != (EXIT_HYPERCALL, NUMBER, round) {
        return Err(Fault::Wrong(round, found.0, found.1, found.2));
    }
    shared.answer(0);
    Ok(())
}

/// In a process of its own.
fn child(index: u64) -> ! {
    let mut output = Output::new();
    let orders = [Order::Big, Order::Little];
    let done = machine(orders[index as usize % 2]);
    let is_good = done.is_ok();
    // Who can't be heard has its exit status.
    let _ = match done {
        Ok(mut taken_tb) => {
            taken_tb.sort_unstable();
            let median_ns = taken_tb[ROUNDS / 2] * 1000 / TICKS_PER_US;
            writeln!(output, "kvm {index}: {median_ns} ns a round")
        }
        Err(Fault::Refused(what, errno)) => {
            writeln!(output, "kvm {index}: {what}: errno {}", errno.0)
        }
        Err(Fault::Wrong(round, reason, number, count)) => writeln!(
            output,
            "kvm {index}: round {round}: exit {reason}, number {number:#x}, count {count}"
        ),
    };
    system::exit(u64::from(!is_good))
}

fn kvm(machines: u64) -> ! {
    for index in 0..machines {
        match system::fork() {
            Ok(0) => child(index),
            Ok(_) => {}
            Err(errno) => {
                let _ = writeln!(Output::new(), "kvm: fork: errno {}", errno.0);
            }
        }
    }
    let mut good = 0;
    while let Ok(was_good) = system::wait() {
        good += u64::from(was_good);
    }
    let _ = writeln!(
        Output::new(),
        "kvm: {good} of {machines} machines were good"
    );
    system::exit(u64::from(machines == 0 || good != machines))
}

/// The program, with its argument.
fn start(argument: Option<u64>) -> ! {
    kvm(argument.unwrap_or(2))
}

#[cfg(not(target_arch = "powerpc64"))]
fn main() {
    let main: fn(Option<u64>) -> ! = start;
    panic!("{main:p} runs in Linux on catnap only");
}

//! For Linux on catnap: lives of virtual machines. Each is a process that makes a machine of one core, whose
//! vcpu goes round for ever, and is killed at a random moment: while the machine is made, or while it runs.
//!
//! Argument: how many, one after the other. 0: one, which lives until somebody kills this program. Without an
//! argument: none lives, since there is a limit on memory that is locked.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]

mod chance;
mod machine;
mod output;
mod system;

use chance::Chance;
use core::fmt::Write;
use machine::{FOR_EVER, Order};
use output::Output;
use system::Errno;

const MEMORY_BYTES: u64 = 16 << 20;
/// A machine is killed within this time.
const LONGEST_US: u64 = 60_000;
const VCPUS: u64 = 8;
/// Somebody who may not lock memory beyond his limit.
const NOBODY: u64 = 65534;
const SIGNALLED: u64 = 4;

/// Until a signal ends it.
fn live() -> Result<(), Errno> {
    let vm = machine::new(machine::kvm()?)?;
    machine::set_memory(vm, MEMORY_BYTES, &FOR_EVER, Order::Big)?;
    let vcpu = machine::vcpu(vm, 0, Order::Big)?;
    for id in 1..VCPUS {
        machine::vcpu(vm, id, Order::Big)?;
    }
    loop {
        match machine::run(vcpu) {
            Ok(_) | Err(Errno(SIGNALLED)) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// In a process of its own. One that comes to its end is at fault.
fn child(after_us: u64) -> ! {
    system::kill_after_us(after_us);
    if let Err(Errno(errno)) = live() {
        let _ = writeln!(Output::new(), "lives: errno {errno}");
    }
    system::exit(1)
}

fn lives(count: u64) -> u64 {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut killed = 0;
    for _ in 0..count {
        let after_us = 1 + chance.below(LONGEST_US);
        match system::fork() {
            Ok(0) => child(after_us),
            Ok(_) => {
                while let Ok(end) = system::wait_for() {
                    killed += u64::from(end == system::End::Killed);
                }
            }
            Err(Errno(errno)) => {
                let _ = writeln!(Output::new(), "lives: no process: errno {errno}");
            }
        }
    }
    let _ = writeln!(Output::new(), "lives: {killed} of {count} were killed");
    u64::from(killed != count)
}

/// Half of a machine's memory may be locked by somebody without privileges.
fn beyond_the_limit() -> Result<(), Errno> {
    let kvm = machine::kvm()?;
    system::limit_locked_memory(MEMORY_BYTES / 2)?;
    system::become_user(NOBODY)?;
    let vm = machine::new(kvm)?;
    machine::set_memory(vm, MEMORY_BYTES / 4, &FOR_EVER, Order::Big)?;
    let vm = machine::new(kvm)?;
    match machine::set_memory(vm, MEMORY_BYTES, &FOR_EVER, Order::Big) {
        Ok(_) => Ok(()),
        Err(Errno(errno)) => {
            let _ = writeln!(Output::new(), "lives: beyond the limit: errno {errno}");
            Ok(())
        }
    }
}

/// The program, with its argument.
fn start(argument: Option<u64>) -> ! {
    let status = match argument {
        Some(0) => live().is_err().into(),
        Some(count) => lives(count),
        None => beyond_the_limit().is_err().into(),
    };
    system::exit(status)
}

#[cfg(not(target_arch = "powerpc64"))]
fn main() {
    let main: fn(Option<u64>) -> ! = start;
    panic!("{main:p} runs in Linux on catnap only");
}

//! OPAL calls: from the token to the function that serves it.
//!
//! VCORE_RUN has an entry of its own; all other calls go by one table, with checks around each.
pub mod console;
pub mod cpu;
pub mod event;
mod event_bits;
pub mod hmi;
pub mod host;
mod host_memory;
pub mod ipmi;
pub mod message;
pub mod nvram;
pub mod power;
pub mod quiesce;
pub mod rtc;
pub mod sensor;
pub mod stats;
mod table;
pub mod xive;

use crate::args::Args;
use crate::call_faults::{Ended, complain};
use asm::op;
use hcalls::Status;
use platform::cpu::thread;
use table::{Function, Served};

/// From assembly, on the thread's own stack: `args` are r3–r10, and r4–r9 on return.
pub extern "C" fn call(args: &mut Args, token: u64) -> i64 {
    let Some(served) = table::find(token) else {
        return Status::Unsupported as i64;
    };
    if !thread::msr_is_firmwares() {
        return Status::WrongState as i64;
    }
    if !quiesce::admits() {
        return Status::Busy as i64;
    }
    let began_tb = op::time_tb();
    let status = carry_out(served, args);
    let took_tb = op::time_tb().wrapping_sub(began_tb);
    stats::count(served, status, began_tb, took_tb);
    let ended = Ended {
        locks: thread::locks_held(),
        took_tb,
    };
    if ended.is_fault() {
        complain(served.token, ended);
    }
    status as i64
}

#[inline(always)]
fn carry_out(served: &Served, args: &mut Args) -> Status {
    match served.function {
        Function::Of0(function) => function(),
        Function::Of1(function) => function(args[0]),
        Function::Of2(function) => function(args[0], args[1]),
        Function::Of3(function) => function(args[0], args[1], args[2]),
        Function::Registers(function) => refusals_told(served.token, function, args),
    }
}

/// A call of [`hcalls`]: whoever passes a wrong argument can read on the log what it was.
#[inline(never)]
fn refusals_told(token: u64, function: fn(&mut Args) -> Status, args: &mut Args) -> Status {
    let asked = *args;
    let status = function(args);
    if status == Status::Parameter {
        log::warn!(
            "call {token}: argument {} is refused: {:x?}",
            args[1],
            &asked[..5]
        );
    }
    status
}

//! OPAL calls: from the token to the function that serves it.
//!
//! VCORE_RUN has an entry of its own; all other calls go by one table, with checks around each.
pub mod console;
pub mod cpu;
pub mod event;
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

use crate::smt::calls::Args;
use asm::op;
use hcalls::Status;
use platform::thread;
use table::{Function, Served};

/// A call that takes 2 to this many ticks of the time base, about a second, is a fault of the
/// firmware's. (What a call takes at most in instructions is a matter of tests: an emulator can stop
/// a thread at any time.)
const LIMIT_TB_SHIFT: u32 = 29;

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
    if thread::locks_held() | took_tb >> LIMIT_TB_SHIFT != 0 {
        complain(served.token, took_tb);
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

/// A call has left a lock held, which nobody can have ever after, or has taken too long.
#[cold]
fn complain(token: u64, took_tb: u64) {
    let locks = thread::locks_held();
    if locks != 0 {
        // The log's own lock may be the one.
        platform::logger::emergency(format_args!("call {token} has left {locks} locks held"));
    } else {
        log::warn!("call {token} has taken {} ms", took_tb / 512_000);
    }
}

/// OPAL_TEST: nothing; shows that calls work.
fn test(_anything: u64) -> Status {
    Status::Success
}

/// OPAL_CHECK_TOKEN: token → 1 if it is served.
fn check_token(token: u64) -> Status {
    match table::find(token).is_some() {
        true => Status::Present,
        false => Status::Success,
    }
}

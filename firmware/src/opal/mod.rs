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
use hcalls::{Status, Token};
use platform::thread;
use table::{Function, Served};

/// A call that takes longer than this, in ticks of the time base, is a fault of the firmware's: 1 s.
/// (What a call takes at most in instructions is a matter of tests: an emulator can stop a thread
/// at any time.)
const LIMIT_TB: u64 = 512_000_000;

/// From assembly, on the thread's own stack: `args` are r3–r10, and r4–r9 on return.
pub extern "C" fn call(args: &mut [u64; 8], token: u64) -> i64 {
    serve(args, token) as i64
}

#[inline(never)]
fn serve(args: &mut Args, token: u64) -> Status {
    let Some(served) = table::find(token) else {
        log::debug!("call {token} is not served");
        return Status::Unsupported;
    };
    if !thread::msr_is_firmwares() {
        return Status::WrongState;
    }
    if !quiesce::admits() {
        return Status::Busy;
    }
    let asked = *args;
    let began_tb = op::time_tb();
    let status = carry_out(served, args);
    let took_tb = op::time_tb().wrapping_sub(began_tb);
    stats::count(served, status, began_tb, took_tb);
    if thread::locks_held() != 0 || took_tb > LIMIT_TB {
        complain(token, took_tb);
    }
    if status == Status::Parameter && token >= hcalls::token::FIRST {
        log::warn!(
            "call {token}: argument {} is refused: {:#x?}",
            args[1],
            &asked[..5]
        );
    }
    status
}

#[inline(always)]
fn carry_out(served: &Served, args: &mut Args) -> Status {
    match served.function {
        Function::Of0(function) => function(),
        Function::Of1(function) => function(args[0]),
        Function::Of2(function) => function(args[0], args[1]),
        Function::Of3(function) => function(args[0], args[1], args[2]),
        Function::Registers(function) => function(args),
    }
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
    match table::find(token).is_some() || token == Token::VcoreRun as u64 {
        true => Status::Present,
        false => Status::Success,
    }
}

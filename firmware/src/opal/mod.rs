//! OPAL calls: from the token to the function that serves it.
//!
//! VCORE_RUN has an entry of its own; all other calls go by one table, with checks around each.
mod answer;
pub mod console;
pub mod cpu;
mod dump;
pub mod event;
mod event_bits;
mod flash;
pub mod hmi;
pub mod host;
mod host_memory;
pub mod interrupt;
pub mod ipmi;
pub mod message;
pub mod nvram;
mod pci;
pub mod power;
pub mod quiesce;
mod registers;
pub mod rtc;
pub mod sensor;
pub mod stats;
mod subtree;
mod table;
pub mod tree;

use crate::args::{self, Answer, Args, Refused};
use crate::call_faults::{Ended, complain};
use asm::op;
use platform::cpu::thread;
use skiboot_compat::calls::Token;
use skiboot_compat::status::Status;
use table::Served;

/// From assembly, on the thread's own stack: `args` are r3–r10, and r4–r9 on return.
///
/// What it calls it calls last, so that it saves no registers: a call that looks into a table and nowhere else is
/// answered here.
pub extern "C" fn call(args: &mut Args, token: u64) -> i64 {
    let is_ready = thread::msr_is_firmwares() && !quiesce::is_on();
    if is_ready && token == Token::CheckToken as u64 && thread::locks_held() == 0 {
        let began_tb = op::time_tb();
        let status = table::check(args[0]);
        let took_tb = op::time_tb().wrapping_sub(began_tb);
        stats::count(table::CHECK_TOKEN, status, began_tb, took_tb);
        return status;
    }
    match table::find(token) {
        None => Status::Unsupported as i64,
        Some(served) if is_ready => carry_out(served, args),
        Some(served) => carry_out_if_ready(served, args),
    }
}

#[cold]
#[inline(never)]
fn carry_out_if_ready(served: &'static Served, args: &mut Args) -> i64 {
    if !thread::msr_is_firmwares() {
        return Status::WrongState as i64;
    }
    if !quiesce::admits() {
        return Status::Busy as i64;
    }
    carry_out(served, args)
}

#[inline(never)]
fn carry_out(served: &'static Served, args: &mut Args) -> i64 {
    let began_tb = op::time_tb();
    let status = (served.carry_out)(args);
    let ended = Ended {
        locks: thread::locks_held(),
        took_tb: op::time_tb().wrapping_sub(began_tb),
    };
    if status == Status::Parameter as i64 || ended.is_fault() {
        return with_complaints(served, args, status, began_tb, ended);
    }
    stats::count(served, status, began_tb, ended.took_tb);
    status
}

/// Ends a call that was refused, or that has done what none may.
#[cold]
#[inline(never)]
fn with_complaints(
    served: &'static Served,
    args: &Args,
    status: i64,
    began_tb: u64,
    ended: Ended,
) -> i64 {
    stats::count(served, status, began_tb, ended.took_tb.min(u32::MAX.into()));
    if status == Status::Parameter as i64 && served.logged {
        log::warn!("{} is refused: {:x?}", served.name, &args[..7]);
    }
    if ended.is_fault() {
        complain(served.token, ended);
    }
    status
}

/// A call of [`hcalls`]: whoever passes a wrong argument can read on the log what it was.
fn own_call(name: &str, function: fn(&Args) -> Answer, args: &mut Args) -> i64 {
    let answer = function(args);
    if let Err(Refused::Argument(number)) = answer {
        log::warn!("{name} is refused: argument {number} of {:x?}", &args[..5]);
    }
    args::put(answer, args) as i64
}

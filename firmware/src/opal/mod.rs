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
use skiboot_compat::status::Status;
use table::Served;

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
    let status = (served.carry_out)(args);
    let took_tb = op::time_tb().wrapping_sub(began_tb);
    stats::count(served, status, began_tb, took_tb);
    if status == Status::Parameter as i64 {
        refused(served, args);
    }
    let ended = Ended {
        locks: thread::locks_held(),
        took_tb,
    };
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

#[cold]
fn refused(served: &Served, args: &Args) {
    if served.logged {
        log::warn!("{} is refused: {:x?}", served.name, &args[..7]);
    }
}

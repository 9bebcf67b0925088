//! OPAL calls: from the token to the function that serves it.
//!
//! A vcore's run is dispatched before everything else; all other calls go by one table.
pub mod console;
pub mod cpu;
pub mod power;

use crate::smt::calls::{self, Args};
use crate::smt::run;
use hcalls::{Status, Token};

mod token {
    pub const CONSOLE_WRITE: u64 = 1;
    pub const CONSOLE_READ: u64 = 2;
    pub const CEC_POWER_DOWN: u64 = 5;
    pub const CEC_REBOOT: u64 = 6;
    pub const CONSOLE_WRITE_BUFFER_SPACE: u64 = 25;
    pub const START_CPU: u64 = 41;
    pub const QUERY_CPU_STATUS: u64 = 42;
    pub const RETURN_CPU: u64 = 69;
    pub const CHECK_TOKEN: u64 = 80;
}

/// A call: its token and what serves it. How many arguments it has, and its name, stand in
/// `skiboot_compat` and [`hcalls`].
type Served = (u64, fn(&mut Args) -> Status);

/// Every call that catnap serves, but for VCORE_RUN; sorted by token.
const TABLE: [Served; 18] = [
    (token::CONSOLE_WRITE, console::write),
    (token::CONSOLE_READ, console::read),
    (token::CEC_POWER_DOWN, power::down),
    (token::CEC_REBOOT, power::reboot),
    (token::CONSOLE_WRITE_BUFFER_SPACE, console::write_buffer_space),
    (token::START_CPU, cpu::start),
    (token::QUERY_CPU_STATUS, cpu::query_status),
    (token::RETURN_CPU, cpu::give_back),
    (token::CHECK_TOKEN, check_token),
    (Token::SmtQuery as u64, calls::smt_query),
    (Token::CoreClaim as u64, cpu::claim),
    (Token::PartitionCreate as u64, calls::partition_create),
    (Token::PartitionDestroy as u64, calls::partition_destroy),
    (Token::VcpuCreate as u64, calls::vcpu_create),
    (Token::VcpuDestroy as u64, calls::vcpu_destroy),
    (Token::VcpuSetState as u64, calls::vcpu_set_state),
    (Token::VcoreKick as u64, calls::vcore_kick),
    (Token::SmtStats as u64, calls::smt_stats),
];

const _: () = {
    let mut place = 1;
    while place < TABLE.len() {
        assert!(TABLE[place - 1].0 < TABLE[place].0);
        place += 1;
    }
};

fn find(token: u64) -> Option<&'static Served> {
    TABLE.binary_search_by_key(&token, |(token, _)| *token).ok().map(|place| &TABLE[place])
}

/// From assembly, on the thread's own stack: `args` are r3–r10, and r4–r9 on return.
pub extern "C" fn call(args: &mut [u64; 8], token: u64) -> i64 {
    let status = if token == Token::VcoreRun as u64 {
        run::run(args)
    } else {
        serve(args, token)
    };
    status as i64
}

#[inline(never)]
fn serve(args: &mut [u64; 8], token: u64) -> Status {
    let Some((_, function)) = find(token) else {
        log::debug!("call {token} is not served");
        return Status::Unsupported;
    };
    if !platform::thread::msr_is_firmwares() {
        return Status::WrongState;
    }
    let asked = *args;
    let status = function(args);
    if status == Status::Parameter && token >= hcalls::token::FIRST {
        log::warn!("call {token}: argument {} is refused: {:#x?}", args[1], &asked[..5]);
    }
    status
}

/// OPAL_CHECK_TOKEN: token → 1 if it is served.
fn check_token(args: &mut Args) -> Status {
    let token = args[0];
    if find(token).is_some() || token == Token::VcoreRun as u64 {
        Status::Present
    } else {
        Status::Success
    }
}

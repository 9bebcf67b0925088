//! OPAL calls: from the token to the function that serves it.
//!
//! A vcore's run is dispatched before everything else; all other calls go by one table.
pub mod console;
pub mod cpu;
pub mod event;
pub mod host;
mod host_memory;
pub mod message;
pub mod power;
pub mod rtc;
pub mod xive;

use crate::smt::calls::{self, Args};
use hcalls::{Status, Token};
use skiboot_compat::calls::Token as Opal;

/// A call: its token and what serves it. How many arguments it has, and its name, stand in
/// `skiboot_compat` and [`hcalls`].
type Served = (u64, fn(&mut Args) -> Status);

/// Every call that catnap serves, but for VCORE_RUN; sorted by token.
const TABLE: [Served; 29] = [
    (Opal::ConsoleWrite as u64, console::write),
    (Opal::ConsoleRead as u64, console::read),
    (Opal::RtcRead as u64, rtc::read),
    (Opal::RtcWrite as u64, rtc::write),
    (Opal::CecPowerDown as u64, power::down),
    (Opal::CecReboot as u64, power::reboot),
    (Opal::HandleInterrupt as u64, event::handle_interrupt),
    (Opal::PollEvents as u64, event::poll),
    (Opal::SetXive as u64, xive::set),
    (Opal::GetXive as u64, xive::get),
    (
        Opal::ConsoleWriteBufferSpace as u64,
        console::write_buffer_space,
    ),
    (Opal::StartCpu as u64, cpu::start),
    (Opal::QueryCpuStatus as u64, cpu::query_status),
    (Opal::ReturnCpu as u64, cpu::give_back),
    (Opal::ReinitCpus as u64, host::reinit_cpus),
    (Opal::CheckToken as u64, check_token),
    (Opal::GetMsg as u64, message::get),
    (Opal::SyncHostReboot as u64, host::sync_reboot),
    (Opal::CecReboot2 as u64, power::reboot2),
    (Opal::ConsoleFlush as u64, console::flush),
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
    TABLE
        .binary_search_by_key(&token, |(token, _)| *token)
        .ok()
        .map(|place| &TABLE[place])
}

/// From assembly, on the thread's own stack: `args` are r3–r10, and r4–r9 on return.
pub extern "C" fn call(args: &mut [u64; 8], token: u64) -> i64 {
    serve(args, token) as i64
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
        log::warn!(
            "call {token}: argument {} is refused: {:#x?}",
            args[1],
            &asked[..5]
        );
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

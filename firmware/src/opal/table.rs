//! The table of calls that catnap serves. Tokens, names and numbers of arguments are those of
//! [`skiboot_compat::calls`] and [`hcalls::Token`]; the compiler checks that functions agree.
use super::{
    console, cpu, event, hmi, host, ipmi, message, nvram, power, quiesce, rtc, sensor, xive,
};
use crate::args::Args;
use crate::smt::{calls, claim};
use crate::trace::switch;
use hcalls::{Status, Token};
use skiboot_compat::calls::{CALLS, Token as Opal};

/// What serves a call. OPAL's calls take their arguments and answer in the host's memory; those of
/// [`hcalls`] take and give registers.
#[derive(Clone, Copy)]
pub enum Function {
    Of0(fn() -> Status),
    Of1(fn(u64) -> Status),
    Of2(fn(u64, u64) -> Status),
    Of3(fn(u64, u64, u64) -> Status),
    Registers(fn(&mut Args) -> Status),
}

/// A call in the table.
pub struct Served {
    pub token: u64,
    pub function: Function,
    /// Its place in the table, by which it is counted.
    pub place: usize,
}

use Function::{Of0, Of1, Of2, Of3, Registers};

/// How many calls there are.
pub const COUNT: usize = ROWS.len();

const ROWS: &[(u64, Function)] = &[
    (Opal::Test as u64, Of1(test)),
    (Opal::ConsoleWrite as u64, Of3(console::write)),
    (Opal::ConsoleRead as u64, Of3(console::read)),
    (Opal::RtcRead as u64, Of2(rtc::read)),
    (Opal::RtcWrite as u64, Of2(rtc::write)),
    (Opal::CecPowerDown as u64, Of1(power::down)),
    (Opal::CecReboot as u64, Of0(power::reboot)),
    (Opal::ReadNvram as u64, Of3(nvram::read)),
    (Opal::WriteNvram as u64, Of3(nvram::write)),
    (Opal::HandleInterrupt as u64, Of2(event::handle_interrupt)),
    (Opal::PollEvents as u64, Of1(event::poll)),
    (Opal::SetXive as u64, Of3(xive::set)),
    (Opal::GetXive as u64, Of3(xive::get)),
    (
        Opal::ConsoleWriteBufferSpace as u64,
        Of2(console::write_buffer_space),
    ),
    (Opal::StartCpu as u64, Of2(cpu::start)),
    (Opal::QueryCpuStatus as u64, Of2(cpu::query_status)),
    (Opal::ReturnCpu as u64, Of0(cpu::give_back)),
    (Opal::ReinitCpus as u64, Of1(host::reinit_cpus)),
    (Opal::CheckToken as u64, Of1(check_token)),
    (Opal::GetMsg as u64, Of2(message::get)),
    (Opal::SyncHostReboot as u64, Of0(host::sync_reboot)),
    (Opal::SensorRead as u64, Of3(sensor::read)),
    (Opal::HandleHmi as u64, Of0(hmi::handle)),
    (Opal::IpmiSend as u64, Of3(ipmi::send)),
    (Opal::IpmiRecv as u64, Of3(ipmi::receive)),
    (Opal::CecReboot2 as u64, Of2(power::reboot2)),
    (Opal::ConsoleFlush as u64, Of1(console::flush)),
    (Opal::Quiesce as u64, Of2(quiesce::quiesce)),
    (Opal::SensorReadU64 as u64, Of3(sensor::read_u64)),
    (Opal::HandleHmi2 as u64, Of1(hmi::handle2)),
    (Token::SmtQuery as u64, Registers(calls::smt_query)),
    (Token::CoreClaim as u64, Registers(claim::claim)),
    (
        Token::PartitionCreate as u64,
        Registers(calls::partition_create),
    ),
    (
        Token::PartitionDestroy as u64,
        Registers(calls::partition_destroy),
    ),
    (Token::VcpuCreate as u64, Registers(calls::vcpu_create)),
    (Token::VcpuDestroy as u64, Registers(calls::vcpu_destroy)),
    // Has an entry of its own in assembly, and is here to be found.
    (Token::VcoreRun as u64, Registers(nowhere)),
    (Token::VcpuSetState as u64, Registers(calls::vcpu_set_state)),
    (Token::VcoreKick as u64, Registers(calls::vcore_kick)),
    (Token::SmtStats as u64, Registers(calls::smt_stats)),
    (Token::SmtTrace as u64, Registers(switch::smt_trace)),
];

/// Highest token of OPAL's own that is served.
const LAST_OPAL: usize = 200;
const VENDOR_COUNT: usize = (hcalls::token::LAST - hcalls::token::FIRST + 1) as usize;

/// A place that no call has.
const NONE: u8 = u8::MAX;

/// Places in [`SERVED`] by token: OPAL's, then from [`hcalls::token::FIRST`] on.
static PLACES: [u8; LAST_OPAL + 1 + VENDOR_COUNT] = {
    let mut places = [NONE; LAST_OPAL + 1 + VENDOR_COUNT];
    let mut place = 0;
    while place < COUNT {
        places[index(ROWS[place].0)] = place as u8;
        place += 1;
    }
    places
};

/// Where a token is looked up; past the end for those that can't be served.
#[inline(always)]
const fn index(token: u64) -> usize {
    match token {
        0..=200 => token as usize,
        hcalls::token::FIRST..=hcalls::token::LAST => {
            (token - hcalls::token::FIRST) as usize + LAST_OPAL + 1
        }
        _ => usize::MAX,
    }
}

static SERVED: [Served; COUNT] = {
    let mut served = [const {
        Served {
            token: 0,
            function: Of0(nothing),
            place: 0,
        }
    }; COUNT];
    let mut place = 0;
    while place < COUNT {
        let (token, function) = ROWS[place];
        served[place] = Served {
            token,
            function,
            place,
        };
        place += 1;
    }
    served
};

fn nothing() -> Status {
    Status::Unsupported
}

fn nowhere(_args: &mut Args) -> Status {
    Status::Unsupported
}

/// The call with a token, if it is served.
#[inline(always)]
pub fn find(token: u64) -> Option<&'static Served> {
    let place = *PLACES.get(index(token))?;
    if place == NONE {
        return None;
    }
    // SAFETY: places are those of calls in the table, or none.
    Some(unsafe { SERVED.get_unchecked(usize::from(place)) })
}

/// All calls, in order of token.
pub fn all() -> &'static [Served] {
    &SERVED
}

const _: () = assert!(COUNT < NONE as usize);

/// Tokens are in order, and functions of OPAL's calls have as many arguments as those.
const _: () = {
    let mut place = 0;
    while place < COUNT {
        let (token, function) = ROWS[place];
        assert!(place == 0 || ROWS[place - 1].0 < token);
        match function {
            Of0(_) => assert!(arguments(token) == 0),
            Of1(_) => assert!(arguments(token) == 1),
            Of2(_) => assert!(arguments(token) == 2),
            Of3(_) => assert!(arguments(token) == 3),
            Registers(_) => assert!(token >= hcalls::token::FIRST),
        }
        place += 1;
    }
};

const fn arguments(token: u64) -> u8 {
    let mut at = 0;
    while CALLS[at].token as u64 != token {
        at += 1;
    }
    CALLS[at].arguments
}

/// OPAL_TEST: nothing; shows that calls work.
fn test(_anything: u64) -> Status {
    Status::Success
}

/// OPAL_CHECK_TOKEN: token → 1 if it is served.
fn check_token(token: u64) -> Status {
    match find(token).is_some() {
        true => Status::Present,
        false => Status::Success,
    }
}

//! The table of calls that catnap serves: all that there is to say of a call is in its row.
//!
//! A new call is a function and a row, in the order of tokens. OPAL's tokens, names and numbers of
//! arguments come from [`skiboot_compat::calls`]; what doesn't agree doesn't compile.
use super::answer::{Answer, DONE};
use super::{
    console, cpu, dump, event, flash, hmi, host, interrupt, ipmi, message, nvram, pci, power,
    quiesce, registers, rtc, sensor, tree,
};
use crate::args::Args;
use crate::smt::{calls, core_claim, memory_calls};
use crate::trace::switch;
use hcalls::call_log::Count;
use hcalls::{Status, Token};
use skiboot_compat::calls::{CALLS, Token as Opal};

/// A call that is served.
#[derive(Clone, Copy)]
pub struct Served {
    pub token: u64,
    pub name: &'static str,
    /// From r3–r10 to what r3 holds on return.
    pub carry_out: fn(&mut Args) -> i64,
    /// Whether a line on the log says which arguments were refused. Not of calls that the log itself
    /// may be behind.
    pub logged: bool,
    /// Where its counts are among all of a thread's.
    pub counts_at_bytes: usize,
}

/// A row of OPAL's: token, function, and how many arguments it takes, from r3 on.
macro_rules! opal {
    ($token:ident, $function:path, $arguments:tt) => {
        opal(Opal::$token, $arguments, |args| {
            r3(passed!($function, args, $arguments))
        })
    };
}

macro_rules! passed {
    ($f:path, $a:ident, 0) => {{
        let _ = $a;
        $f()
    }};
    ($f:path, $a:ident, 1) => {
        $f($a[0])
    };
    ($f:path, $a:ident, 2) => {
        $f($a[0], $a[1])
    };
    ($f:path, $a:ident, 3) => {
        $f($a[0], $a[1], $a[2])
    };
    ($f:path, $a:ident, 4) => {
        $f($a[0], $a[1], $a[2], $a[3])
    };
    ($f:path, $a:ident, 5) => {
        $f($a[0], $a[1], $a[2], $a[3], $a[4])
    };
    ($f:path, $a:ident, 6) => {
        $f($a[0], $a[1], $a[2], $a[3], $a[4], $a[5])
    };
    ($f:path, $a:ident, 7) => {
        $f($a[0], $a[1], $a[2], $a[3], $a[4], $a[5], $a[6])
    };
}

/// A row of catnap's own: token, name, function.
macro_rules! own {
    ($token:ident, $name:literal, $function:path) => {
        own(Token::$token, $name, |args| {
            super::own_call($name, $function, args)
        })
    };
}

/// How many calls there are.
pub const COUNT: usize = ROWS.len();

static SERVED: [Served; COUNT] = {
    let mut served = *ROWS;
    let mut place = 0;
    while place < COUNT {
        served[place].counts_at_bytes = place * size_of::<Count>();
        place += 1;
    }
    served
};

const ROWS: &[Served; 81] = &[
    opal!(Test, test, 1),
    opal!(ConsoleWrite, console::write, 3).quiet(),
    opal!(ConsoleRead, console::read, 3).quiet(),
    opal!(RtcRead, rtc::read, 2),
    opal!(RtcWrite, rtc::write, 2),
    opal!(CecPowerDown, power::down, 1),
    opal!(CecReboot, power::reboot, 0),
    opal!(ReadNvram, nvram::read, 3),
    opal!(WriteNvram, nvram::write, 3),
    opal!(HandleInterrupt, event::handle_interrupt, 2),
    opal!(PollEvents, event::poll, 1),
    opal!(PciConfigReadByte, pci::read_byte, 4),
    opal!(PciConfigReadHalfWord, pci::read_half, 4),
    opal!(PciConfigReadWord, pci::read_word, 4),
    opal!(PciConfigWriteByte, pci::write_byte, 4),
    opal!(PciConfigWriteHalfWord, pci::write_half, 4),
    opal!(PciConfigWriteWord, pci::write_word, 4),
    opal!(SetXive, interrupt::set, 3),
    opal!(GetXive, interrupt::get, 3),
    opal!(PciEehFreezeStatus, pci::freeze_status, 5),
    opal!(ConsoleWriteBufferSpace, console::write_buffer_space, 2).quiet(),
    opal!(PciEehFreezeClear, pci::freeze_clear, 3),
    opal!(PciPhbMmioEnable, pci::enable_window, 4),
    opal!(PciSetPhbMemWindow, pci::set_window, 6),
    opal!(PciMapPeMmioWindow, pci::map_mmio, 5),
    opal!(PciSetPe, pci::set_pe, 7),
    opal!(PciSetPeltv, pci::set_peltv, 4),
    opal!(PciSetXivePe, pci::set_xive_pe, 3),
    opal!(GetMsi32, pci::get_msi_32, 6),
    opal!(GetMsi64, pci::get_msi_64, 6),
    opal!(StartCpu, cpu::start, 2),
    opal!(QueryCpuStatus, cpu::query_status, 2),
    opal!(PciMapPeDmaWindow, pci::map_dma, 7),
    opal!(PciMapPeDmaWindowReal, pci::map_dma_real, 5),
    opal!(PciReset, pci::reset, 3),
    opal!(PciNextError, pci::next_error, 4),
    opal!(PciPoll, pci::poll, 1),
    opal!(PciMsiEoi, pci::end_msi, 2),
    opal!(PciGetPhbDiagData2, pci::diag_data, 3),
    opal!(XscomRead, registers::xscom_read, 3),
    opal!(XscomWrite, registers::xscom_write, 3),
    opal!(LpcRead, registers::lpc_read, 5),
    opal!(LpcWrite, registers::lpc_write, 5),
    opal!(ReturnCpu, cpu::give_back, 0),
    opal!(ReinitCpus, host::reinit_cpus, 1),
    opal!(ResyncTimebase, registers::resync_timebase, 0),
    opal!(CheckToken, check_token, 1),
    opal!(GetMsg, message::get, 2),
    opal!(SyncHostReboot, host::sync_reboot, 0),
    opal!(SensorRead, sensor::read, 3),
    opal!(PciErrInject, pci::inject, 6),
    opal!(PciEehFreezeSet, pci::freeze_set, 3),
    opal!(HandleHmi, hmi::handle, 0),
    opal!(RegisterDumpRegion, dump::register, 3),
    opal!(UnregisterDumpRegion, dump::unregister, 1),
    opal!(IpmiSend, ipmi::send, 3),
    opal!(IpmiRecv, ipmi::receive, 3),
    opal!(FlashRead, flash::read, 5),
    opal!(FlashWrite, flash::write, 5),
    opal!(FlashErase, flash::erase, 4),
    opal!(CecReboot2, power::reboot2, 2),
    opal!(ConsoleFlush, console::flush, 1).quiet(),
    opal!(GetDeviceTree, tree::get, 3),
    opal!(Quiesce, quiesce::quiesce, 2),
    opal!(SensorReadU64, sensor::read_u64, 3),
    opal!(HandleHmi2, hmi::handle2, 1),
    own!(SmtQuery, "SMT_QUERY", calls::smt_query),
    own!(CoreClaim, "CORE_CLAIM", core_claim::claim),
    own!(PartitionCreate, "PARTITION_CREATE", calls::partition_create),
    own!(
        PartitionDestroy,
        "PARTITION_DESTROY",
        calls::partition_destroy
    ),
    own!(VcpuCreate, "VCPU_CREATE", calls::vcpu_create),
    own!(VcpuDestroy, "VCPU_DESTROY", calls::vcpu_destroy),
    // Has an entry of its own in assembly, and is here to be found.
    own!(VcoreRun, "VCORE_RUN", nowhere),
    own!(VcpuSetState, "VCPU_SET_STATE", calls::vcpu_set_state),
    own!(VcoreKick, "VCORE_KICK", calls::vcore_kick),
    own!(SmtStats, "SMT_STATS", calls::smt_stats),
    own!(SmtTrace, "SMT_TRACE", switch::smt_trace),
    own!(PartitionUpdate, "PARTITION_UPDATE", calls::partition_update),
    own!(VcoreDoorbells, "VCORE_DOORBELLS", calls::vcore_doorbells),
    own!(
        PartitionMemory,
        "PARTITION_MEMORY",
        memory_calls::partition_memory
    ),
    own!(
        PartitionUnmap,
        "PARTITION_UNMAP",
        memory_calls::partition_unmap
    ),
];

/// Its name is looked up, and its number of arguments compared.
const fn opal(token: Opal, arguments: u8, carry_out: fn(&mut Args) -> i64) -> Served {
    let mut at = 0;
    while CALLS[at].token as u64 != token as u64 {
        at += 1;
    }
    assert!(CALLS[at].arguments == arguments);
    row(token as u64, CALLS[at].name, carry_out)
}

/// Its refusals are logged by [`super::own_call`], which knows the argument.
const fn own(token: Token, name: &'static str, carry_out: fn(&mut Args) -> i64) -> Served {
    row(token as u64, name, carry_out).quiet()
}

const fn row(token: u64, name: &'static str, carry_out: fn(&mut Args) -> i64) -> Served {
    Served {
        token,
        name,
        carry_out,
        logged: true,
        counts_at_bytes: 0,
    }
}

impl Served {
    const fn quiet(self) -> Self {
        Self {
            logged: false,
            ..self
        }
    }
}

/// Calls by token.
static BY_TOKEN: [Option<&Served>; hcalls::token::LAST as usize + 1] = {
    let mut by_token = [None; hcalls::token::LAST as usize + 1];
    let mut place = 0;
    while place < COUNT {
        by_token[ROWS[place].token as usize] = Some(&SERVED[place]);
        place += 1;
    }
    by_token
};

/// CHECK_TOKEN's own row, which is looked for most often.
pub static CHECK_TOKEN: &Served = {
    let mut place = 0;
    while ROWS[place].token != Opal::CheckToken as u64 {
        place += 1;
    }
    &SERVED[place]
};

/// The call with a token, if it is served.
#[inline(always)]
pub fn find(token: u64) -> Option<&'static Served> {
    *BY_TOKEN.get(token as usize)?
}

/// All calls, in order of token.
pub fn all() -> &'static [Served] {
    &SERVED
}

/// Tokens are in order.
const _: () = {
    let mut place = 1;
    while place < COUNT {
        assert!(ROWS[place - 1].token < ROWS[place].token);
        place += 1;
    }
};

/// What r3 holds after a call of OPAL's.
#[inline(always)]
fn r3(answer: Answer) -> i64 {
    match answer {
        Ok(number) => number,
        Err(status) => status as i64,
    }
}

/// OPAL_TEST: nothing; shows that calls work.
fn test(_anything: u64) -> Answer {
    DONE
}

/// OPAL_CHECK_TOKEN: token → 1 if it is served.
fn check_token(token: u64) -> Answer {
    Ok(check(token))
}

/// Its answer.
#[inline(always)]
pub fn check(token: u64) -> i64 {
    i64::from(find(token).is_some())
}

fn nowhere(_args: &Args) -> crate::args::Answer {
    Err(Status::Unsupported.into())
}

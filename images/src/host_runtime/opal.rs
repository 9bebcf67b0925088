//! OPAL's own calls, as far as a small host needs them (OPAL API).
use core::sync::atomic::{AtomicU64, Ordering};

use super::cpu;
use super::entry::{CallRegisters, opal_call, opal_call_little};

static OPAL_BASE: AtomicU64 = AtomicU64::new(0);
static OPAL_ENTRY: AtomicU64 = AtomicU64::new(0);

const CONSOLE_WRITE: u64 = 1;
const CEC_POWER_DOWN: u64 = 5;
const POLL_EVENTS: u64 = 10;
const START_CPU: u64 = 41;
const QUERY_CPU_STATUS: u64 = 42;
const RETURN_CPU: u64 = 69;

/// QUERY_CPU_STATUS: the firmware has the thread.
const THREAD_INACTIVE: u8 = 0;

const OPAL_SUCCESS: i64 = 0;
const OPAL_BUSY: i64 = -2;
const OPAL_BUSY_EVENT: i64 = -12;

/// What a call left in r3 and in r4–r9.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub status: i64,
    pub results: [u64; 6],
}

/// Remembers where OPAL is.
pub fn set_entry(base: u64, entry: u64) {
    OPAL_BASE.store(base, Ordering::Relaxed);
    OPAL_ENTRY.store(entry, Ordering::Release);
}

/// Calls OPAL. Arguments that aren't given are 0.
///
/// # Safety
/// Addresses among the arguments are of memory that the call may read or write.
pub unsafe fn call(token: u64, args: &[u64]) -> Answer {
    let mut registers = CallRegisters {
        token,
        opal_base: OPAL_BASE.load(Ordering::Relaxed),
        opal_entry: OPAL_ENTRY.load(Ordering::Acquire),
        ..CallRegisters::default()
    };
    registers.r3_to_r10[..args.len()].copy_from_slice(args);
    // SAFETY: the entry is the one that the firmware gave; the caller answers for the arguments.
    unsafe { opal_call(&mut registers) };
    let [status, results @ .., _] = registers.r3_to_r10;
    Answer {
        status: status as i64,
        results,
    }
}

/// Calls OPAL in little-endian mode, which it doesn't serve, without arguments.
pub fn call_little(token: u64) -> i64 {
    // SAFETY: the entry is the one that the firmware gave.
    unsafe { opal_call_little(token, OPAL_ENTRY.load(Ordering::Acquire)) }
}

/// Writes all of `bytes` to terminal 0.
pub fn console_write(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let mut len_bytes = (bytes.len() as u64).to_be_bytes();
        let args = [
            0,
            (&raw mut len_bytes).expose_provenance() as u64,
            bytes.as_ptr().expose_provenance() as u64,
        ];
        // SAFETY: OPAL reads `bytes` and reads and writes the eight bytes of the length.
        let answer = unsafe { call(CONSOLE_WRITE, &args) };
        match answer.status {
            OPAL_SUCCESS => {
                let written = u64::from_be_bytes(len_bytes) as usize;
                bytes = &bytes[written.min(bytes.len())..];
            }
            OPAL_BUSY | OPAL_BUSY_EVENT => poll_events(),
            // There is nowhere to tell that nothing can be told.
            _ => return,
        }
    }
}

/// Lets OPAL do what it has to do now and then.
pub fn poll_events() {
    // SAFETY: an address of 0 means that the events needn't be told.
    unsafe { call(POLL_EVENTS, &[0]) };
}

/// Switches the machine off.
pub fn power_down() -> ! {
    loop {
        // SAFETY: no addresses; 0 = an ordinary power-off.
        unsafe { call(CEC_POWER_DOWN, &[0]) };
        poll_events();
        cpu::relax();
    }
}

/// Gives the calling thread back to the firmware, where it naps until somebody starts it again.
pub fn return_cpu() -> ! {
    loop {
        // SAFETY: no addresses. This thread's stack is lost with it.
        unsafe { call(RETURN_CPU, &[]) };
        cpu::relax();
    }
}

/// The firmware has the thread `pir`, and a host may start it.
pub fn is_inactive(pir: u32) -> bool {
    let mut status = 0xff_u8;
    let at = (&raw mut status).expose_provenance() as u64;
    // SAFETY: the answer has a byte of its own.
    let answer = unsafe { call(QUERY_CPU_STATUS, &[pir.into(), at]) };
    // SAFETY: the byte on this stack that was written by address.
    let status = unsafe { (&raw const status).read_volatile() };
    answer.status == OPAL_SUCCESS && status == THREAD_INACTIVE
}

/// Starts the thread with interrupt server number `server` at real address `entry`.
///
/// # Safety
/// Code that can do with any registers but r3 = PIR is at `entry`.
pub unsafe fn start_cpu(server: u32, entry: u64) -> Result<(), i64> {
    // SAFETY: the caller answers for the entry.
    let answer = unsafe { call(START_CPU, &[server.into(), entry]) };
    if answer.status == OPAL_SUCCESS {
        Ok(())
    } else {
        Err(answer.status)
    }
}

//! What nobody can ask for a second time: power off and reset.
use super::{PATIENCE_TB, TIMED_OUT, bt, next_sequence};
use crate::lpc::LpcError;
use crate::lpc::bt::Bt;
use crate::lpc::bus;
use crate::tree::Machine;
use thiserror::Error;

/// Network function "chassis" on LUN 0, its response, and the command "chassis control" (IPMI
/// specification v2.0, section 28.3).
const CHASSIS_REQUEST: u8 = 0x00 << 2;
const CHASSIS_RESPONSE: u8 = 0x01 << 2;
const CHASSIS_CONTROL: u8 = 0x02;
/// Completion codes that say "not now" (IPMI specification v2.0, table 5-2): node busy, timeout,
/// duplicated request, repository or firmware being updated, initialisation under way.
const PASSING: [u8; 6] = [0xc0, TIMED_OUT, 0xcf, 0xd0, 0xd1, 0xd2];
/// How long to leave a BMC alone that has said so: 0.1 s.
const RETRY_TB: u64 = 51_200_000;

/// A response: network function, sequence, command, completion code.
const HEADER_LEN: usize = 4;

/// What the BMC is asked to do with the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Power {
    Off = 0x00,
    /// Reset without taking the power away. (QEMU's BMC refuses a power cycle, 0x02.)
    Reset = 0x03,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BmcError {
    #[error("{0}")]
    Lpc(#[from] LpcError),
    #[error("BMC is not ready for a request: control {0:#04x}")]
    Busy(u8),
    #[error("BMC does not answer: control {0:#04x}")]
    Silent(u8),
    #[error("BMC does not answer what it was asked: {0:02x?}")]
    Answer([u8; HEADER_LEN]),
    #[error("BMC refuses: completion code {0:#04x}")]
    Refused(u8),
}

/// Asks the machine's BMC. False if there is none. The machine goes on for a while after an
/// answer of true, so the caller should stop its threads and wait. `now_tb` is the time base.
///
/// # Errors
/// The BMC doesn't answer or refuses.
pub fn power(machine: &Machine, wanted: Power, now_tb: fn() -> u64) -> Result<bool, BmcError> {
    let bus = bus::lock();
    match bt(machine, &bus) {
        Some(bt) => chassis_control(&bt, wanted, now_tb).map(|()| true),
        None => Ok(false),
    }
}

/// Asks until it is done, refused for good, or the time is up: nobody can repeat this.
fn chassis_control(bt: &Bt, wanted: Power, now_tb: fn() -> u64) -> Result<(), BmcError> {
    let limit_tb = now_tb().wrapping_add(PATIENCE_TB);
    let is_over = || now_tb().wrapping_sub(limit_tb) as i64 >= 0;
    loop {
        let code = ask(bt, wanted, now_tb)?;
        if let Some(verdict) = verdict(code, is_over()) {
            return verdict;
        }
        pause(now_tb);
    }
}

/// What a completion code comes to; nothing if it is to be asked once more.
fn verdict(code: u8, is_over: bool) -> Option<Result<(), BmcError>> {
    match code {
        0 => Some(Ok(())),
        _ if PASSING.contains(&code) && !is_over => None,
        _ => Some(Err(BmcError::Refused(code))),
    }
}

fn pause(now_tb: fn() -> u64) {
    let until_tb = now_tb().wrapping_add(RETRY_TB);
    while (now_tb().wrapping_sub(until_tb) as i64) < 0 {}
}

/// The completion code. A BMC that is silent is asked once more: it may have lost the request.
fn ask(bt: &Bt, wanted: Power, now_tb: fn() -> u64) -> Result<u8, BmcError> {
    match ask_once(bt, wanted, now_tb) {
        Err(BmcError::Silent(_)) => ask_once(bt, wanted, now_tb),
        answer => answer,
    }
}

/// The completion code. Late answers to what was asked before are dropped.
fn ask_once(bt: &Bt, wanted: Power, now_tb: fn() -> u64) -> Result<u8, BmcError> {
    let sequence = next_sequence();
    wait(bt, now_tb, |bt| bt.is_ready())?.map_err(BmcError::Busy)?;
    bt.send(&[CHASSIS_REQUEST, sequence, CHASSIS_CONTROL, wanted as u8])?;
    let limit_tb = now_tb().wrapping_add(PATIENCE_TB);
    loop {
        wait(bt, now_tb, |bt| bt.has_response())?.map_err(BmcError::Silent)?;
        let mut response = [0; HEADER_LEN];
        let len = bt.receive(&mut response)?;
        match response {
            [CHASSIS_RESPONSE, answered, CHASSIS_CONTROL, code]
                if len >= HEADER_LEN && answered == sequence =>
            {
                return Ok(code);
            }
            other if now_tb().wrapping_sub(limit_tb) as i64 >= 0 => {
                return Err(BmcError::Answer(other));
            }
            _ => {}
        }
    }
}

/// Waits for a state; the inner error is what CONTROL was at last.
fn wait(
    bt: &Bt,
    now_tb: fn() -> u64,
    is_reached: impl Fn(&Bt) -> Result<bool, LpcError>,
) -> Result<Result<(), u8>, LpcError> {
    let limit_tb = now_tb() + PATIENCE_TB;
    while now_tb() < limit_tb {
        if is_reached(bt)? {
            return Ok(Ok(()));
        }
    }
    bt.control().map(Err)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::chip::xscom::Xscom;
    use crate::lpc::Lpc;
    use core::cell::Cell;

    /// A clock that goes on by a tenth of a second with each look.
    fn now_tb() -> u64 {
        std::thread_local!(static NOW_TB: Cell<u64> = const { Cell::new(0) });
        NOW_TB.with(|now_tb| now_tb.replace(now_tb.get() + 51_200_000))
    }

    /// What chassis control ends with if every port always reads as `byte`.
    fn ends_with(byte: u8) -> BmcError {
        // An LPC bridge whose status (its third register) says done, with that byte.
        let mut registers = [0_u64; 16];
        registers[2] = (asm::ibm(52) | u64::from(byte) << 50).to_be();
        let base = crate::memory::real::address(registers.as_mut_ptr());
        // SAFETY: `registers` outlives the bus, and the bridge's four registers lie in it.
        let lpc = Lpc::new(unsafe { Xscom::new(base) }, 0);
        chassis_control(&Bt::new(lpc, 0xe4), Power::Off, now_tb).unwrap_err()
    }

    #[test]
    fn a_bmc_that_stays_busy_is_given_up() {
        assert_eq!(ends_with(0x80), BmcError::Busy(0x80));
        assert_eq!(ends_with(0xff), BmcError::Busy(0xff));
    }

    #[test]
    fn a_bmc_that_never_answers_is_asked_twice_and_given_up() {
        let begin_tb = now_tb();
        assert_eq!(ends_with(0), BmcError::Silent(0));
        assert!(now_tb() - begin_tb >= 2 * PATIENCE_TB);
    }

    #[test]
    fn answers_to_nothing_asked_are_waited_out() {
        assert_eq!(ends_with(1 << 3), BmcError::Answer([8; 4]));
    }

    #[test]
    fn a_bmc_that_says_not_now_is_asked_again() {
        assert_eq!(verdict(0, false), Some(Ok(())));
        for code in [0xc0, 0xc3, 0xcf, 0xd1, 0xd2] {
            assert_eq!(verdict(code, false), None);
            assert_eq!(verdict(code, true), Some(Err(BmcError::Refused(code))));
        }
        // Invalid command; insufficient privilege.
        for code in [0xc1, 0xd4] {
            assert_eq!(verdict(code, false), Some(Err(BmcError::Refused(code))));
        }
    }
}

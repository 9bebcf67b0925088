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
fn a_bmc_that_never_answers_is_given_up() {
    assert_eq!(ends_with(0), BmcError::Silent(0));
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

#[test]
fn no_two_requests_at_once_have_the_same_number() {
    let first = next_sequence();
    assert!((0..200).all(|_| next_sequence() != first));
}

#[test]
fn a_response_that_nobody_fetches_is_in_nobodys_way() {
    let request = Message::new(0x18, 1, b"one").unwrap();
    let mut mailbox = Mailbox::Empty;
    assert_eq!(mailbox.put(request, 0), Ok(()));
    assert_eq!(mailbox.put(request, 0), Err(Refusal::Busy));
    mailbox = Mailbox::Answered(request);
    assert_eq!(mailbox.put(request, 0), Ok(()));
}

#[test]
fn the_next_host_finds_nothing_of_the_last_ones() {
    let request = Message::new(0x18, 1, b"one").unwrap();
    let lefts = [
        Mailbox::Empty,
        Mailbox::Answered(request),
        Mailbox::waiting(request, false, 0),
    ];
    for mut mailbox in lefts {
        mailbox.forget_hosts();
        assert!(matches!(mailbox, Mailbox::Empty));
    }
    let mut mailbox = own(request, 0);
    mailbox.forget_hosts();
    assert!(matches!(mailbox, Mailbox::Waiting { own: true, .. }));
}

#[test]
fn the_bmc_is_told_to_interrupt() {
    let response = Message::new(APPLICATION_REQUEST | RESPONSE, GET_GLOBAL_ENABLES, &[0, 8]);
    let Mailbox::Waiting { request, own, .. } = next_of_own(&response.unwrap(), 5) else {
        panic!("no second request");
    };
    assert!(own && request.command == SET_GLOBAL_ENABLES);
    assert_eq!(request.data(), [9]);
    for (command, data) in [
        (GET_GLOBAL_ENABLES, &[0xc1][..]),
        (SET_GLOBAL_ENABLES, &[0][..]),
    ] {
        let response = Message::new(APPLICATION_REQUEST | RESPONSE, command, data);
        let next = next_of_own(&response.unwrap(), 5);
        assert!(matches!(next, Mailbox::Empty));
    }
}

#[test]
fn a_message_has_limits() {
    assert!(Message::new(0x18, 1, &[0; MESSAGE_BYTES - 3]).is_some());
    assert!(Message::new(0x18, 1, &[0; MESSAGE_BYTES - 2]).is_none());
    let message = Message::new(0x18, 1, b"data").unwrap();
    assert_eq!(message.data(), b"data");
}

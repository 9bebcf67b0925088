extern crate std;
use super::*;

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

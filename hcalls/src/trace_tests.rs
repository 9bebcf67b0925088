extern crate std;
use super::*;
use std::vec::Vec;
use zerocopy::FromZeros;

const RECORDS: u64 = 8;

fn record(number: u64) -> Record {
    Record {
        tb: (1000 + number).into(),
        event: Event::Wake.into(),
        slot: NO_SLOT,
        vcore: NO_VCORE.into(),
        arg: (number as u32).into(),
    }
}

/// A trace of one ring into which `head` records were written, `since` of them before the Start.
fn trace(head: u64, since: u64, on: bool) -> Vec<u8> {
    let mut header = Header::new_zeroed();
    header.magic.set(MAGIC);
    header.version.set(VERSION);
    header.rings.set(1);
    header.header_bytes.set(128);
    header.ring_bytes.set(128 + 16 * RECORDS as u32);
    header.records.set(RECORDS as u32);
    header.record_bytes.set(16);
    header.on.set(u64::from(on));
    let mut ring = RingHeader::new_zeroed();
    ring.magic.set(RING_MAGIC);
    ring.pir.set(9);
    ring.head.set(head);
    ring.since.set(since);
    let mut records = [Record::new_zeroed(); RECORDS as usize];
    for number in 0..head {
        records[(number % RECORDS) as usize] = record(number);
    }
    [header.as_bytes(), ring.as_bytes(), records.as_bytes()].concat()
}

/// Numbers of the records that are read, and how many were lost.
fn read(bytes: &[u8]) -> (Vec<u64>, u64) {
    let trace = Trace::read(bytes).unwrap();
    let ring = trace.rings().next().unwrap();
    assert_eq!(ring.pir(), 9);
    let numbers = ring.records().map(|read| {
        let number = u64::from(read.arg.get());
        assert_eq!(read, record(number));
        number
    });
    (numbers.collect(), ring.lost())
}

#[test]
fn records_are_read_oldest_first() {
    assert_eq!(read(&trace(0, 0, false)), ([].into(), 0));
    assert_eq!(read(&trace(3, 0, false)), ([0, 1, 2].into(), 0));
    assert_eq!(read(&trace(8, 0, false)), ((0..8).collect(), 0));
}

#[test]
fn the_oldest_are_written_over() {
    assert_eq!(read(&trace(9, 0, false)), ((1..9).collect(), 1));
    assert_eq!(read(&trace(20, 0, false)), ((12..20).collect(), 12));
}

#[test]
fn only_what_was_recorded_since_the_start_counts() {
    assert_eq!(read(&trace(20, 17, false)), ((17..20).collect(), 0));
    assert_eq!(read(&trace(20, 5, false)), ((12..20).collect(), 7));
    assert_eq!(read(&trace(20, 20, false)), ([].into(), 0));
    // Torn: the head was read before the Start.
    assert_eq!(read(&trace(20, 21, false)), ([].into(), 0));
}

#[test]
fn the_record_being_written_is_left_out() {
    assert_eq!(read(&trace(3, 0, true)), ((0..3).collect(), 0));
    assert_eq!(read(&trace(8, 0, true)), ((1..8).collect(), 1));
}

#[test]
fn what_is_no_trace_is_refused() {
    let good = trace(3, 0, false);
    let spoilt = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        Trace::read(&bytes).map(drop)
    };
    assert_eq!(Trace::read(&[]).map(drop), Err(BadTrace::Short));
    assert_eq!(Trace::read(&good[..200]).map(drop), Err(BadTrace::Short));
    assert_eq!(spoilt(0, 0), Err(BadTrace::Magic));
    assert_eq!(spoilt(11, 2), Err(BadTrace::Version(2)));
    assert_eq!(spoilt(15, 2), Err(BadTrace::Short));
    assert_eq!(spoilt(16, 0xff), Err(BadTrace::Short));
    assert_eq!(spoilt(23, 1), Err(BadTrace::Sizes));
    assert_eq!(spoilt(27, 7), Err(BadTrace::Sizes));
    assert_eq!(spoilt(31, 8), Err(BadTrace::Sizes));
    assert_eq!(spoilt(128, 0), Err(BadTrace::Ring(0)));
}

/// Whatever the bytes say, reading them ends, and in no panic.
#[test]
fn any_byte_may_be_wrong() {
    let good = trace(12, 2, false);
    for at in 0..256 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = value;
            if let Ok(trace) = Trace::read(&bytes) {
                let records = trace.rings().flat_map(|ring| ring.records()).count();
                assert!(records <= RECORDS as usize);
            }
        }
    }
}

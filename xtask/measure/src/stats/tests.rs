//! Exports that are made here, as tables.
use hcalls::call_log::{self, Count, ThreadLog, Traced};
use hcalls::vcore_table::{self, Core, Vcore};
use zerocopy::{FromZeros, IntoBytes};

use super::columns::{columns, heading};
use super::show;

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// One vcore of two vcpus, of which one has run, and a core.
fn vcores() -> Vec<u8> {
    let mut header = vcore_table::Header::new_zeroed();
    header.magic.set(vcore_table::MAGIC);
    header.version.set(vcore_table::VERSION);
    header
        .header_bytes
        .set(size_of::<vcore_table::Header>() as u32);
    header.vcores.set(2);
    header.vcore_bytes.set(size_of::<Vcore>() as u32);
    header.cores.set(1);
    header.core_bytes.set(size_of::<Core>() as u32);
    header.tb_hz.set(512_000_000);
    header.updates.set(6);
    let mut vcore = Vcore::new_zeroed();
    vcore.handle.set(0x2_0000_0001_0001);
    vcore.lpid.set(5);
    vcore.first_id.set(8);
    vcore.stats.runs.set(4);
    vcore.stats.run_tb.set(4 * 5120);
    vcore.stats.exits[1].set(3);
    vcore.stats.exits[14].set(1);
    for (slot, vcpu) in vcore.vcpus[..2].iter_mut().enumerate() {
        vcpu.present.set(1);
        vcpu.entries.set(slot as u64 * 7);
        vcpu.reason.set(slot as u32);
    }
    let mut core = Core::new_zeroed();
    core.pir.set(8);
    core.spurious.set(2);
    let free = Vcore::new_zeroed();
    [
        header.as_bytes(),
        free.as_bytes(),
        vcore.as_bytes(),
        core.as_bytes(),
    ]
    .concat()
}

#[test]
fn vcores_vcpus_and_cores_are_shown() {
    let text = show(&vcores()).unwrap();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(words)
        .collect();
    assert_eq!(lines[0][..2], ["1", "vcores;"]);
    assert_eq!(
        lines[2],
        [
            "0x2000000010001",
            "5",
            "2",
            "4",
            "0",
            "0",
            "0",
            "0",
            "0",
            "0",
            "10.0"
        ]
    );
    assert_eq!(lines[4][1..], ["Hypercall", "3,", "Pulled", "1"]);
    assert_eq!(lines[6][1..], ["8", "0", "0.0", "0.0", "0", "0", "None"]);
    assert_eq!(
        lines[7][1..],
        ["9", "7", "0.0", "0.0", "0", "0", "Hypercall"]
    );
    assert_eq!(lines[9], ["0x8", "the", "firmware's", "2"]);
}

/// Two threads, of which the first has made two calls of the second kind.
fn calls() -> Vec<u8> {
    let mut header = call_log::Header::new_zeroed();
    header.magic.set(call_log::MAGIC);
    header.version.set(call_log::VERSION);
    header.threads.set(2);
    header.calls.set(3);
    header.traced.set(1);
    let mut bytes = header.as_bytes().to_vec();
    for token in [0_u32, 10, 1106, 0] {
        bytes.extend(token.to_be_bytes());
    }
    for thread in 0..2_u64 {
        let mut log = ThreadLog::new_zeroed();
        log.pir.set(8 + thread);
        log.calls.set(2 * (1 - thread));
        let mut counts = [Count::new_zeroed(); 3];
        counts[1].calls.set(2 * (1 - thread));
        counts[1].total_tb.set(1024);
        counts[1].most_tb.set(512 + thread * 512);
        bytes.extend(log.as_bytes());
        bytes.extend(counts.as_bytes());
        bytes.extend(Traced::new_zeroed().as_bytes());
    }
    bytes
}

#[test]
fn calls_are_added_up() {
    let text = show(&calls()).unwrap();
    let lines: Vec<_> = text.lines().map(words).collect();
    assert_eq!(lines[1], ["OPAL_POLL_EVENTS", "2", "2000", "2000", "4.0"]);
    assert_eq!(lines[2].len(), 0);
    assert_eq!(lines[4], ["0x8", "2"]);
    assert_eq!(lines.len(), 5);
}

/// Whatever the bytes are, reading them ends.
#[test]
fn nonsense_is_refused_or_shown() {
    for whole in [vcores(), calls()] {
        for len in 0..whole.len() {
            assert!(show(&whole[..len]).is_err(), "{len}");
        }
        for at in 0..whole.len() {
            for value in [0, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = show(&bytes);
            }
        }
    }
    assert!(show(b"something else").is_err());
}

#[test]
fn numbers_stand_to_the_right() {
    let rows = [
        heading(&["a", "b"]),
        heading(&["xy", "1"]),
        heading(&["z", "20.5"]),
    ];
    assert_eq!(columns(&rows), "a      b\nxy     1\nz   20.5");
}

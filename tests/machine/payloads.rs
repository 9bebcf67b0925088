//! Files that can't be run are refused with the reason, and others are entered as they should be.
use std::time::Duration;

use libtest_mimic::Trial;
use tests::console::Expected;
use tests::elf::{Elf, PAYLOAD_BASE, Segment};
use tests::images;
use tests::qemu::{Boot, End};

use crate::{Outcome, trial};

/// Asks the firmware to switch off: `mr r2,r8; li r0,5; li r3,0; mtctr r9; bctrl; b .`
const SWITCH_OFF: [u32; 6] = [
    0x7d02_4378,
    0x3800_0005,
    0x3860_0000,
    0x7d29_03a6,
    0x4e80_0421,
    0x4800_0000,
];
/// Where nothing is, so that segments can go there.
const FREE: u64 = 0x4000_0000;
const FIRMWARE: u64 = 0x3000_0000;
const X86_64: u16 = 62;
/// Where the segments' bytes begin in a file with two of them.
const FIRST_BYTES: u64 = 64 + 2 * 56;

/// What the firmware says before it gives up.
pub const REFUSAL: &str = "catnap: can't boot: ";

pub fn code() -> Vec<u8> {
    SWITCH_OFF
        .iter()
        .flat_map(|word| word.to_be_bytes())
        .collect()
}

/// A file that can be run.
pub fn good() -> Elf {
    Elf::new(&[Segment::new(FREE, &code())])
}

fn two_segments(second: Segment) -> Vec<u8> {
    Elf::new(&[Segment::new(FREE, &code()), second]).to_bytes()
}

/// Name, the file, and what is said of it.
type Refused = (&'static str, fn() -> Vec<u8>, &'static str);

const REFUSED: [Refused; 13] = [
    (
        "packed",
        || b"\x1f\x8b\x08\0".repeat(100),
        "payload: the file is packed by gzip",
    ),
    (
        "header-cut-short",
        || good().to_bytes()[..40].to_vec(),
        "payload: ",
    ),
    // What lies behind the file is zeros.
    (
        "other-class",
        || changed(4, 1),
        "payload: ELF class 1 is not 64-bit",
    ),
    (
        "no-byte-order",
        || changed(5, 3),
        "payload: ELF data encoding 3",
    ),
    ("no-program", || changed(17, 1), "payload: ELF type 1"),
    ("other-machine", other_machine, "payload: ELF machine 62"),
    (
        "no-segments",
        || changed(57, 0),
        "payload: ELF has 0 segments",
    ),
    ("garbage-behind-magic", garbage, "payload: ELF "),
    (
        "overlapping-segments",
        || two_segments(Segment::new(FREE + 4, b"again")),
        "payload: ELF segments meet",
    ),
    (
        "segment-over-the-firmware",
        || two_segments(Segment::new(FIRMWARE + 0x1000, b"mine")),
        "meets the firmware",
    ),
    (
        "segment-outside-of-memory",
        || two_segments(Segment::new(0x80_0000_0000, b"nowhere")),
        "is not in RAM",
    ),
    (
        "segment-over-its-file",
        || two_segments(Segment::new(PAYLOAD_BASE + FIRST_BYTES, b"own")),
        "payload: ELF segments meet",
    ),
    ("entry-outside", entry_outside, "payload: ELF entry"),
];

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![trial("payloads::none", || {
        boot(None)
            .check(&End::Off, &refused("no payload"))
            .map(drop)
    })];
    for (name, file, reason) in REFUSED {
        trials.push(trial(format!("payloads::{name}"), move || {
            let boot = boot(Some((name, file())));
            boot.check(&End::Off, &refused(reason)).map(drop)
        }));
    }
    trials.push(trial("payloads::elf", || runs("elf", good().to_bytes())));
    trials.push(trial("payloads::elf-to-be-copied", || {
        let file = two_segments(Segment::new(FREE + 0x1_0000, b"elsewhere"));
        runs("elf-to-be-copied", file)
    }));
    trials.push(trial("payloads::flat", || runs("flat", code())));
    trials.push(trial("payloads::little-endian", || {
        let file = Elf {
            little_endian: true,
            ..good()
        };
        runs("little-endian", file.to_bytes())
    }));
    trials
}

fn boot(file: Option<(&str, Vec<u8>)>) -> Boot {
    let write = |(name, bytes): (&str, Vec<u8>)| images::scratch_file(name, &bytes);
    Boot {
        payload: file.map(write),
        limit: Duration::from_secs(60),
        ..Boot::new(1, 2)
    }
}

fn refused(reason: &str) -> Expected {
    Expected::lines([reason])
        .allow(REFUSAL)
        .forbid("to the host")
}

/// A payload is entered big-endian, whatever its file's byte order.
fn runs(name: &str, file: Vec<u8>) -> Outcome {
    let expected = Expected::lines(["catnap: to the host"]);
    boot(Some((name, file)))
        .check(&End::Off, &expected)
        .map(drop)
}

/// A good file but for one byte.
fn changed(at: usize, byte: u8) -> Vec<u8> {
    let mut file = good().to_bytes();
    file[at] = byte;
    file
}

fn other_machine() -> Vec<u8> {
    Elf {
        machine: X86_64,
        ..good()
    }
    .to_bytes()
}

fn entry_outside() -> Vec<u8> {
    Elf {
        entry: FREE + 0x1000,
        ..good()
    }
    .to_bytes()
}

fn garbage() -> Vec<u8> {
    let noise = (0..4000_u32).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 24) as u8);
    b"\x7fELF".iter().copied().chain(noise).collect()
}

//! What is in flash is booted without a loader, or refused with the reason.
use std::time::Duration;

use libtest_mimic::Trial;
use tests::console::Expected;
use tests::images;
use tests::qemu::{Boot, End};
use xtask::pnor::{self, format};

use crate::payloads::{REFUSAL, code, good};
use crate::{Outcome, trial};

const MIB: usize = 1 << 20;
const FLASH_BYTES: usize = 4 * MIB;
const KERNEL_AT: usize = MIB;
/// Where the other side's table lies.
const OTHER_AT: usize = 2 * MIB;
/// The container before the kernel.
const CONTAINER_BYTES: usize = 4096;

/// A flash with that kernel behind a container, perhaps with error-correcting code.
fn flash(kernel: &[u8], ecc: bool) -> Vec<u8> {
    let flags = format::Flags {
        ecc,
        ..format::Flags::default()
    };
    let part = |name, offset_bytes, len_bytes, flags, content| format::Partition {
        name,
        offset_bytes,
        len_bytes,
        flags,
        content,
    };
    let kernel = format::contained(kernel);
    let table = part("part", 0, 4096, format::Flags::default(), Vec::new());
    let kernel = part("BOOTKERNEL", KERNEL_AT, MIB, flags, kernel);
    format::flash(&[table, kernel], FLASH_BYTES)
}

fn packed() -> Vec<u8> {
    pnor::packed(&good().to_bytes()).expect("a kernel can be packed")
}

fn changed(mut flash: Vec<u8>, at: usize, bits: u8) -> Vec<u8> {
    flash[at] ^= bits;
    flash
}

/// The bus's words behind the table and its sides.
fn with_other_side(first_at: usize) -> Vec<u8> {
    let mut flash = flash(&packed(), false);
    let table = flash[..4096].to_vec();
    flash[OTHER_AT..OTHER_AT + 4096].copy_from_slice(&table);
    flash[first_at] ^= 1;
    flash
}

/// Name, the flash, and what is said before the host is entered.
type Booted = (&'static str, fn() -> Vec<u8>, &'static [&'static str]);

const HOLDS: &str = "its container's hash holds";
const BOOTED: [Booted; 6] = [
    ("plain", || flash(&good().to_bytes(), false), &[HOLDS]),
    (
        "packed",
        || flash(&packed(), false),
        &[HOLDS, "BOOTKERNEL: unpacked to"],
    ),
    (
        "packed-and-coded",
        || flash(&packed(), true),
        &[HOLDS, "BOOTKERNEL: unpacked to"],
    ),
    (
        "corrected",
        || {
            changed(
                flash(&packed(), true),
                KERNEL_AT + CONTAINER_BYTES / 8 * 9,
                4,
            )
        },
        &["BOOTKERNEL: 1 wrong bits were corrected"],
    ),
    (
        "other-side",
        || with_other_side(20),
        &["partition table's header has a wrong sum: the table at 0x200000 is used instead"],
    ),
    (
        "other-side-by-entry",
        || with_other_side(60),
        &["entry 0 of the partition table has a wrong sum: the table at 0x200000"],
    ),
];

/// Name, the flash, and the reason.
type Refused = (&'static str, fn() -> Vec<u8>, &'static str);

const REFUSED: [Refused; 6] = [
    ("erased", || vec![0xff; MIB], "no payload"),
    (
        "wrong-hash",
        || changed(flash(&packed(), false), KERNEL_AT + CONTAINER_BYTES + 9, 1),
        "BOOTKERNEL: payload is not what its container's hash was made of",
    ),
    (
        "wrong-bits",
        || {
            changed(
                flash(&packed(), true),
                KERNEL_AT + CONTAINER_BYTES / 8 * 9,
                3,
            )
        },
        "BOOTKERNEL: more than one bit is wrong in eight bytes of data at 0x1000",
    ),
    (
        "damaged-xz",
        || flash(&damaged(), false),
        "BOOTKERNEL: xz file is damaged",
    ),
    (
        "no-program",
        || flash(b"\x7fELF, and no more", false),
        "payload: ELF",
    ),
    (
        "kernel-cut-short",
        || flash(&packed()[..60], false),
        "BOOTKERNEL: xz file is cut short",
    ),
];

/// A packed kernel that was damaged before its container was made.
fn damaged() -> Vec<u8> {
    let packed = packed();
    let middle = packed.len() / 2;
    changed(packed, middle, 0x10)
}

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, flash, said) in BOOTED {
        trials.push(trial(format!("flash::{name}"), move || {
            let mut expected =
                Expected::lines(said.iter().chain(&["catnap: to the host"]).copied());
            if !said.contains(&HOLDS) {
                expected = expected.allow(said[0]);
            }
            boot(name, flash()).check(&End::Off, &expected).map(drop)
        }));
    }
    for (name, flash, reason) in REFUSED {
        trials.push(trial(format!("flash::{name}"), move || {
            let expected = Expected::lines([reason])
                .allow(REFUSAL)
                .forbid("to the host");
            boot(name, flash()).check(&End::Off, &expected).map(drop)
        }));
    }
    trials.push(trial("flash::wins-over-memory", wins_over_memory));
    trials.push(trial("flash::memory-by-choice", memory_by_choice));
    trials
}

fn boot(name: &str, flash: Vec<u8>) -> Boot {
    let path = images::scratch_file(&format!("flash-{name}"), &flash);
    let drive = format!("file={},format=raw,if=mtd", path.display());
    Boot {
        extra: vec!["-drive".into(), drive],
        limit: Duration::from_secs(60),
        ..Boot::new(1, 2)
    }
}

/// A kernel in memory as well, which begins with its first byte.
fn with_both(name: &str) -> Boot {
    let payload = images::scratch_file(&format!("both-{name}"), &code());
    Boot {
        payload: Some(payload),
        ..boot(name, flash(&packed(), false))
    }
}

fn wins_over_memory() -> Outcome {
    let expected = Expected::lines([HOLDS, "catnap: to the host at 0x20000078"]);
    with_both("wins").check(&End::Off, &expected).map(drop)
}

fn memory_by_choice() -> Outcome {
    let boot = Boot {
        bootargs: "catnap.boot=memory".into(),
        ..with_both("loses")
    };
    let expected = Expected::lines(["catnap: to the host at 0x20000000"]).forbid(HOLDS);
    boot.check(&End::Off, &expected).map(drop)
}

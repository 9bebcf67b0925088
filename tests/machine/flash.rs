//! What is in flash is booted without a loader, or refused with the reason.
use std::time::Duration;

use libtest_mimic::Trial;
use platform::lpc::nvram;
use sha2::{Digest, Sha512};
use tests::console::Expected;
use tests::images;
use tests::qemu::{Boot, End};
use xtask::pnor::{self, format};

use crate::payloads::{REFUSAL, code, good};
use crate::{Outcome, trial};

mod signed;

const MIB: usize = 1 << 20;
const FLASH_BYTES: usize = 4 * MIB;
const KERNEL_AT: usize = MIB;
/// Where the other side's table lies.
const OTHER_AT: usize = 2 * MIB;
/// The container before the kernel.
const CONTAINER_BYTES: usize = 4096;

/// A flash with that kernel behind a container, perhaps with error-correcting code.
fn flash(kernel: &[u8], ecc: bool) -> Vec<u8> {
    flash_of(format::contained(kernel, None), ecc)
}

/// A flash with that as BOOTKERNEL.
fn flash_of(kernel: Vec<u8>, ecc: bool) -> Vec<u8> {
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
const WINDOWS: &str = "flash: 4096 KiB, through the BMC's windows";
const BOOTED: [Booted; 6] = [
    (
        "plain",
        || flash(&good().to_bytes(), false),
        &[WINDOWS, HOLDS],
    ),
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
    trials.push(trial("flash::calls", calls));
    trials.push(trial("flash::without-bmc", without_bmc));
    trials.push(trial("flash::nvram-lasts", nvram_lasts));
    trials.push(trial("flash::nvram-torn", nvram_torn));
    trials.push(trial("flash::nvram-in-part", nvram_in_part));
    trials.push(trial("flash::wins-over-memory", wins_over_memory));
    trials.push(trial("flash::memory-by-choice", memory_by_choice));
    trials.extend(signed::trials());
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

/// The host reads, writes and erases it; what was written last is in the file.
fn calls() -> Outcome {
    let host = Boot {
        payload: Some(images::path("testhost")),
        initrd: Some(images::scratch_file("flash-guests.cpio", &images::guests())),
        bootargs: format!("test=flash flash={FLASH_BYTES} catnap.boot=memory"),
        ..boot("calls", flash(&packed(), false))
    };
    let expected = Expected::lines(["ok flash"])
        .allow("OPAL_FLASH_")
        .allow("OPAL_LPC_")
        .forbid("FAILED");
    host.check(&End::Off, &expected)?;
    let left = std::fs::read(images::scratch_path("flash-calls")).map_err(|why| why.to_string())?;
    match &left[MIB - 4096..][..4] {
        b"kept" => Ok(()),
        other => Err(format!("the file has {other:02x?}")),
    }
}

/// Nobody has to be asked for a window.
fn without_bmc() -> Outcome {
    let boot = Boot {
        bmc: false,
        ..boot("without-bmc", flash(&packed(), false))
    };
    let expected = Expected::lines([HOLDS, "catnap: to the host"]).forbid("windows");
    boot.check(&End::Off, &expected).map(drop)
}

const NVRAM_AT: usize = 3 * MIB;
/// As it lies in flash, a ninth of it code.
const NVRAM_RAW_BYTES: usize = 0x12000;
const NVRAM_BYTES: usize = NVRAM_RAW_BYTES / 9 * 8;

/// A flash that has a kernel and that NVRAM.
fn with_nvram(content: Vec<u8>) -> Vec<u8> {
    let part = |name, offset_bytes, len_bytes, ecc, content| format::Partition {
        name,
        offset_bytes,
        len_bytes,
        flags: format::Flags {
            ecc,
            ..format::Flags::default()
        },
        content,
    };
    let kernel = format::contained(&good().to_bytes(), None);
    let parts = [
        part("part", 0, 4096, false, Vec::new()),
        part("BOOTKERNEL", KERNEL_AT, MIB, false, kernel),
        part("NVRAM", NVRAM_AT, NVRAM_RAW_BYTES, true, content),
    ];
    format::flash(&parts, FLASH_BYTES)
}

const MADE_ANEW: &str = "NVRAM is empty or damaged: it is made anew";
const NOTHING: &str = "NVRAM: nothing is written at 0x0";

/// Erased NVRAM is made once; a setting of the firmware's is found there by the next machine.
fn nvram_lasts() -> Outcome {
    let boot = boot("nvram-lasts", with_nvram(Vec::new()));
    let first = Expected::lines([NOTHING, MADE_ANEW, HOLDS]).allow(NOTHING);
    boot.check(&End::Off, &first)?;
    let path = images::scratch_path("flash-nvram-lasts");
    let mut flash = std::fs::read(&path).map_err(|why| why.to_string())?;
    let mut made = vec![0; NVRAM_BYTES];
    nvram::format(&mut made);
    let raw = |content: &[u8]| with_nvram(content.to_vec())[NVRAM_AT..][..NVRAM_RAW_BYTES].to_vec();
    // The firmware's journal was at the end.
    let same = NVRAM_RAW_BYTES - 4120 / 8 * 9;
    if flash[NVRAM_AT..][..same] != raw(&made)[..same] {
        return Err("NVRAM in flash is not as it is made".into());
    }
    made[16..28].copy_from_slice(b"threads=host");
    flash[NVRAM_AT..][..NVRAM_RAW_BYTES].copy_from_slice(&raw(&made));
    std::fs::write(&path, flash).map_err(|why| why.to_string())?;
    let second = Expected::lines([HOLDS, "catnap: the host has all threads"]).forbid(MADE_ANEW);
    boot.check(&End::Off, &second).map(drop)
}

/// A word that is lost costs no setting elsewhere.
fn nvram_in_part() -> Outcome {
    const LOST: &str = "NVRAM: 8 bytes are lost in flash";
    let mut content = vec![0; NVRAM_BYTES];
    nvram::format(&mut content);
    content[16..28].copy_from_slice(b"threads=host");
    let flash = changed(with_nvram(content), NVRAM_AT + 0x900, 3);
    let expected = Expected::lines([LOST, "catnap: the host has all threads"]);
    let expected = expected.allow(LOST).forbid(MADE_ANEW);
    boot("nvram-in-part", flash)
        .check(&End::Off, &expected)
        .map(drop)
}

/// A write that the last machine had put into its journal is carried out.
fn nvram_torn() -> Outcome {
    const JOURNAL_AT: usize = NVRAM_BYTES - 24 - 4096;
    let mut content = vec![0; NVRAM_BYTES];
    nvram::format(&mut content);
    // Sixteen bytes, behind the header of the firmware's partition.
    let place = (16_u64 << 32 | 16).to_be_bytes();
    let data = b"threads=host\0\0\0\0";
    let sum = Sha512::new()
        .chain_update(place)
        .chain_update(data)
        .finalize();
    let journal = [b"catnapJ1", &place[..], &sum[..8], data].concat();
    content[JOURNAL_AT..][..journal.len()].copy_from_slice(&journal);
    let expected = Expected::lines([
        "NVRAM: a write that was cut off is done",
        "catnap: the host has all threads",
    ]);
    let boot = boot("nvram-torn", with_nvram(content));
    boot.check(&End::Off, &expected)?;
    let again = Expected::lines(["catnap: the host has all threads"]).forbid("cut off");
    boot.check(&End::Off, &again).map(drop)
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

//! Guests that try what isn't theirs: every instruction and special-purpose register of the
//! hypervisor's.
use alloc::string::String;

use hcalls::exit::ExitReason;
use images::guest_runtime::spr;
use images::host_runtime::guest::Guest;
use images::println;

use crate::check::{Outcome, same};
use crate::lab::{self, Lab, Wanted};
use crate::{objects, registers};

/// Where the instruction under trial is put, with an `sc 1` behind it.
const PLACE: u64 = 0x1f00;
const HYPERCALL: u32 = 0x4400_0022;

/// What an instruction came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// It was executed, and the guest went on.
    On,
    /// The guest took an interrupt of its own, by this vector.
    OwnVector(u64),
    /// Out to the host.
    Out(ExitReason),
}

/// Has the guest execute one instruction, with r5 and r6 = `value`.
fn attempt(guest: &mut Guest, instruction: u32, value: u64) -> Result<Came, String> {
    put(guest, PLACE, instruction)?;
    let start = objects::copy(guest.page_address(0));
    let page = guest.page_mut(0);
    registers::fill(page, &start, value ^ u64::from(instruction));
    page.gpr[5].set(value);
    page.gpr[6].set(value);
    page.pc.set(PLACE);
    let run = lab::run(guest, 1)?;
    same("exited", run.exited, 1)?;
    let page = guest.page(0);
    let reason = ExitReason::try_from(page.firmware.reason.get());
    match (reason, page.pc.get() - 4) {
        (Ok(ExitReason::Hypercall), PLACE) => Ok(Came::Out(ExitReason::Hypercall)),
        (Ok(ExitReason::Hypercall), at) if at == PLACE + 4 => Ok(Came::On),
        (Ok(ExitReason::Hypercall), vector) => Ok(Came::OwnVector(vector)),
        (Ok(reason), _) => Ok(Came::Out(reason)),
        (Err(_), _) => Err("no exit reason".into()),
    }
}

fn put(guest: &mut Guest, address: u64, instruction: u32) -> Outcome {
    guest
        .bytes(address, 4)
        .ok_or("the guest's memory")?
        .copy_from_slice(&instruction.to_be_bytes());
    Ok(())
}

/// A guest whose vectors are an `sc 1` each.
fn guest(lab: &mut Lab) -> Result<Guest, String> {
    let mut guest = lab.guest(&Wanted {
        uses_fp: true,
        ..Wanted::new("loop", 1)
    })?;
    for vector in (0x100..0x1800).step_by(0x20) {
        put(&mut guest, vector, HYPERCALL)?;
    }
    put(&mut guest, PLACE + 4, HYPERCALL)?;
    Ok(guest)
}

/// `mtspr` and `mfspr` of r5.
fn move_to(spr: u32) -> u32 {
    0x7ca0_03a6 | split(spr)
}
fn move_from(spr: u32) -> u32 {
    0x7ca0_02a6 | split(spr)
}
fn split(spr: u32) -> u32 {
    (spr & 31) << 16 | (spr >> 5) << 11
}

/// Instructions of the hypervisor's, and what they come to: their operands are r5 and r6.
const INSTRUCTIONS: [(&str, u32, Came); 23] = [
    ("hrfid", 0x4c00_0224, REFUSED),
    ("doze", 0x4c00_0324, REFUSED),
    ("nap", 0x4c00_0364, REFUSED),
    ("sleep", 0x4c00_03a4, REFUSED),
    ("rvwinkle", 0x4c00_03e4, REFUSED),
    ("tlbie", 0x7cc0_2a64, REFUSED),
    ("tlbsync", 0x7c00_046c, REFUSED),
    ("msgsnd", 0x7c00_299c, REFUSED),
    ("msgclr", 0x7c00_29dc, REFUSED),
    ("lbzcix", 0x7ca0_36aa, REFUSED),
    ("lhzcix", 0x7ca0_366a, REFUSED),
    ("lwzcix", 0x7ca0_362a, REFUSED),
    ("ldcix", 0x7ca0_36ea, REFUSED),
    ("stbcix", 0x7ca0_37aa, REFUSED),
    ("sthcix", 0x7ca0_376a, REFUSED),
    ("stwcix", 0x7ca0_372a, REFUSED),
    ("stdcix", 0x7ca0_37ea, REFUSED),
    ("attn", 0x0000_0200, ILLEGAL),
    ("an illegal one", 0, ILLEGAL),
    // Of a system call's level only the last bit counts (3.3.1).
    ("sc 0", 0x4400_0002, Came::OwnVector(0xc00)),
    ("sc 2", 0x4400_0042, Came::OwnVector(0xc00)),
    ("sc 127", 0x4400_0fe2, Came::Out(ExitReason::Hypercall)),
    // HV doesn't change: the guest goes on as a guest.
    ("mtmsrd", 0x7ca0_0164, Came::On),
];
const REFUSED: Came = Came::OwnVector(0x700);
const ILLEGAL: Came = Came::Out(ExitReason::EmulationAssist);

/// Registers that a guest may neither read nor write (Power ISA 2.07 Book III-S 4.4.4, with those
/// that POWER8 adds).
const NOT_READ: [u32; 31] = [
    25, 180, 186, 187, 188, 190, 284, 285, 286, 304, 305, 306, 307, 310, 312, 313, 314, 315, 316,
    317, 318, 319, 336, 337, 338, 339, 349, 850, 851, 921, 922,
];
/// Registers that a guest may read and not write.
const NOT_WRITTEN: [u32; 10] = [136, 176, 259, 268, 269, 308, 309, 848, 849, 1023];

/// A guest that executes every instruction of the hypervisor's, and reads and writes each of the
/// 1,024 special-purpose registers that an instruction can name: what isn't its own gets it an
/// interrupt of its own, and neither its host nor another guest finds anything changed.
pub fn forbidden(lab: &mut Lab) -> Outcome {
    let (mut guest, mut other) = (guest(lab)?, guest(lab)?);
    let before = hypervisors();
    for (name, instruction, wanted) in INSTRUCTIONS {
        // An address of the firmware's, so that whatever gets through does harm.
        let came = attempt(&mut guest, instruction, 0x3000_0000)?;
        same(name, came, wanted)?;
    }
    let mut went_on = 0;
    for spr in 0..1024 {
        went_on += u64::from(registers_of(&mut guest, &mut other, spr)?);
        ensure!(
            hypervisors() == before,
            "register {spr} of the host has changed"
        );
    }
    println!("forbidden: {went_on} registers can be written");
    registers::one_instruction(&mut guest, 1)?;
    registers::one_instruction(&mut other, 2)
}

/// Reads and writes register `spr`; whether it can be written.
fn registers_of(guest: &mut Guest, other: &mut Guest, spr: u32) -> Result<bool, String> {
    let read = attempt(guest, move_from(spr), 0)?;
    if NOT_READ.contains(&spr) {
        same("read", (spr, read), (spr, REFUSED))?;
    }
    let mut came = REFUSED;
    for value in [0, u64::MAX, 0x5ca1_ab1e_0dd5_ecd4 ^ u64::from(spr) << 32] {
        came = attempt(guest, move_to(spr), value)?;
        if NOT_READ.contains(&spr) || NOT_WRITTEN.contains(&spr) {
            same("write", (spr, came), (spr, REFUSED))?;
        }
        if attempt(other, move_from(spr), !value)? == Came::On {
            let found = other.page(0).gpr[5].get();
            let crossed = found == value && !matches!(value, 0 | u64::MAX);
            ensure!(!crossed, "register {spr}: the other guest reads {found:#x}");
        }
    }
    Ok(came == Came::On)
}

/// The host's own registers that no guest may change, as far as a run keeps them.
fn hypervisors() -> [u64; 14] {
    [
        spr::read::<25>(), // SDR1
        spr::read::<186>(),
        spr::read::<190>(), // HFSCR
        spr::read::<304>(), // HSPRG0
        spr::read::<305>(),
        spr::read::<312>(),  // RMOR
        spr::read::<313>(),  // HRMOR
        spr::read::<318>(),  // LPCR
        spr::read::<319>(),  // LPIDR
        spr::read::<337>(),  // HMEER
        spr::read::<338>(),  // PCR
        spr::read::<349>(),  // AMOR
        spr::read::<921>(),  // TSCR
        spr::read::<1008>(), // HID0
    ]
}

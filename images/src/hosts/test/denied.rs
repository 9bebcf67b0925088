//! Accesses that an entry denies: the guest's own entry, or what the host has made of it.
use hcalls::exit::ExitReason;
use images::behaviour::exits::{DATA_OUTSIDE, FETCH_OUTSIDE, STEP, STORE_OUTSIDE};
use images::guest_calls::H_REPORT;
use images::host_runtime::guest::Guest;
use images::host_runtime::hpt::PAGE_BYTES;
use images::host_runtime::mmu;

use crate::check::{Outcome, same};
use crate::faults::{OUTSIDE, PROBLEM, RELOCATION, start_with, table, told};
use crate::lab::{self, Lab};
use crate::page_tables::{self, PLAIN, enters};

/// An entry's second doubleword: its protection (with the highest bit apart), no execution, and the storage key.
const READ_ONLY: u64 = 3;
const PROTECTION: u64 = 3;
const PP0: u64 = 1 << 63;
const NO_EXECUTE: u64 = 1 << 2;
const KEY_5: u64 = 5 << 9;
const KEY_31: u64 = 3 << 60 | 7 << 9;
/// AMR: what these keys deny.
const NO_LOADS_5: u64 = 1 << (62 - 2 * 5);
const NO_STORES_31: u64 = 2;
/// Ks and Kp of an SLB entry.
const KS: u64 = 1 << 11;
const KP: u64 = 1 << 10;
/// MSR\[IR\].
const IR: u64 = 1 << 5;
/// DSISR and SRR1.
const DENIED: u64 = 1 << 27;
const STORE: u64 = 1 << 25;
const KEY_DENIES: u64 = 1 << 21;
const NO_FETCH: u64 = 1 << 28;
/// Where the map has nothing.
const HOLE: u64 = 1 << 32;

/// What vcpu 0 does with a page, as it has entered it, with Ks or Kp, AMR and IAMR.
struct Case {
    second: u64,
    does: u64,
    segment: u64,
    amr: u64,
    iamr: u64,
    /// MSR bits.
    msr: u64,
    /// Its own interrupt, with DSISR's or SRR1's bits. None: it can.
    own: Option<(u64, u64)>,
}

const fn case(second: u64, does: u64, segment: u64, amr: u64, own: Option<(u64, u64)>) -> Case {
    Case {
        second,
        does,
        segment,
        amr,
        iamr: 0,
        msr: RELOCATION,
        own,
    }
}

const PAGE: u64 = PLAIN | PAGE_BYTES;
const CASES: [Case; 13] = [
    case(PAGE, STORE_OUTSIDE, KS, 0, None),
    case(PAGE & !PROTECTION | 1, DATA_OUTSIDE, KS, 0, None),
    case(PAGE | KEY_5, STORE_OUTSIDE, 0, NO_LOADS_5, None),
    case(
        PAGE | READ_ONLY,
        STORE_OUTSIDE,
        0,
        0,
        Some((0x300, DENIED | STORE)),
    ),
    case(
        PAGE | PP0,
        STORE_OUTSIDE,
        0,
        0,
        Some((0x300, DENIED | STORE)),
    ),
    case(
        PAGE & !PROTECTION,
        DATA_OUTSIDE,
        KS,
        0,
        Some((0x300, DENIED)),
    ),
    case(PAGE | PP0, FETCH_OUTSIDE, KS, 0, Some((0x400, DENIED))),
    case(
        PAGE | NO_EXECUTE,
        FETCH_OUTSIDE,
        0,
        0,
        Some((0x400, NO_FETCH)),
    ),
    case(
        PAGE | KEY_5,
        DATA_OUTSIDE,
        0,
        NO_LOADS_5,
        Some((0x300, KEY_DENIES)),
    ),
    case(
        PAGE | KEY_31,
        STORE_OUTSIDE,
        0,
        NO_STORES_31,
        Some((0x300, KEY_DENIES | STORE)),
    ),
    Case {
        iamr: NO_LOADS_5,
        ..case(PAGE | KEY_5, FETCH_OUTSIDE, 0, 0, Some((0x400, KEY_DENIES)))
    },
    Case {
        msr: RELOCATION | PROBLEM,
        ..case(
            PAGE & !PROTECTION,
            DATA_OUTSIDE,
            KP,
            0,
            Some((0x300, DENIED)),
        )
    },
    // Whatever the host would make of it: what the guest has written denies it.
    case(
        PLAIN | READ_ONLY | HOLE,
        STORE_OUTSIDE,
        0,
        0,
        Some((0x300, DENIED | STORE)),
    ),
];

/// What a guest's own entry denies is its own interrupt, with the registers as the hardware would have them. What
/// the host denies is the host's.
/// M5.
pub fn denied(lab: &mut Lab) -> Outcome {
    let mut guest = page_tables::guest(lab)?;
    page_tables::serve(lab, &guest)?;
    for case in CASES {
        let (why, msr) = run(&mut guest, &case)?;
        same("exited", why, ExitReason::Hypercall)?;
        match case.own {
            None => went_on(&guest)?,
            Some((vector, why)) => told(&guest, vector, msr, why)?,
        }
        forget(&mut guest)?;
    }
    hosts(&mut guest)?;
    lab.clear();
    not_served(lab)
}

/// What is absent, what is done in real mode, and what the host has made read-only.
fn hosts(guest: &mut Guest) -> Outcome {
    // The other kind of access is relocated.
    let in_real_mode = |msr, second, does| Case {
        msr,
        ..case(second, does, 0, 0, None)
    };
    let store = in_real_mode(IR, PAGE | READ_ONLY, STORE_OUTSIDE);
    let fetch = in_real_mode(RELOCATION & !IR, PAGE | NO_EXECUTE, FETCH_OUTSIDE);
    let absent = |does| case(PLAIN | HOLE, does, 0, 0, None);
    for (case, reason) in [
        (absent(DATA_OUTSIDE), ExitReason::DataStorage),
        (absent(STORE_OUTSIDE), ExitReason::DataStorage),
        (absent(FETCH_OUTSIDE), ExitReason::InstructionStorage),
        (store, ExitReason::DataStorage),
        (fetch, ExitReason::InstructionStorage),
    ] {
        let (why, _) = run(guest, &case)?;
        same("exited", why, reason)?;
        forget(guest)?;
    }
    enters(guest, PAGE)?;
    made_read_only(guest)
}

/// The firmware doesn't know what such a guest has written: all that is denied is the host's.
fn not_served(lab: &mut Lab) -> Outcome {
    let mut guest = page_tables::guest(lab)?;
    let memory = guest.memory_range().start;
    table(&mut guest)?.map(OUTSIDE, memory);
    made_read_only(&mut guest)?;
    lab.clear();
    Ok(())
}

/// The page that the guest may write: the host makes it read-only, and is told of the guest's store.
fn made_read_only(guest: &mut Guest) -> Outcome {
    make_read_only(guest)?;
    start(guest, &case(PAGE, STORE_OUTSIDE, KS, 0, None));
    let run = lab::run(guest, 0xff)?;
    same("exited", run.first_reason, ExitReason::DataStorage)?;
    same("address", guest.page(0).firmware.hdar.get(), OUTSIDE)
}

/// Enters the page, and does it; why it came out, and the MSR that it had.
fn run(guest: &mut Guest, case: &Case) -> Result<(ExitReason, u64), alloc::string::String> {
    enters(guest, case.second)?;
    let msr = start(guest, case);
    let run = lab::run(guest, 0xff)?;
    same("exited", run.exited, 1)?;
    Ok((run.first_reason, msr))
}

/// Vcpu 0's MSR.
fn start(guest: &mut Guest, case: &Case) -> u64 {
    start_with(guest, [case.does, 0], case.msr);
    let page = guest.page_mut(0);
    let segment = &mut page.slb[0].vsid;
    segment.set(segment.get() | case.segment);
    page.sprs.amr.set(case.amr);
    page.sprs.iamr.set(case.iamr);
    page.msr.get()
}

fn went_on(guest: &Guest) -> Outcome {
    let (number, [step, ..]) = lab::hypercall(guest, 0)?;
    same("hypercall", (number, step), (H_REPORT, STEP))
}

fn forget(guest: &mut Guest) -> Outcome {
    table(guest)?.unmap(OUTSIDE);
    mmu::forget_translation(OUTSIDE, guest.lpid());
    Ok(())
}

/// As a host does that wants to hear of a write: in the table, and not in what the guest has written.
fn make_read_only(guest: &mut Guest) -> Outcome {
    const OUTSIDE_ENTRY: u64 = 0x4001_ffff_ff01_0005;
    let lpid = guest.lpid();
    let words = table(guest)?.words().as_chunks_mut::<2>().0;
    let own = words
        .iter_mut()
        .find(|[first, _]| u64::from_be_bytes(*first) == OUTSIDE_ENTRY);
    let [_, second] = own.ok_or("no entry")?;
    *second = (u64::from_be_bytes(*second) | READ_ONLY).to_be_bytes();
    mmu::forget_translation(OUTSIDE, lpid);
    Ok(())
}

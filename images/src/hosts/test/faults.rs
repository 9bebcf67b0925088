//! Page faults of guests that have asked to have their own ones back (partition flag REFLECT).
use alloc::string::String;

use hcalls::exit::ExitReason;
use hcalls::partition::{FLAG_REFLECT, LPCR_AIL_3, MemoryMode};
use images::behaviour::exits;
use images::guest_calls::{H_REPORT, H_UNEXPECTED};
use images::host_runtime::guest::Guest;
use images::host_runtime::hpt::{self, PAGE_BYTES, PageTable};
use images::host_runtime::{mmu, real_memory};

use crate::check::{Outcome, same};
use crate::lab::{self, Lab, Wanted};

/// Effective address at which `guest-exits` reads and fetches: no page is there.
pub const OUTSIDE: u64 = 1 << 32;
/// MSR\[PR\], and MSR\[IR, DR\].
pub const PROBLEM: u64 = 1 << 14;
pub const RELOCATION: u64 = 3 << 4;
const LITTLE_ENDIAN: u64 = 1;
/// MSR\[SF, ME\]: with what an interrupt leaves on.
const SF_ME: u64 = 1 << 63 | 1 << 12;
/// DSISR and SRR1: no page table entry translates the address.
const NOT_FOUND: u64 = 1 << 30;
/// RB of valid SLB entries: the first TiB, and that where interrupts are taken with relocation on.
const FIRST: u64 = 1 << 27;
const INTERRUPTS: u64 = 0xc << 60 | 1 << 27 | 1;
const INTERRUPTS_VSID: u64 = 0x4711;
const RELOCATED: u64 = 0xc000_0000_0000_4000;

/// Runs with relocation on, by a table that maps what is the guest's memory in real mode, too. Interrupts that
/// are taken with relocation on tell the host.
pub fn relocated_guest(lab: &mut Lab, wanted: &Wanted<'_>) -> Result<Guest, String> {
    handling_guest(lab, wanted, tells)
}

/// The same with `handler`'s instructions for interrupts, by their vectors.
pub fn handling_guest(
    lab: &mut Lab,
    wanted: &Wanted<'_>,
    handler: fn(vector: u32) -> [u32; 9],
) -> Result<Guest, String> {
    let mut guest = lab.guest(&Wanted {
        memory_mode: MemoryMode::Vrma,
        ..*wanted
    })?;
    let page = lab.ram.take(PAGE_BYTES, PAGE_BYTES).ok_or("no memory")?;
    let start = page.start;
    // SAFETY: just taken; only the guest gets at it later.
    let bytes = unsafe { real_memory(page) };
    for vector in [0x300, 0x400] {
        let words = bytes[0x4000 + vector..].as_chunks_mut().0.iter_mut();
        for (bytes, word) in words.zip(handler(vector as u32)) {
            *bytes = match wanted.little_endian {
                true => word.to_le_bytes(),
                false => word.to_be_bytes(),
            };
        }
    }
    ensure!(
        table(&mut guest)?.map_in(INTERRUPTS_VSID, 0, start),
        "no room in the page table"
    );
    Ok(guest)
}

/// Does what the vectors of real mode do: H_UNEXPECTED with the vector, SRR0, SRR1, DAR and DSISR.
fn tells(vector: u32) -> [u32; 9] {
    [
        0x3880_0000 | vector,                       // li 4, vector
        0x7cba_02a6,                                // mfsrr0 5
        0x7cdb_02a6,                                // mfsrr1 6
        0x7cf3_02a6,                                // mfdar 7
        0x7d12_02a6,                                // mfdsisr 8
        0x3860_0000 | (H_UNEXPECTED as u32 >> 16),  // li 3
        0x6063_0000 | H_UNEXPECTED as u32 & 0xffff, // ori 3, 3
        0x4400_0022,                                // sc 1
        0x4800_0000,                                // b .
    ]
}

/// Goes on behind the instruction that couldn't be done, without r5.
pub fn skips(_: u32) -> [u32; 9] {
    const MFSRR0: u32 = 0x7cba_02a6;
    const ADDI_4: u32 = 0x38a5_0004;
    const MTSRR0: u32 = 0x7cba_03a6;
    const RFID: u32 = 0x4c00_0024;
    [MFSRR0, ADDI_4, MTSRR0, RFID, 0, 0, 0, 0, 0]
}

pub fn table(guest: &mut Guest) -> Result<&mut PageTable, String> {
    guest
        .table()
        .ok_or_else(|| "the guest has no page table".into())
}

/// Vcpu 0 does what `case` says, with those MSR bits more; the others spin.
fn start(guest: &mut Guest, case: u64, msr: u64) {
    start_with(guest, [case, 0], msr);
}

/// The same with a second argument.
pub fn start_with(guest: &mut Guest, [case, argument]: [u64; 2], msr: u64) {
    start_all(guest, [[case, argument], [exits::SPIN, 0]], msr);
}

/// The same, with what vcpu 0 does and what the others do.
pub fn start_all(guest: &mut Guest, [first, others]: [[u64; 2]; 2], msr: u64) {
    for vcpu in 0..guest.vcpus() {
        let [case, argument] = if vcpu == 0 { first } else { others };
        guest.start_vcpu(vcpu, guest.vcpus() as u64, [case, argument]);
        let page = guest.page_mut(vcpu);
        page.msr.set(page.msr.get() | msr);
        page.slb[0].esid.set(FIRST);
        page.slb[0].vsid.set(hpt::segment(hpt::VSID));
        page.slb[1].esid.set(INTERRUPTS);
        page.slb[1].vsid.set(hpt::segment(INTERRUPTS_VSID));
        page.slb_count.set(2);
    }
}

/// A page fault that finds no entry is the guest's own interrupt, by its vector, byte order and relocation,
/// with registers as the hardware would have them; the host is told of nothing.
/// M1.
pub fn own_page_faults(lab: &mut Lab) -> Outcome {
    for little_endian in [false, true] {
        for lpcr in [0, LPCR_AIL_3] {
            let wanted = Wanted {
                little_endian,
                lpcr,
                flags: FLAG_REFLECT,
                ..Wanted::new("exits", 4)
            };
            let mut guest = relocated_guest(lab, &wanted)?;
            for problem in [0, PROBLEM] {
                for (case, vector) in [(exits::DATA_OUTSIDE, 0x300), (exits::FETCH_OUTSIDE, 0x400)]
                {
                    start(&mut guest, case, RELOCATION | problem);
                    let msr = guest.page(0).msr.get();
                    let run = lab::run(&mut guest, 0xf)?;
                    let why = (run.exited, run.first_reason);
                    same("exited", why, (1, ExitReason::Hypercall))?;
                    let order = if little_endian { LITTLE_ENDIAN } else { 0 };
                    let relocation = if lpcr != 0 { RELOCATION } else { 0 };
                    let page = guest.page(0);
                    let handler = page.msr.get() & !(1 << 13);
                    same("MSR in the handler", handler, SF_ME | order | relocation)?;
                    let base = if lpcr != 0 { RELOCATED } else { 0 };
                    let is_there = lpcr == 0 || page.pc.get() & !0xff == base + vector;
                    ensure!(is_there, "pc {:#x}", page.pc.get());
                    told(&guest, vector, msr, NOT_FOUND)?;
                }
            }
            lab.clear();
        }
    }
    Ok(())
}

/// What the guest's handler has found in its registers: `why` in DSISR or, of a fetch, in SRR1.
pub fn told(guest: &Guest, vector: u64, msr: u64, why: u64) -> Outcome {
    let gpr = guest.page(0).gpr;
    let [number, own, srr0, srr1, dar, dsisr] = core::array::from_fn(|n| gpr[3 + n].get());
    same(
        "hypercall and vector",
        (number, own),
        (H_UNEXPECTED, vector),
    )?;
    // ME comes with every guest's MSR, and EE with PR.
    let msr = msr | 1 << 12 | (msr & PROBLEM) << 1;
    if vector == 0x300 {
        same("SRR1", srr1, msr)?;
        same("DAR and DSISR", (dar, dsisr), (OUTSIDE, why))
    } else {
        same("SRR0 and SRR1", (srr0, srr1), (OUTSIDE, msr | why))
    }
}

/// Of other page faults the host is told as ever: in real mode, with an entry that is absent, and by guests
/// that haven't asked for theirs.
/// M2.
pub fn hosts_page_faults(lab: &mut Lab) -> Outcome {
    for (flags, msr, is_absent) in [
        (FLAG_REFLECT, 0, false),
        (FLAG_REFLECT, RELOCATION, true),
        (0, RELOCATION, false),
    ] {
        let wanted = Wanted {
            flags,
            ..Wanted::new("exits", 4)
        };
        let mut guest = relocated_guest(lab, &wanted)?;
        if is_absent {
            let made = table(&mut guest)?.make_absent(OUTSIDE);
            ensure!(made, "no room in the page table");
        }
        for (case, reason) in [
            (exits::DATA_OUTSIDE, ExitReason::DataStorage),
            (exits::FETCH_OUTSIDE, ExitReason::InstructionStorage),
        ] {
            start(&mut guest, case, msr);
            let run = lab::run(&mut guest, 0xf)?;
            same("exited", (run.exited, run.first_reason), (1, reason))?;
        }
        // The host makes the page, and the guest goes on.
        let memory = guest.memory_range().start;
        let table = table(&mut guest)?;
        table.unmap(OUTSIDE);
        table.map(OUTSIDE, memory);
        start(&mut guest, exits::DATA_OUTSIDE, msr);
        let run = lab::run(&mut guest, 0xf)?;
        same("exited", (run.exited, run.first_slot), (1, 0))?;
        let (number, [step, ..]) = lab::hypercall(&guest, 0)?;
        same("hypercall", (number, step), (H_REPORT, exits::STEP))?;
        mmu::forget_translation(OUTSIDE, guest.lpid());
        lab.clear();
    }
    Ok(())
}

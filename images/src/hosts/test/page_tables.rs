//! Hypercalls on guests' page tables, which the firmware serves (PARTITION_MEMORY).
use core::ops::Range;

use hcalls::exit::ExitReason;
use hcalls::memory::{CHUNK_BYTES, PAGE_READ, PAGE_WRITE, SHADOW_ENTRY_BYTES};
use hcalls::papr::{H_ENTER, H_PROTECT, H_READ, H_REMOVE, H_SUCCESS};
use hcalls::partition::FLAG_REFLECT;
use hcalls::registers::PartitionMemory;
use images::behaviour::exits::{self, ENTER_OUTSIDE, STEP, WORK_ON_TABLE};
use images::guest_calls::H_REPORT;
use images::host_runtime::guest::{Guest, MEMORY_BYTES};
use images::host_runtime::hpt::{PAGE_BYTES, TABLE_BYTES};
use images::host_runtime::{calls, mmu, real_memory};

use crate::check::{Outcome, accepted, same};
use crate::faults::{OUTSIDE, RELOCATION, relocated_guest, start_with, table};
use crate::lab::{self, Lab, Wanted};

/// Pages of the host's, as PARTITION_MEMORY is told.
const SHIFT: u64 = 16;
const ROUNDS: u64 = 100;
/// An entry's second doubleword: R, C, coherent, readable and writable.
pub const PLAIN: u64 = 0x192;
const VALID: u64 = 1;
const ABSENT: u64 = 1 << 5;

/// Has the firmware serve the guest's table; answers the map's words for the guest's pages.
pub fn serve(
    lab: &mut Lab,
    guest: &Guest,
) -> Result<&'static mut [[u8; 8]], alloc::string::String> {
    let shadow_bytes = TABLE_BYTES / 16 * SHADOW_ENTRY_BYTES;
    let mut take = |len_bytes| {
        let range = lab.ram.take(len_bytes, CHUNK_BYTES).ok_or("no memory")?;
        // SAFETY: just taken; the firmware gets at it as well, by its words.
        let bytes = unsafe { real_memory(range.clone()) };
        bytes.fill(0);
        Ok::<_, &str>((range.start, bytes.as_chunks_mut().0))
    };
    let (root, root_words) = take(CHUNK_BYTES)?;
    let (chunk, words) = take(CHUNK_BYTES)?;
    let (shadow, _) = take(shadow_bytes)?;
    let memory = guest.memory_range().start;
    for page in 0..MEMORY_BYTES >> SHIFT {
        let word = (memory + (page << SHIFT)) | PAGE_READ | PAGE_WRITE;
        words[page as usize] = word.to_be_bytes();
    }
    root_words[0] = chunk.to_be_bytes();
    let told = calls::partition_memory(&PartitionMemory {
        partition: guest.partition.0,
        root,
        len_bytes: MEMORY_BYTES,
        page_shift: SHIFT,
        shadow,
        flags: 0,
    });
    accepted("PARTITION_MEMORY", told)?;
    Ok(words)
}

pub fn guest(lab: &mut Lab) -> Result<Guest, alloc::string::String> {
    let wanted = Wanted {
        flags: FLAG_REFLECT,
        ..Wanted::new("exits", 8)
    };
    relocated_guest(lab, &wanted)
}

/// Eight vcpus work on the table at once; afterwards no entry leads out of the guest's memory, and nothing is
/// locked. A page that it hasn't got it can enter, and not reach.
/// M3.
pub fn page_table_calls(lab: &mut Lab) -> Outcome {
    let mut guest = guest(lab)?;
    serve(lab, &guest)?;
    lab::start_all(&mut guest, [WORK_ON_TABLE, ROUNDS]);
    let all = guest.all_slots();
    lab::serve(
        &mut guest,
        all,
        |guest, vcpu, number, [step, index, wrong, ..]| {
            // A lock whose holder the emulator doesn't run for long: the guest asks again.
            if [H_ENTER, H_READ, H_REMOVE, H_PROTECT].contains(&number) {
                let page = guest.page_mut(vcpu);
                page.pc.set(page.pc.get() - 4);
                return Ok(true);
            }
            let expected = (H_REPORT, STEP, vcpu as u64, 0);
            same("report", (number, step, index, wrong), expected)?;
            Ok(false)
        },
    )?;
    for vcpu in 0..guest.vcpus() {
        let served = guest.page(vcpu).firmware.served.get();
        ensure!(served > 8 * ROUNDS, "vcpu {vcpu}: {served} served");
    }
    let memory = guest.memory_range();
    reaches_only(&mut guest, &memory)?;
    // A hole; the host's memory, by its own address; and the guest's.
    for second in [PLAIN | 1 << 32, PLAIN | memory.end, PLAIN | PAGE_BYTES] {
        let is_there = second == PLAIN | PAGE_BYTES;
        enters(&mut guest, second)?;
        let run = lab::run(&mut guest, 0xff)?;
        let expected = match is_there {
            true => ExitReason::Hypercall,
            false => ExitReason::DataStorage,
        };
        same("exited", (run.exited, run.first_reason), (1, expected))?;
        if !is_there {
            same("address", guest.page(0).firmware.hdar.get(), OUTSIDE)?;
        }
        table(&mut guest)?.unmap(OUTSIDE);
        mmu::forget_translation(OUTSIDE, guest.lpid());
    }
    lab.clear();
    Ok(())
}

/// Vcpu 0 enters a page at [`OUTSIDE`], and is about to read there.
pub fn enters(guest: &mut Guest, second: u64) -> Outcome {
    start_with(guest, [ENTER_OUTSIDE, second], RELOCATION);
    let run = lab::run(guest, 0xff)?;
    same(
        "exited",
        (run.exited, run.first_reason),
        (1, ExitReason::Hypercall),
    )?;
    let (number, [step, answer, ..]) = lab::hypercall(guest, 0)?;
    same(
        "report",
        (number, step, answer),
        (H_REPORT, STEP, H_SUCCESS),
    )
}

/// Every valid entry of the table leads into `memory`, or to what the host has entered.
fn reaches_only(guest: &mut Guest, memory: &Range<u64>) -> Outcome {
    const LOCKED: u64 = 1 << 6;
    for pair in table(guest)?.words().as_chunks::<2>().0 {
        let [first, second] = pair.map(u64::from_be_bytes);
        ensure!(first & LOCKED == 0, "{first:#x} is locked");
        let real = second & 0x0fff_ffff_ff00_0000;
        let is_hosts = first >> 24 & 0xff_ffff == 0x4711;
        ensure!(
            first & VALID == 0 || is_hosts || memory.contains(&real),
            "{first:#x} leads to {second:#x}"
        );
    }
    Ok(())
}

/// Memory that the host takes back: its entries are absent, and an access comes out.
/// M4.
pub fn memory_taken_back(lab: &mut Lab) -> Outcome {
    let mut guest = guest(lab)?;
    let words = serve(lab, &guest)?;
    enters(&mut guest, PLAIN | PAGE_BYTES)?;
    let run = lab::run(&mut guest, 0xff)?;
    same(
        "exited",
        (run.exited, run.first_reason),
        (1, ExitReason::Hypercall),
    )?;
    let taken = PAGE_BYTES..2 * PAGE_BYTES;
    words[(taken.start >> SHIFT) as usize..(taken.end >> SHIFT) as usize].fill([0; 8]);
    let done = calls::partition_unmap(guest.partition, taken);
    accepted("PARTITION_UNMAP", done)?;
    start_with(&mut guest, [exits::DATA_OUTSIDE, 0], RELOCATION);
    let run = lab::run(&mut guest, 0xff)?;
    same(
        "exited",
        (run.exited, run.first_reason),
        (1, ExitReason::DataStorage),
    )?;
    let absent = |pair: &[[u8; 8]; 2]| u64::from_be_bytes(pair[0]) & (VALID | ABSENT) == ABSENT;
    let count = table(&mut guest)?
        .words()
        .as_chunks::<2>()
        .0
        .iter()
        .filter(|pair| absent(pair))
        .count();
    same("absent entries", count, 1)?;
    lab.clear();
    Ok(())
}

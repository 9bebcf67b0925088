//! Hosts that fill what they share with the firmware with anything at all.
use hcalls::exit::ExitReason;
use hcalls::page::VcpuPage;
use hcalls::partition::MemoryMode;
use hcalls::run::{RUN_FP_CLEAN, VcpuState};
use images::behaviour::exits;
use images::host_runtime::guest::Guest;
use images::host_runtime::{calls, cpu, icp, mmu};
use images::random::Random;
use images::{boot_args, println};
use zerocopy::IntoBytes;

use crate::check::{Outcome, accepted, same};
use crate::lab::{self, Lab, MS_TB, Wanted};

const ROUNDS: u64 = 300;
/// Guest real address at which `guest-exits` reads: no page of its own.
const OUTSIDE: u64 = 1 << 32;
/// MMCR0\[EBE\]: event-based branches by the performance monitor. QEMU 10.0 ends when one is due while
/// FSCR keeps it from the guest: whoever runs any guest there can have that.
const MMCR0_EBE: u64 = 1 << (63 - 43);
/// A real address at which nothing answers.
const NOBODY: u64 = 0x40_0000_0000;

fn random(lab: &Lab, name: &str) -> Random {
    let seed = boot_args::value(lab.boot_args(), "seed").and_then(|it| it.parse().ok());
    let seed = seed.unwrap_or_else(|| cpu::time_base() & 0xffff_ffff);
    println!("{name}: {ROUNDS} rounds, seed={seed}");
    Random::new(seed)
}

fn virtual_guest(lab: &mut Lab, name: &str, vcpus: u32) -> Result<Guest, alloc::string::String> {
    lab.guest(&Wanted {
        memory_mode: MemoryMode::Vrma,
        ..Wanted::new(name, vcpus)
    })
}

/// Segment entries of every form, most of which no machine has, and any count of them: what isn't one is
/// left out, and the guest runs as if nothing were.
pub fn hostile_slb(lab: &mut Lab) -> Outcome {
    let mut guest = virtual_guest(lab, "exits", 1)?;
    let mut random = random(lab, "hostile_slb");
    for round in 0..ROUNDS {
        lab::start_all(&mut guest, [exits::HYPERCALL, 0]);
        let page = guest.page_mut(0);
        for (index, entry) in page.slb.iter_mut().enumerate() {
            let form = round << 4 | random.below(16) << 60;
            let any = match random.once_in(2) {
                true => random.bits(),
                false => 0,
            };
            entry.vsid.set(form ^ any);
            // Valid in any case; another's place, or another's segment, every now and then.
            let place = match random.once_in(4) {
                true => random.below(1 << 12),
                false => index as u64,
            };
            let segment = random.below(1 << 6) << 28;
            entry.esid.set(1 << 27 | segment | place);
        }
        let counts = [0, 1, 31, 32, 33, 1 << 32, u64::MAX];
        page.slb_count.set(counts[random.below(7) as usize]);
        let run = lab::run(&mut guest, 1)?;
        same(
            "exited",
            (run.exited, run.first_reason),
            (1, ExitReason::Hypercall),
        )?;
        let count = guest.page(0).slb_count.get();
        ensure!(count <= 32, "{count} entries");
    }
    Ok(())
}

/// Vcpu pages full of random numbers, but for where the guest's memory is: whatever comes of the guest,
/// the run ends in time, and a guest beside it runs as ever.
pub fn hostile_page(lab: &mut Lab) -> Outcome {
    let mut random = random(lab, "hostile_page");
    for memory_mode in [MemoryMode::Rmor, MemoryMode::Vrma] {
        let wanted = Wanted {
            memory_mode,
            ..Wanted::new("exits", 4)
        };
        let (mut guest, mut other) = (lab.guest(&wanted)?, lab.guest(&wanted)?);
        let entry = guest.page(0).pc.get();
        for round in 0..ROUNDS {
            for vcpu in 0..4 {
                fill(guest.page_mut(vcpu), entry, &mut random);
            }
            let before = [0, 1, 2, 3].map(|vcpu| guest.page(vcpu).firmware.entries.get());
            let deadline_tb = cpu::time_base() + MS_TB / 2;
            let flags = random.below(2) * RUN_FP_CLEAN;
            let run = guest.run(0xf, 0, deadline_tb, flags);
            icp::drop_ipi();
            accepted("VCORE_RUN", run).map_err(|why| alloc::format!("round {round}: {why}"))?;
            for (vcpu, before) in before.into_iter().enumerate() {
                let line = &guest.page(vcpu).firmware;
                let known = ExitReason::try_from(line.reason.get()).is_ok();
                let times = line.entries.get().wrapping_sub(before);
                ensure!(known && times < 2, "round {round}: {vcpu}: {line:x?}");
            }
            let blocked = calls::vcpu_set_state(guest.vcore, 0xf, VcpuState::Blocked);
            accepted("VCPU_SET_STATE", blocked)?;
            lab::start_all(&mut other, [exits::HYPERCALL, 0]);
            let run = lab::run(&mut other, 1)?;
            same(
                "exited",
                (run.exited, run.first_reason),
                (1, ExitReason::Hypercall),
            )?;
        }
        lab.clear();
    }
    Ok(())
}

/// Anything; but mostly the guest goes on where it begins.
fn fill(page: &mut VcpuPage, entry: u64, random: &mut Random) {
    let prodded = random.below(2);
    let bytes: &mut [u8] = page.as_mut_bytes();
    // The firmware line is the firmware's, but for one field.
    for (place, word) in bytes.chunks_exact_mut(8).enumerate() {
        if !(16..32).contains(&place) {
            let any = random.bits();
            let thin = any & random.bits() & random.bits();
            let drawn = [any, thin, 0, u64::MAX][random.below(4) as usize];
            word.copy_from_slice(&drawn.to_be_bytes());
        }
    }
    page.firmware.prodded.set(prodded);
    let mmcr0 = page.sprs.mmcr0.get();
    page.sprs.mmcr0.set(mmcr0 & !MMCR0_EBE);
    if !random.once_in(4) {
        page.pc.set(entry);
    }
}

/// A page table full of random entries, whose pages are the guest's own or nobody's: the guest's
/// accesses come to something that the host is told, and the firmware goes on.
pub fn hostile_table(lab: &mut Lab) -> Outcome {
    let mut random = random(lab, "hostile_table");
    let mut guest = virtual_guest(lab, "exits", 4)?;
    let memory = guest.memory_range();
    let mut reasons = [0_u64; 16];
    for round in 0..ROUNDS / 4 {
        let table = guest.table().ok_or("the guest has no page table")?;
        let pages = (memory.end - memory.start) >> 12;
        for [translates, leads] in table.words().as_chunks_mut().0 {
            let real = match random.once_in(8) {
                true => NOBODY,
                false => memory.start + (random.below(pages) << 12),
            };
            let attributes = random.below(1 << 12) | random.below(8) << 61;
            *translates = random.bits().to_be_bytes();
            *leads = (real | attributes).to_be_bytes();
        }
        // As far as there is room: where the guest begins, and where it goes.
        table.map(0, memory.start);
        table.map(OUTSIDE, [NOBODY, memory.start][random.below(2) as usize]);
        mmu::forget_translation(0, guest.lpid());
        mmu::forget_translation(OUTSIDE, guest.lpid());
        for case in [exits::DATA_OUTSIDE, exits::HYPERCALL] {
            lab::start_all(&mut guest, [case, 0]);
            let run = lab::run_for(&mut guest, 0xf, MS_TB)?;
            for vcpu in guest.vcpus_of(run.exited) {
                let reason = guest.page(vcpu).firmware.reason.get();
                let known = ExitReason::try_from(reason).is_ok();
                ensure!(known, "round {round}: reason {reason}");
                reasons[reason as usize & 15] += 1;
            }
            let blocked = calls::vcpu_set_state(guest.vcore, 0xf, VcpuState::Blocked);
            accepted("VCPU_SET_STATE", blocked)?;
        }
    }
    println!("hostile_table: by reason {reasons:?}");
    let mut other = virtual_guest(lab, "exits", 4)?;
    lab::start_all(&mut other, [exits::HYPERCALL, 0]);
    let run = lab::run(&mut other, 1)?;
    same(
        "exited",
        (run.exited, run.first_reason),
        (1, ExitReason::Hypercall),
    )
}

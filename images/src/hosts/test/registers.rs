//! What guests find in their registers.
use alloc::string::String;
use alloc::vec::Vec;

use hcalls::exit::ExitReason;
use hcalls::page::{SLB_ENTRIES, VcpuPage};
use hcalls::papr;
use hcalls::partition::MemoryMode;
use hcalls::run::{RUN_FP_CLEAN, RUN_KEEP_SLB, RUN_SPRS_LOST, RUN_UNTOUCHED};
use images::behaviour::{exits, registers};
use images::guest_calls::{H_DONE, H_REPORT};
use images::host_runtime::guest::Guest;
use images::host_runtime::{cpu, mmu};
use zerocopy::big_endian::U64;
use zerocopy::{FromBytes, IntoBytes};

use crate::check::{Outcome, accepted, same};
use crate::lab::{self, Lab, MS_TB, WORK_TB, Wanted};
use crate::objects;

const WORD: u64 = 0xffff_ffff;
/// MMCR0\[FC\]: no counter counts.
const MMCR0_FROZEN: u64 = 0x8000_0000;
/// The V bit of an SLB entry.
const SLB_VALID: u64 = 1 << 27;

/// What a host may vouch for in turn: nothing, its pages, and that it needs no registers back.
const FLAGS: [u64; 5] = [
    RUN_FP_CLEAN,
    RUN_FP_CLEAN | RUN_UNTOUCHED,
    RUN_FP_CLEAN | RUN_UNTOUCHED | RUN_SPRS_LOST,
    RUN_FP_CLEAN | RUN_UNTOUCHED | RUN_SPRS_LOST,
    RUN_FP_CLEAN | RUN_SPRS_LOST,
];

/// Two guests of eight vcpus, by turns on one core, each with seeds of its own in every register:
/// no vcpu finds anything but its own, whatever the host vouches for.
/// B32, L1.
pub fn registers(lab: &mut Lab) -> Outcome {
    // With a page table: SLB entries are kept, too.
    let wanted = Wanted {
        uses_fp: true,
        memory_mode: MemoryMode::Vrma,
        ..Wanted::new("registers", 8)
    };
    let mut guests = [
        lab.guest(&wanted)?,
        lab.guest(&Wanted {
            little_endian: true,
            ..wanted
        })?,
    ];
    same(
        "rounds with a hypercall",
        by_turns(&mut guests, 0x1111_2222)?,
        2 * 8 * registers::ROUNDS,
    )
}

/// Runs these guests by turns on this core until every vcpu of them has found all its registers as
/// they were, however often it was out; how many rounds' hypercalls came.
pub fn by_turns(guests: &mut [Guest], seed: u64) -> Result<u64, String> {
    for (index, guest) in guests.iter_mut().enumerate() {
        let segments = match guest.table() {
            Some(_) => 0,
            None => registers::SEGMENTS_LOST,
        };
        lab::start_all(guest, [seed + 0x2222_2222 * index as u64, segments]);
    }
    let mut runnable: Vec<u64> = guests.iter().map(Guest::all_slots).collect();
    let (mut rounds, mut turns) = (0, 0);
    let limit_tb = cpu::time_base() + WORK_TB;
    while runnable.iter().any(|&slots| slots != 0) {
        ensure!(
            cpu::time_base() < limit_tb,
            "vcpus {runnable:x?} are never done"
        );
        for (guest, runnable) in guests.iter_mut().zip(&mut runnable) {
            // One to three turns in a row: a guest comes to a thread that still holds it, or not.
            for _ in 0..1 + turns % 3 {
                if *runnable != 0 {
                    rounds += turn(guest, runnable, FLAGS[turns % FLAGS.len()])?;
                    turns += 1;
                }
            }
        }
    }
    Ok(rounds)
}

/// One run of a guest, short so that spinning rounds are interrupted; how many rounds' hypercalls
/// came.
fn turn(guest: &mut Guest, runnable: &mut u64, flags: u64) -> Result<u64, String> {
    let mut rounds = 0;
    let blocked = guest.all_slots() & !*runnable;
    let run = guest.run(*runnable, blocked, cpu::time_base() + MS_TB / 20, flags);
    let run = accepted("VCORE_RUN", run)?;
    for vcpu in guest.vcpus_of(run.exited) {
        match lab::hypercall(guest, vcpu)? {
            (H_REPORT, [registers::STEP_FULL, ..]) => rounds += 1,
            (H_REPORT, [registers::STEP_DONE, ..]) => {}
            (H_DONE, _) => *runnable &= !guest.slot_mask(vcpu),
            (_, [registers::STEP_CHANGED, kind, number, before, after]) => {
                let order = if guest.image.little_endian {
                    "little"
                } else {
                    "big"
                };
                return Err(alloc::format!(
                    "{order}-endian vcpu {vcpu}: kind {kind} number {number} was {before:#x} and is {after:#x}"
                ));
            }
            (number, args) => return Err(alloc::format!("hypercall {number:#x} {args:x?}")),
        }
    }
    Ok(rounds)
}

/// Every register of a page goes into the guest and comes out again as it was, when the guest does
/// nothing but its hypercall: nothing of an earlier guest is in any of them.
pub fn page_round_trip(lab: &mut Lab) -> Outcome {
    let mut guests: [Guest; 2] = [
        lab.guest(&Wanted {
            uses_fp: true,
            memory_mode: MemoryMode::Vrma,
            ..Wanted::new("loop", 8)
        })?,
        lab.guest(&Wanted {
            uses_fp: true,
            memory_mode: MemoryMode::Vrma,
            little_endian: true,
            ..Wanted::new("loop", 8)
        })?,
    ];
    for round in 0..4 {
        for (index, guest) in guests.iter_mut().enumerate() {
            one_instruction(guest, round * 2 + index as u64)?;
        }
    }
    Ok(())
}

/// `sc 1` with registers filled from `seed`, on all vcpus.
pub fn one_instruction(guest: &mut Guest, seed: u64) -> Outcome {
    const PLACE: u64 = 0x1f00;
    let little_endian = guest.image.little_endian;
    let hypercall = 0x4400_0022u32;
    let bytes = if little_endian {
        hypercall.to_le_bytes()
    } else {
        hypercall.to_be_bytes()
    };
    guest
        .bytes(PLACE, 4)
        .ok_or("the guest's memory")?
        .copy_from_slice(&bytes);
    for vcpu in 0..guest.vcpus() {
        let start = objects::copy(guest.page_address(vcpu));
        fill(guest.page_mut(vcpu), &start, seed << 8 | vcpu as u64);
        guest.page_mut(vcpu).pc.set(PLACE);
    }
    let before: Vec<VcpuPage> = (0..guest.vcpus())
        .map(|vcpu| objects::copy(guest.page_address(vcpu)))
        .collect();
    let mut left = guest.all_slots();
    while left != 0 {
        let run = lab::run(guest, left)?;
        ensure!(run.exited != 0, "nobody came out");
        for vcpu in guest.vcpus_of(run.exited) {
            same(
                "reason",
                guest.page(vcpu).firmware.reason.get(),
                ExitReason::Hypercall as u32,
            )?;
            compare(&before[vcpu], guest.page(vcpu))
                .map_err(|why| alloc::format!("vcpu {vcpu}: {why}"))?;
            left &= !guest.slot_mask(vcpu);
        }
    }
    Ok(())
}

/// CFAR names a place in the guest after each way into it, never one in the firmware: that in which the guest
/// goes on.
pub fn come_from(lab: &mut Lab) -> Outcome {
    const PLACE: u64 = 0x1f00;
    /// `mfspr r5, CFAR; sc 1`, which is served; `mfspr r6, CFAR; mr r3, r7; sc 1`, which is not.
    const CODE: [u32; 5] = [
        0x7cbc_02a6,
        0x4400_0022,
        0x7cdc_02a6,
        0x7ce3_3b78,
        0x4400_0022,
    ];
    let mut guest = lab.guest(&Wanted::new("loop", 1))?;
    for (at, instruction) in (PLACE..).step_by(4).zip(CODE) {
        guest
            .bytes(at, 4)
            .ok_or("the guest's memory")?
            .copy_from_slice(&instruction.to_be_bytes());
    }
    let page = guest.page_mut(0);
    page.pc.set(PLACE);
    page.gpr[3].set(papr::H_CONFER);
    page.gpr[4].set(papr::ANYONE);
    page.gpr[7].set(H_REPORT);
    let run = lab::run(&mut guest, 1)?;
    same("who came out", run.exited, 1)?;
    let [.., first, second, _] = guest.page(0).gpr.first_chunk::<8>().ok_or("a page")?;
    same("CFAR", [first.get(), second.get()], [PLACE, PLACE + 8])
}

/// The host's SLB is back in its places after a run with the flag, whatever its guests had in
/// theirs; without the flag it comes back empty, and a guest finds nothing of it either way.
pub fn keep_slb(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted {
        uses_fp: true,
        memory_mode: MemoryMode::Vrma,
        ..Wanted::new("registers", 1)
    })?;
    lab::start_all(&mut guest, [0x5555_6666, 0]);
    // Entries 3 and 17 aren't valid.
    let own: [[u64; 2]; SLB_ENTRIES] = core::array::from_fn(|index| match index {
        3 | 17 => [0, 0],
        _ => [
            (index as u64 + 0x100) << 28 | SLB_VALID,
            (index as u64 + 0x55_0000) << 12,
        ],
    });
    for flag in [RUN_KEEP_SLB, 0, RUN_KEEP_SLB, RUN_KEEP_SLB, 0] {
        mmu::set_slb(&own);
        let run = guest.run(1, 0, cpu::time_base() + 1000 * MS_TB, RUN_FP_CLEAN | flag);
        let after = core::array::from_fn(mmu::slb_entry);
        accepted("VCORE_RUN", run)?;
        let (_, [step, ..]) = lab::hypercall(&guest, 0)?;
        same("the guest's own registers", step, registers::STEP_FULL)?;
        let count = guest.page(0).slb_count.get();
        same("the guest's SLB entries", count, SLB_ENTRIES as u64)?;
        let wanted = match flag {
            RUN_KEEP_SLB => own,
            _ => [[0; 2]; SLB_ENTRIES],
        };
        same("the host's SLB", after, wanted)?;
    }
    mmu::set_slb(&[[0; 2]; SLB_ENTRIES]);
    Ok(())
}

/// Fills a page's registers; in those that don't take every value, the bits that do.
pub fn fill(page: &mut VcpuPage, start: &VcpuPage, seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = |bits: u64| {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        U64::new((state ^ state >> 29) & bits)
    };
    page.gpr
        .iter_mut()
        .for_each(|register| *register = draw(!0));
    page.gpr[3].set(H_REPORT);
    page.gpr[4].set(exits::STEP);
    (page.cr, page.lr, page.ctr, page.xer) = (draw(WORD), draw(!0), draw(!0), draw(0xe000_007f));
    page.vsr
        .iter_mut()
        .for_each(|register| *register = [draw(!0), draw(!0)]);
    (page.fpscr, page.vscr[1]) = (draw(0xfb), draw(0x1_0001));
    page.slb_count.set(SLB_ENTRIES as u64);
    for (index, entry) in page.slb.iter_mut().enumerate() {
        let esid = draw(0xffff << 44).get() | (index as u64) << 28;
        entry.esid.set(esid | SLB_VALID | index as u64);
        entry.vsid = draw(0xffff_ffff << 12);
    }
    page.sprs = start.sprs;
    let sprs = &mut page.sprs;
    for register in
        sprs.sprg
            .iter_mut()
            .chain([&mut sprs.dar, &mut sprs.tar, &mut sprs.sdar, &mut sprs.siar])
    {
        *register = draw(!0);
    }
    (sprs.dsisr, sprs.pspb, sprs.vrsave) = (draw(WORD), draw(WORD), draw(WORD));
    (sprs.fscr, sprs.dscr, sprs.pid) = (draw(!0), draw(0x1ff_ffff), draw(0xf_ffff));
    (sprs.uamor, sprs.amr, sprs.iamr) = (draw(!0), draw(!0), draw(!0));
    (sprs.acop, sprs.tacr, sprs.tcscr, sprs.csigr) = (draw(!0), draw(!0), draw(!0), draw(!0));
    (sprs.wort, sprs.ebbhr, sprs.ebbrr, sprs.bescr) =
        (draw(!0), draw(!3), draw(!3), draw(WORD / 2));
    sprs.mmcr0.set(MMCR0_FROZEN);
    (sprs.mmcr1, sprs.mmcr2, sprs.mmcra, sprs.mmcrs) = (draw(!0), draw(!0), draw(!0), draw(!0));
    sprs.sier = draw(!0);
    sprs.pmc
        .iter_mut()
        .chain(&mut sprs.spmc)
        .for_each(|counter| *counter = draw(WORD / 2));
}

/// A run may change the firmware's line, pc, MSR and CFAR, SRR0 and SRR1 (a hypercall sets them), and
/// what counts time.
fn compare(before: &VcpuPage, after: &VcpuPage) -> Outcome {
    let even = |page: &VcpuPage| {
        let mut page = VcpuPage::read_from_bytes(page.as_bytes()).expect("a page");
        page.firmware = VcpuPage::new().firmware;
        for register in [&mut page.pc, &mut page.msr, &mut page.cfar] {
            register.set(0);
        }
        let sprs = &mut page.sprs;
        for register in [
            &mut sprs.srr0,
            &mut sprs.srr1,
            &mut sprs.dec_expires_tb,
            &mut sprs.vtb,
            &mut sprs.ic,
        ] {
            register.set(0);
        }
        // CTRL reads with the siblings' run latches in its other bits.
        page.sprs.ctrl.set(page.sprs.ctrl.get() & 1);
        page
    };
    let (before, after) = (even(before), even(after));
    let words = before.as_bytes().chunks(8).zip(after.as_bytes().chunks(8));
    for (index, (before, after)) in words.enumerate() {
        ensure!(
            before == after,
            "the word at {:#x} was {before:x?} and is {after:x?}",
            8 * index
        );
    }
    Ok(())
}

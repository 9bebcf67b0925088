//! What a guest's performance monitor counts, and what of it the host finds.
use hcalls::page::{MMCR0_FROZEN, Sprs};
use hcalls::papr;
use hcalls::run::{RUN_FP_CLEAN, RUN_SPRS_LOST, RUN_UNTOUCHED};
use images::guest_calls::H_REPORT;
use images::host_runtime::cpu;
use images::host_runtime::guest::Guest;
use zerocopy::big_endian::U64;

use crate::check::{Outcome, accepted, same};
use crate::lab::{Lab, MS_TB, Wanted};

const PLACE: u64 = 0x1f00;
/// `mfspr r5, PMC5; sc 1`, an H_PROD of itself; `mfspr r6, PMC5; mr r3, r7; sc 1`, which is not.
const CODE: [u32; 5] = [
    0x7cb7_c2a6,
    0x4400_0022,
    0x7cd7_c2a6,
    0x7ce3_3b78,
    0x4400_0022,
];
/// What may be counted of a served hypercall: the way in, until the counters stand still, and the way back.
const WAY_IN_AND_BACK: u64 = 110;

/// PMC5, which counts instructions, stands still while a hypercall is served, and it and the controls are in
/// the page as they were when the guest left. The host finds nothing that counts, samples or boosts, and the
/// guest its own again, whatever the host vouches for.
pub fn counting(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("loop", 1))?;
    for (at, instruction) in (PLACE..).step_by(4).zip(CODE) {
        guest
            .bytes(at, 4)
            .ok_or("the guest's memory")?
            .copy_from_slice(&instruction.to_be_bytes());
    }
    let sprs = &mut guest.page_mut(0).sprs;
    sprs.mmcr0.set(0);
    for register in OWN.map(|own| own.1) {
        register(sprs).set(MARK);
    }
    for flags in [0, RUN_UNTOUCHED | RUN_SPRS_LOST, RUN_UNTOUCHED] {
        one_run(&mut guest, flags)?;
    }
    Ok(())
}

fn one_run(guest: &mut Guest, flags: u64) -> Outcome {
    let page = guest.page_mut(0);
    page.pc.set(PLACE);
    page.gpr[3].set(papr::H_PROD);
    page.gpr[4].set(0);
    page.gpr[7].set(H_REPORT);
    let deadline_tb = cpu::time_base() + 1000 * MS_TB;
    let run = guest.run(1, 0, deadline_tb, RUN_FP_CLEAN | flags);
    let found = [
        cpu::spr::<795>(),
        cpu::spr::<786>(),
        cpu::spr::<894>(),
        cpu::spr::<889>(),
        cpu::spr::<895>(),
    ];
    let boost = cpu::spr::<159>();
    same("who came out", accepted("VCORE_RUN", run)?.exited, 1)?;
    same(
        "the host's MMCR0, MMCRA, MMCRS, TCSCR, WORT",
        found,
        [MMCR0_FROZEN, 0, 0, 0, 0],
    )?;
    same("the host's PSPB", boost, 0)?;
    let page = guest.page_mut(0);
    let counted = page.gpr[6].get().wrapping_sub(page.gpr[5].get());
    ensure!(
        counted <= WAY_IN_AND_BACK,
        "{counted} instructions of a served hypercall are counted"
    );
    same("the guest's MMCR0", page.sprs.mmcr0.get(), 0)?;
    for (name, register) in OWN {
        same(name, register(&mut page.sprs).get(), MARK)?;
    }
    Ok(())
}

type Register = (&'static str, fn(&mut Sprs) -> &mut U64);

/// A value that each of these can have.
const MARK: u64 = 1;
const OWN: [Register; 6] = [
    ("the guest's MMCR2", |sprs| &mut sprs.mmcr2),
    ("the guest's MMCRA", |sprs| &mut sprs.mmcra),
    ("the guest's MMCRS", |sprs| &mut sprs.mmcrs),
    ("the guest's TCSCR", |sprs| &mut sprs.tcscr),
    ("the guest's WORT", |sprs| &mut sprs.wort),
    ("the guest's PSPB", |sprs| &mut sprs.pspb),
];

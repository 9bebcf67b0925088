//! Fills every register that it may write, from a seed (its first argument), leaves its thread, and
//! looks whether each register is as it was (`images::behaviour::registers`).
//!
//! In the first rounds it leaves by a hypercall, in the others it spins until the host's deadline
//! takes it out: then SRR0 and SRR1, which a hypercall loses, have to hold as well.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]

mod round;
mod sprs;

use images::behaviour::registers::*;
use images::guest_calls::{DIGEST_BYTES, H_REPORT};
use images::guest_runtime::{Vcpu, hcall, interrupt};

use crate::round::{Leave, Registers};

images::guest!(registers);

/// SLB entries of a POWER8.
const SLB_ENTRIES: usize = 32;
/// XER's SO, OV, CA and the low 7 bits; FPSCR's exception enables and rounding mode.
const XER_BITS: u64 = 0xe000_007f;
const FPSCR_BITS: u64 = 0xfb;
/// VSCR's NJ and SAT, in the last word of the register.
const VSCR_BITS: u64 = 0x1_0001;
/// How often a round spins: longer than the host's shortest deadline.
const SPINS: u64 = 200_000;

fn registers(vcpu: Vcpu) -> ! {
    interrupt::stop_decrementer();
    round::allow_fp();
    for round in 0..2 * ROUNDS {
        let leave = if round < ROUNDS {
            Leave::Hypercall
        } else {
            Leave::Spin
        };
        let mut values = Values {
            state: vcpu.args[0] ^ (vcpu.index << 32 | round),
        };
        let written = sprs::fill(&mut values, leave);
        let slb = fill_slb(&mut values);
        let before = general(&mut values, leave);
        let mut after = Registers::default();
        round::leave(&before, &mut after, leave);
        check_general(&before, &after, leave);
        sprs::check(&written, leave);
        check_slb(&slb, vcpu.args[1] == SEGMENTS_LOST);
    }
    hcall::report(STEP_DONE, &[vcpu.index]);
    hcall::done(&[0; DIGEST_BYTES])
}

/// Numbers that look like nothing else (the step of splitmix64).
pub struct Values {
    state: u64,
}

impl Values {
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// Tells of a register that has changed.
pub fn changed(kind: u64, number: u64, before: u64, after: u64) {
    hcall::report(STEP_CHANGED, &[kind, number, before, after]);
}

fn compare(kind: u64, number: usize, before: u64, after: u64) {
    if before != after {
        changed(kind, number as u64, before, after);
    }
}

fn general(values: &mut Values, leave: Leave) -> Registers {
    let mut registers = Registers::default();
    registers.gpr.fill_with(|| values.draw());
    registers.gpr[3] = H_REPORT;
    registers.gpr[4] = STEP_FULL;
    // CR, LR, CTR, XER.
    registers.user = [
        values.draw() >> 32,
        values.draw() & !3,
        values.draw(),
        values.draw() & XER_BITS,
    ];
    if leave == Leave::Spin {
        registers.user[2] = SPINS;
    }
    registers.vsr.fill_with(|| [values.draw(), values.draw()]);
    registers.fpscr = values.draw() & FPSCR_BITS;
    registers.vscr = round::vscr(values.draw() & VSCR_BITS);
    registers
}

fn check_general(before: &Registers, after: &Registers, leave: Leave) {
    // r1 held the address of this very structure; r3 is the hypercall's answer.
    for number in (0..32).filter(|&number| number != 1 && number != 3) {
        compare(KIND_GPR, number, before.gpr[number], after.gpr[number]);
    }
    for number in 0..before.user.len() {
        // The spinning counts CTR down.
        let counted = leave == Leave::Spin && number == 2;
        compare(
            KIND_USER,
            number,
            if counted { 0 } else { before.user[number] },
            after.user[number],
        );
    }
    for number in 0..128 {
        let (register, half) = (number / 2, number % 2);
        compare(
            KIND_VSR,
            number,
            before.vsr[register][half],
            after.vsr[register][half],
        );
    }
    compare(KIND_FP_STATUS, 0, before.fpscr, after.fpscr);
    compare(KIND_FP_STATUS, 1, before.vscr[0], after.vscr[0]);
    compare(KIND_FP_STATUS, 2, before.vscr[1], after.vscr[1]);
}

/// Fills the SLB and reads back what it has kept of it.
fn fill_slb(values: &mut Values) -> [[u64; 2]; SLB_ENTRIES] {
    core::array::from_fn(|index| {
        // Different ESIDs, so that no two entries are for one segment.
        let esid = (values.draw() >> 20 << 12 | index as u64) << 28;
        let vsid = values.draw() >> 24 << 12;
        round::write_slb(index as u64, esid, vsid);
        round::read_slb(index as u64)
    })
}

/// `may_be_lost`: an entry may also be invalid, with what it held or nothing in it.
fn check_slb(before: &[[u64; 2]; SLB_ENTRIES], may_be_lost: bool) {
    for (index, entry) in before.iter().enumerate() {
        let after = round::read_slb(index as u64);
        let invalid = [entry[0] & !round::SLB_VALID, entry[1]];
        if may_be_lost && (after == [0, 0] || after == invalid) {
            continue;
        }
        compare(KIND_SLB, 2 * index, entry[0], after[0]);
        compare(KIND_SLB, 2 * index + 1, entry[1], after[1]);
    }
}

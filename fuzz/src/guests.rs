//! What the guests of a run do.
use core::cell::Cell;

use asm::msr;
use asm::sim::life::Step;
use firmware::smt::fake_machine::THREADS;
use hcalls::{VcpuPage, papr};

/// Steps of each vcpu.
const STEPS: usize = 4;
/// A hypercall that the firmware doesn't know.
const FOR_HOST: u64 = 0x54;
const HYPERCALL: u64 = 0xc00;
const EXTERNAL: u64 = 0x500;
const HDEC: u64 = 0x980;
const PROGRAM: u64 = 0x700;

/// The program of each vcpu; when its steps are done, it computes until the firmware wants the thread.
pub struct Program {
    steps: [[u8; STEPS]; THREADS],
    next: [Cell<usize>; THREADS],
    /// It computes for so many more rounds, and then needs the host.
    rounds: [Cell<Option<u8>>; THREADS],
    /// It computes until the end of the run.
    computes: [Cell<bool>; THREADS],
}

impl Program {
    pub fn new(mut byte: impl FnMut() -> u8) -> Self {
        Self {
            steps: core::array::from_fn(|_| core::array::from_fn(|_| byte())),
            next: Default::default(),
            rounds: Default::default(),
            computes: Default::default(),
        }
    }

    /// What the guest of that slot does next.
    pub fn go_on(&self, slot: usize, page: &mut VcpuPage) -> Step {
        if self.computes[slot].get() {
            return Step::Waits;
        }
        match self.rounds[slot].get() {
            Some(0) => {
                self.rounds[slot].set(None);
                Step::Leaves(PROGRAM)
            }
            Some(left) => {
                self.rounds[slot].set(Some(left - 1));
                Step::Works
            }
            None => self.step(slot, page),
        }
    }

    fn step(&self, slot: usize, page: &mut VcpuPage) -> Step {
        let place = self.next[slot].replace(self.next[slot].get() + 1);
        let step = self.steps[slot].get(place).copied().unwrap_or(0);
        let other = u64::from(step >> 4) % THREADS as u64;
        page.msr.set(page.msr.get() & !msr::PR);
        match step & 15 {
            0..=2 => {
                self.computes[slot].set(true);
                Step::Waits
            }
            3 => {
                self.rounds[slot].set(Some(step >> 4));
                Step::Works
            }
            4 => hypercall(page, FOR_HOST, 0),
            5..=7 => hypercall(page, papr::H_CEDE, 0),
            8 | 9 => hypercall(page, papr::H_PROD, other),
            10 => hypercall(page, papr::H_CONFER, papr::ANYONE),
            11 => {
                // From problem state nothing is served.
                page.msr.set(page.msr.get() | msr::PR);
                hypercall(page, papr::H_PROD, other)
            }
            // Interrupts that nobody has asked for.
            12 => Step::Leaves(EXTERNAL),
            13 => Step::Leaves(HDEC),
            14 => Step::Leaves(0xe80),
            _ => Step::Leaves(0xe00),
        }
    }
}

fn hypercall(page: &mut VcpuPage, number: u64, argument: u64) -> Step {
    page.gpr[3].set(number);
    page.gpr[4].set(argument);
    Step::Leaves(HYPERCALL)
}

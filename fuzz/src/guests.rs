//! What the guests of a run do.
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use asm::{msr, op, sim};
use firmware::smt::machine_tests::THREADS;
use hcalls::{VcpuPage, papr};

/// Steps of each vcpu.
const STEPS: usize = 4;
/// A hypercall that the firmware doesn't know.
const FOR_HOST: u64 = 0x54;
const HYPERCALL: u64 = 0xc00;
const EXTERNAL: u64 = 0x500;
const HDEC: u64 = 0x980;

/// The program of each vcpu; when its steps are done, it computes until the firmware wants the thread.
pub struct Program {
    steps: [[u8; STEPS]; THREADS],
    next: [AtomicUsize; THREADS],
}

impl Program {
    pub fn new(mut byte: impl FnMut() -> u8) -> Self {
        Self {
            steps: core::array::from_fn(|_| core::array::from_fn(|_| byte())),
            next: Default::default(),
        }
    }

    /// The vector of the interrupt that ends the guest's turn.
    pub fn go_on(&self, slot: usize, page: &mut VcpuPage) -> u64 {
        let place = self.next[slot].fetch_add(1, SeqCst);
        let Some(&step) = self.steps[slot].get(place) else {
            return compute(usize::MAX);
        };
        let other = u64::from(step >> 4) % THREADS as u64;
        page.msr.set(page.msr.get() & !msr::PR);
        match step & 15 {
            0..=2 => compute(usize::MAX),
            3 => compute(usize::from(step)),
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
            12 => EXTERNAL,
            13 => HDEC,
            14 => 0xe80,
            _ => 0xe00,
        }
    }
}

fn hypercall(page: &mut VcpuPage, number: u64, argument: u64) -> u64 {
    page.gpr[3].set(number);
    page.gpr[4].set(argument);
    HYPERCALL
}

/// Until the firmware wants the thread, or the host is needed for something after so many rounds.
fn compute(rounds: usize) -> u64 {
    for _ in 0..rounds {
        if sim::hdec_expired() {
            return HDEC;
        }
        if sim::is_called() {
            return EXTERNAL;
        }
        op::relax();
    }
    0x700
}

//! What the guests do: small programs whose place is in their registers.
use super::{FOR_HOST, hypercall};
use asm::sim::life::Step;
use asm::sim::{hart, machine};
use asm::{BASE, msr, spr};
use hcalls::page::OWNED;
use hcalls::{VcpuPage, papr};

/// Registers in which a program keeps how many steps it has made, and interrupts it has taken.
const STEPS: usize = 14;
const TAKEN: usize = 16;
/// Where externals are taken.
const VECTOR: u64 = 0x500;
/// Ticks after which a guest's decrementer expires.
const SOON_TB: u64 = 300;

/// What must be so whenever a guest executes.
fn check(page: &VcpuPage) {
    let thread = hart();
    assert_eq!(page.firmware.owner.get(), OWNED | thread.pir);
    assert_eq!(spr::read::<{ spr::LPIDR }>(), u64::from(super::world::LPID));
    assert_eq!(spr::read::<{ spr::HRMOR }>(), BASE);
}

/// Takes the interrupt that the firmware has made.
fn interrupted(page: &mut VcpuPage) -> bool {
    let is_there = page.pc.get() == VECTOR;
    if is_there {
        page.pc.set(0);
        page.msr.set(page.msr.get() | msr::EE);
        page.host.pending.set(0);
        page.gpr[TAKEN].set(page.gpr[TAKEN].get() + 1);
    }
    is_there
}

/// A guest that does anything.
pub fn any(page: &mut VcpuPage) -> Step {
    check(page);
    if interrupted(page) {
        return Step::Works;
    }
    page.gpr[STEPS].set(page.gpr[STEPS].get() + 1);
    let random = machine().random();
    match random.below(24) {
        0 | 1 => hypercall(page, FOR_HOST),
        2..5 => cede(page),
        5..9 => {
            page.gpr[4].set(random.below(9));
            hypercall(page, papr::H_PROD)
        }
        9 => {
            page.gpr[4].set(papr::ANYONE);
            hypercall(page, papr::H_CONFER)
        }
        10 => {
            page.msr.set(page.msr.get() ^ msr::EE);
            Step::Works
        }
        11..15 => Step::Waits,
        _ => Step::Works,
    }
}

/// H_CEDE, with a decrementer that may expire soon.
fn cede(page: &mut VcpuPage) -> Step {
    let random = machine().random();
    let ticks = match random.once_in(2) {
        true => random.below(SOON_TB),
        false => i32::MAX as u64,
    };
    // SAFETY: the guest's own decrementer.
    unsafe { spr::write::<{ spr::DEC }>(ticks) };
    hypercall(page, papr::H_CEDE)
}

/// A guest that is in its guest until the firmware wants the thread.
pub fn waits(page: &mut VcpuPage) -> Step {
    check(page);
    interrupted(page);
    Step::Waits
}

//! Runs of one host, with all that their guests do said beforehand.
extern crate std;
use super::host::Host;
use super::world::World;
use super::{Bench, FOR_HOST, HYPERCALL, hypercall};
use asm::sim::hart;
use asm::sim::life::Step;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use hcalls::exit::ExitReason;
use hcalls::page::FLAG_FP;
use hcalls::run::FIRST_SLOT_SHIFT;
use hcalls::{Status, VcpuPage, papr};
use std::rc::Rc;

const THREADS: usize = 8;
const SCHEDULES: u64 = 30;

/// One run of all vcpus, in a schedule, and what is looked at afterwards.
fn run_all(
    bench: &Bench,
    seed: u64,
    vcpus: usize,
    guest: impl Fn(&mut VcpuPage) -> Step + 'static,
    look: impl FnOnce(&World, i64, [u64; 8]) + 'static,
) {
    let world = Rc::new(World::new(&bench.memory, vcpus as u64, false));
    let host = Host { place: 0, world };
    let program = move || {
        let answer = host.run((1 << vcpus) - 1, 0, 1 << 40);
        look(&host.world, answer.status, answer.args);
    };
    bench.run(seed, guest, [std::boxed::Box::new(program) as _].into());
}

#[test]
fn a_hypercall_of_the_only_vcpu_reaches_the_host() {
    let bench = Bench::new();
    for seed in 0..SCHEDULES {
        let guest = |page: &mut VcpuPage| hypercall(page, FOR_HOST);
        run_all(&bench, seed, 1, guest, |world, status, args| {
            assert_eq!(status, Status::Success as i64);
            assert_eq!(args[1..5], [1, 0, 0, ExitReason::Hypercall as u64]);
            let page = world.vcpus[0].content();
            assert_eq!(page.firmware.trap.get(), HYPERCALL as u32);
            assert_eq!(page.gpr[3].get(), FOR_HOST);
            assert_eq!(page.firmware.owner.get(), 0);
        });
    }
}

#[test]
fn one_vcpus_hypercall_brings_its_seven_siblings_out() {
    let bench = Bench::new();
    for seed in 0..SCHEDULES {
        let caller = seed as usize % THREADS;
        static INSIDE: AtomicU64 = AtomicU64::new(0);
        INSIDE.store(0, SeqCst);
        let guest = move |page: &mut VcpuPage| {
            INSIDE.fetch_or(1 << hart().ptid, SeqCst);
            match caller == hart().ptid && INSIDE.load(SeqCst) == 0xff {
                true => hypercall(page, FOR_HOST),
                false => Step::Waits,
            }
        };
        run_all(&bench, seed, THREADS, guest, move |world, status, args| {
            assert_eq!(status, Status::Success as i64);
            // Who was pulled stays runnable, and is in no mask.
            assert_eq!(args[1..4], [1 << caller, 0, 0]);
            let first = (caller as u64) << FIRST_SLOT_SHIFT | ExitReason::Hypercall as u64;
            assert_eq!(args[4], first);
            for slot in (0..THREADS).filter(|slot| *slot != caller) {
                let reason = world.vcpus[slot].content().firmware.reason.get();
                assert_eq!(reason, ExitReason::Pulled as u32, "slot {slot}");
            }
        });
    }
}

#[test]
fn a_prod_wakes_a_vcpu_that_has_ceded() {
    let bench = Bench::new();
    for seed in 0..SCHEDULES {
        /// Steps of the two guests: the second one cedes, and has been woken.
        static STEP: AtomicU64 = AtomicU64::new(0);
        STEP.store(0, SeqCst);
        let guest = |page: &mut VcpuPage| {
            let step = STEP.load(SeqCst);
            match (hart().ptid, step) {
                (1, 0) => {
                    // SAFETY: the guest's own decrementer.
                    unsafe { asm::spr::write::<{ asm::spr::DEC }>(0x7fff_ffff) };
                    STEP.store(1, SeqCst);
                    hypercall(page, papr::H_CEDE)
                }
                (1, 1) => {
                    STEP.store(2, SeqCst);
                    Step::Works
                }
                (0, 2) => hypercall(page, FOR_HOST),
                (0, 1) if page.gpr[5].get() == 0 => {
                    page.gpr[5].set(1);
                    page.gpr[4].set(1);
                    hypercall(page, papr::H_PROD)
                }
                _ => Step::Waits,
            }
        };
        run_all(&bench, seed, 2, guest, |_, status, args| {
            assert_eq!(status, Status::Success as i64);
            assert_eq!(args[1..4], [1, 0, 0]);
        });
    }
}

/// What the host finds of a run whose only vcpu leaves its guest as `guest` says.
fn after(guest: impl Fn(&mut VcpuPage) -> Step + 'static, prepare: impl Fn(&mut VcpuPage)) -> Left {
    let bench = Bench::new();
    let left = Rc::new(Cell::new(Left::default()));
    let world = Rc::new(World::new(&bench.memory, 1, false));
    // SAFETY: the page is the host's.
    prepare(unsafe { &mut *world.vcpus[0].page() });
    let host = Host { place: 0, world };
    let told = left.clone();
    let program = move || {
        let answer = host.run(1, 0, 1 << 40);
        assert_eq!(answer.status, Status::Success as i64);
        let page = host.world.vcpus[0].content();
        told.set(Left {
            reason: answer.args[4],
            trap: page.firmware.trap.get().into(),
            pc: page.pc.get(),
        });
    };
    bench.run(0, guest, [std::boxed::Box::new(program) as _].into());
    left.get()
}

#[derive(Clone, Copy, Default)]
struct Left {
    reason: u64,
    trap: u64,
    pc: u64,
}

/// Each interrupt that comes to the hypervisor, and the reason with which the vcpu comes out.
#[test]
fn every_vector_has_its_reason() {
    let named = [
        (0x100, ExitReason::SystemReset),
        (0x200, ExitReason::MachineCheck),
        (0x700, ExitReason::Program),
        (0xe00, ExitReason::DataStorage),
        (0xe20, ExitReason::InstructionStorage),
        (0xe40, ExitReason::EmulationAssist),
        (0xe60, ExitReason::Maintenance),
        (0xf80, ExitReason::FacilityUnavailable),
    ];
    let guests_own = [
        0x300, 0x380, 0x400, 0x480, 0x600, 0x800, 0x900, 0xa00, 0xb00, 0xd00, 0xf00, 0xf20, 0xf40,
        0xf60, 0x1200, 0x1300, 0x1500, 0x1600, 0x1700, 0x1800,
    ];
    let others = guests_own.map(|vector| (vector, ExitReason::Unexpected));
    for (vector, reason) in named.into_iter().chain(others) {
        let left = after(move |_| Step::Leaves(vector), |_| ());
        assert_eq!(
            (left.reason, left.trap),
            (reason as u64, vector),
            "{vector:#x}"
        );
    }
}

/// HSRR1 of a soft patch for a denormal operand.
const DENORMAL: u64 = asm::ibm(43);

/// A vcpu whose registers hold a denormal number; `has_registers`: it may use them. It comes by 0x1500 the
/// first time, by a hypercall the second. Where it was then, and why it came out.
fn after_denormal(has_registers: bool) -> (u64, u64) {
    static ENTRIES: AtomicU64 = AtomicU64::new(0);
    ENTRIES.store(0, SeqCst);
    let guest = |page: &mut VcpuPage| {
        if ENTRIES.fetch_add(1, SeqCst) > 0 {
            return hypercall(page, FOR_HOST);
        }
        // As the vector's stub stores them.
        page.msr.set(page.msr.get() | DENORMAL);
        page.pc.set(page.pc.get() + 4);
        Step::Leaves(0x1500)
    };
    let flags = if has_registers { FLAG_FP } else { 0 };
    let left = after(guest, |page| {
        page.pc.set(0x1000);
        page.host.flags.set(flags);
    });
    (left.pc, left.reason)
}

#[test]
fn a_denormal_operand_is_no_reason_to_come_out() {
    assert_eq!(after_denormal(true), (0x1000, ExitReason::Hypercall as u64));
    // One that can't have had any.
    assert_eq!(
        after_denormal(false),
        (0x1004, ExitReason::Unexpected as u64)
    );
}

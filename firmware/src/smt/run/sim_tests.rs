//! Whole runs through the steps that ship, on the simulated machine ([`asm::sim`]): hardware threads are
//! threads of the build host's, guests small programs.
extern crate std;
use super::{enter, hypercalls, leave, run, system_reset};
use crate::smt::calls::{
    partition_create, partition_destroy, vcpu_create, vcpu_destroy, vcpu_set_state,
};
use crate::smt::fake_machine::{self, FakeMachine, PARTITION_BYTES, PIR, THREADS};
use asm::area::Frame;
use asm::{op, sim, spr};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use hcalls::exit::ExitReason;
use hcalls::partition::{PartitionConfig, Policy};
use hcalls::run::{FIRST_SLOT_SHIFT, VcpuState};
use hcalls::{Status, VcpuPage, papr};
use platform::cpu::thread::{Entries, Thread};
use std::boxed::Box;
use std::sync::{Arc, MutexGuard};
use std::thread;
use zerocopy::FromZeros;

const HYPERCALL: u64 = 0xc00;
const EXTERNAL: u64 = 0x500;
const HDEC: u64 = 0x980;
const LPID: u64 = 5;
/// The host's, which it has again after each run.
const HOSTS_LPCR: u64 = spr::lpcr::PECE_EXTERNAL | spr::lpcr::PECE_DECREMENTER;
/// A hypercall that the firmware doesn't know.
const FOR_HOST: u64 = 0x54;

static ENTRIES: Entries = Entries {
    woken: enter::woken,
    fault,
    struck: system_reset::struck,
    hypercall: hypercalls::serve,
    left: leave::left,
    opal,
    run,
};

extern "C" fn fault(_frame: &Frame, vector: u64) -> ! {
    std::eprintln!("vector {vector:#x} in the firmware");
    std::process::abort()
}

extern "C" fn opal(_args: &mut [u64; 8], _token: u64) -> i64 {
    Status::Unsupported as i64
}

/// One core, whose thread 0 the test is, and a vcore on it.
struct Test {
    machine: MutexGuard<'static, FakeMachine>,
    core: Arc<sim::Core>,
    vcore: u64,
}

impl Test {
    /// With vcpus in slots 0 to `vcpus` - 1, all runnable.
    fn new(vcpus: usize) -> Self {
        let machine = fake_machine::machine();
        machine.fill_pool();
        machine.take_ipis();
        partition_destroy(&[u64::MAX; 8]).unwrap();
        for ptid in 0..THREADS {
            let core = core::ptr::from_ref(machine.core) as usize;
            let thread = Thread::new(PIR + ptid as u32, ptid, core, machine.core.icp(ptid));
            thread.create(&ENTRIES).unwrap();
        }
        let mut config = PartitionConfig::new_zeroed();
        config.version.set(hcalls::VERSION);
        config.lpid.set(LPID as u32);
        config.smt_width.set(THREADS as u32);
        config.policy.set(Policy::Eager.into());
        config.base.set(machine.base);
        config.rm_len_bytes.set(PARTITION_BYTES);
        machine.write(machine.page(40), config);
        let [partition, ..] = partition_create(&[machine.page(40); 8]).unwrap();
        let mut vcore = 0;
        for slot in 0..vcpus as u64 {
            let args = [partition, slot, machine.page(slot), 0, 0, 0, 0, 0];
            [vcore, ..] = vcpu_create(&args).unwrap();
        }
        let mask = (1 << vcpus) - 1;
        vcpu_set_state(&[vcore, mask, VcpuState::Runnable as u64, 0, 0, 0, 0, 0]).unwrap();
        Self {
            machine,
            core: Arc::default(),
            vcore,
        }
    }

    /// VCORE_RUN of all vcpus, each of which does what `guest` does on the thread with that ptid.
    fn run(&self, vcpus: usize, guest: fn(usize, &mut VcpuPage) -> u64) -> (i64, [u64; 8]) {
        let is_over = AtomicBool::new(false);
        let mfrr: [u64; THREADS] = core::array::from_fn(|ptid| self.machine.mfrr(ptid));
        let begin = |ptid: usize| {
            let program = Box::new(move |page: *mut u8| {
                assert_eq!(spr::read::<{ spr::LPIDR }>(), LPID);
                // SAFETY: the page of the vcpu that this thread runs.
                guest(ptid, unsafe { &mut *page.cast::<VcpuPage>() })
            });
            // SAFETY: the presenters are the machine's, which stays for good.
            unsafe { sim::begin(&self.core, PIR as usize + ptid, mfrr[ptid], program) };
        };
        let result = thread::scope(|scope| {
            for ptid in 1..THREADS {
                let (begin, is_over) = (&begin, &is_over);
                scope.spawn(move || {
                    begin(ptid);
                    sim::serve_calls(is_over);
                });
            }
            begin(0);
            // SAFETY: the simulated thread's own.
            unsafe { spr::write::<{ spr::LPCR }>(HOSTS_LPCR) };
            let mask = (1 << vcpus) - 1;
            let deadline_tb = op::time_tb() + (1 << 40);
            let mut args = [self.vcore, mask, 0, deadline_tb, 0, 0, 0, 0];
            let status = sim::call_run(&mut args);
            is_over.store(true, SeqCst);
            (status, args)
        });
        // The host has its registers again, and no thread an IPI that it would find in the host's vectors.
        assert_eq!(spr::read::<{ spr::LPIDR }>(), 0);
        assert_eq!(spr::read::<{ spr::HRMOR }>(), 0);
        assert_eq!(spr::read::<{ spr::LPCR }>(), HOSTS_LPCR);
        assert_eq!(self.machine.take_ipis(), 0);
        result
    }

    fn page(&self, slot: u64) -> VcpuPage {
        let at = platform::memory::real::ptr(self.machine.page(slot)).cast::<VcpuPage>();
        // SAFETY: the machine's; no run has it.
        unsafe { at.read() }
    }

    /// The host's own again, vcpus and pages.
    fn end(self, vcpus: usize) {
        for slot in 0..vcpus as u64 {
            vcpu_destroy(&[self.vcore, slot, 0, 0, 0, 0, 0, 0]).unwrap();
        }
    }
}

/// In the guest until the firmware wants the thread.
fn until_pulled() -> u64 {
    loop {
        if sim::hdec_expired() {
            return HDEC;
        }
        if sim::is_called() {
            return EXTERNAL;
        }
        op::relax();
    }
}

fn hypercall(page: &mut VcpuPage, number: u64) -> u64 {
    page.gpr[3].set(number);
    HYPERCALL
}

#[test]
fn a_hypercall_of_the_only_vcpu_reaches_the_host() {
    let test = Test::new(1);
    let (status, args) = test.run(1, |_, page| hypercall(page, FOR_HOST));
    assert_eq!(status, Status::Success as i64);
    assert_eq!(args[1..4], [1, 0, 0]);
    assert_eq!(args[4], ExitReason::Hypercall as u64);
    let page = test.page(0);
    assert_eq!(page.firmware.trap.get(), HYPERCALL as u32);
    assert_eq!(page.gpr[3].get(), FOR_HOST);
    assert_eq!(page.firmware.owner.get(), 0);
    test.end(1);
}

#[test]
fn one_vcpus_hypercall_brings_its_seven_siblings_out() {
    for caller in 0..THREADS {
        static CALLER: AtomicU64 = AtomicU64::new(0);
        static INSIDE: AtomicU64 = AtomicU64::new(0);
        CALLER.store(caller as u64, SeqCst);
        INSIDE.store(0, SeqCst);
        let test = Test::new(THREADS);
        let (status, args) = test.run(THREADS, |ptid, page| {
            INSIDE.fetch_or(1 << ptid, SeqCst);
            if CALLER.load(SeqCst) != ptid as u64 {
                return until_pulled();
            }
            while INSIDE.load(SeqCst) != 0xff {
                op::relax();
            }
            hypercall(page, FOR_HOST)
        });
        assert_eq!(status, Status::Success as i64);
        // Who was pulled stays runnable, and is in no mask.
        assert_eq!(args[1..4], [1 << caller, 0, 0]);
        let first = (caller as u64) << FIRST_SLOT_SHIFT | ExitReason::Hypercall as u64;
        assert_eq!(args[4], first);
        for slot in (0..THREADS as u64).filter(|slot| *slot != caller as u64) {
            let reason = test.page(slot).firmware.reason.get();
            assert_eq!(reason, ExitReason::Pulled as u32, "slot {slot}");
        }
        test.end(THREADS);
    }
}

#[test]
fn a_prod_wakes_a_vcpu_that_has_ceded() {
    /// Steps of the two guests: the second one has ceded, and has been woken.
    static STEP: AtomicU64 = AtomicU64::new(0);
    STEP.store(0, SeqCst);
    let test = Test::new(2);
    let (status, args) = test.run(2, |ptid, page| {
        page.sprs.dec_expires_tb.set(u64::MAX >> 1);
        match (ptid, STEP.load(SeqCst)) {
            (1, 0) => {
                STEP.store(1, SeqCst);
                hypercall(page, papr::H_CEDE)
            }
            (1, _) => {
                STEP.store(2, SeqCst);
                until_pulled()
            }
            (_, 2) => hypercall(page, FOR_HOST),
            _ => {
                while STEP.load(SeqCst) == 0 {
                    op::relax();
                }
                page.gpr[4].set(1);
                hypercall(page, papr::H_PROD)
            }
        }
    });
    assert_eq!(status, Status::Success as i64);
    assert_eq!(args[1..4], [1, 0, 0]);
    test.end(2);
}

/// Each interrupt that comes to the hypervisor, and the reason with which the vcpu comes out.
#[test]
fn every_vector_has_its_reason() {
    static VECTOR: AtomicU64 = AtomicU64::new(0);
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
        VECTOR.store(vector, SeqCst);
        let test = Test::new(1);
        let (status, args) = test.run(1, |_, _| VECTOR.load(SeqCst));
        assert_eq!(status, Status::Success as i64);
        assert_eq!(args[4], reason as u64, "{vector:#x}");
        assert_eq!(test.page(0).firmware.trap.get(), vector as u32);
        test.end(1);
    }
}

/// HSRR1 of a soft patch for a denormal operand.
const DENORMAL: u64 = asm::ibm(43);

/// A vcpu whose registers hold a denormal number; `has_registers`: it may use them. It comes by 0x1500 the
/// first time, by a hypercall the second. Where it was then, and why it came out.
fn after_denormal(has_registers: bool) -> (u64, u64) {
    static ENTRIES: AtomicU64 = AtomicU64::new(0);
    ENTRIES.store(0, SeqCst);
    let test = Test::new(1);
    let mut page = test.page(0);
    page.pc.set(0x1000);
    page.host.flags.set(if has_registers {
        hcalls::page::FLAG_FP
    } else {
        0
    });
    test.machine.write(test.machine.page(0), page);
    let (status, args) = test.run(1, |_, page| {
        if ENTRIES.fetch_add(1, SeqCst) > 0 {
            return hypercall(page, FOR_HOST);
        }
        // As the vector's stub stores them.
        page.msr.set(page.msr.get() | DENORMAL);
        page.pc.set(page.pc.get() + 4);
        0x1500
    });
    assert_eq!(status, Status::Success as i64);
    let pc = test.page(0).pc.get();
    test.end(1);
    (pc, args[4])
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

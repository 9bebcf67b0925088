//! Whole runs through the steps that ship, on the simulated machine ([`asm::sim`]): two cores of eight threads, a host's
//! program on each, and guests that are small programs. Seeded schedules say who goes on.
extern crate std;
mod explore;
mod guests;
mod host;
mod races;
mod runs;
mod world;

use super::cores::{self, Core};
use super::fake_machine::{self, FakeMachine};
use super::run::{enter, faults, hypercalls, leave, run, system_reset, table_hypercalls};
use asm::area::Frame;
use asm::sim::life::Step;
use asm::sim::{Machine, Program, presenter::ICPS};
use asm::spr;
use core::sync::atomic::Ordering::Relaxed;
use hcalls::run::CoreState;
use hcalls::{Status, VcpuPage};
use platform::cpu::thread::{self, Entries, Thread};
use std::boxed::Box;
use std::sync::{MutexGuard, OnceLock};
use std::vec::Vec;

/// PIR of each core's thread 0, and its threads.
const CORES: [(u32, usize); 2] = [(0x20, 8), (0x28, 8)];
/// The host's LPCR, which it has again after each run.
const HOSTS_LPCR: u64 = spr::lpcr::PECE_EXTERNAL | spr::lpcr::PECE_DECREMENTER;
const HYPERCALL: u64 = 0xc00;
/// A hypercall that the firmware doesn't know.
const FOR_HOST: u64 = 0x54;

static ENTRIES: Entries = Entries {
    woken: enter::woken,
    fault,
    struck: system_reset::struck,
    hypercall: hypercalls::serve,
    table_hypercalls: &table_hypercalls::SERVED,
    storage: faults::serve,
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

/// The firmware's records of the simulated cores, made once.
fn simulated_cores() -> &'static [&'static Core] {
    static MADE: OnceLock<Vec<&'static Core>> = OnceLock::new();
    MADE.get_or_init(|| {
        CORES
            .iter()
            .map(|&(pir, threads)| {
                let icp = |ptid| ICPS + (u64::from(pir + ptid) << 12);
                let icps: Vec<u64> = (0..threads as u32).map(icp).collect();
                let core = cores::register(pir, &icps);
                for ptid in 0..threads {
                    let address = core::ptr::from_ref(core) as usize;
                    let thread = Thread::new(pir + ptid as u32, ptid, address, core.icp(ptid));
                    thread.create(&ENTRIES).unwrap();
                }
                core
            })
            .collect()
    })
}

/// A thread as the firmware leaves it to a host, or naps in it.
fn begin() {
    thread::settle();
    if thread::current().ptid() == 0 {
        thread::settle_core();
        // SAFETY: the simulated thread's own.
        unsafe { spr::write::<{ spr::LPCR }>(HOSTS_LPCR) };
    }
}

/// Nothing is left of an earlier schedule, in which threads may have been lost for good.
fn make_new(core: &Core) {
    let (run, holders) = (&core.run, &core.holders);
    core.set_state(CoreState::Held);
    holders.forget_partitions();
    assert_eq!(holders.owing.load(Relaxed), 0);
    holders.parks.store(false, Relaxed);
    holders.parked.store(0, Relaxed);
    run.struck.store(false, Relaxed);
    run.interrupted.store(false, Relaxed);
    run.rung.store(false, Relaxed);
    run.hosts_sprs.store(true, Relaxed);
}

/// RAM and records, for one test at a time.
struct Bench {
    memory: MutexGuard<'static, FakeMachine>,
}

impl Bench {
    fn new() -> Self {
        let memory = fake_machine::machine();
        simulated_cores();
        memory.fill_pool();
        Self { memory }
    }

    /// Programs of hosts on the first cores, in the schedule of that seed.
    fn run(
        &self,
        seed: u64,
        guest: impl Fn(&mut VcpuPage) -> Step + 'static,
        programs: Vec<Box<dyn FnOnce()>>,
    ) {
        let guest = Box::new(move |page: *mut u8| {
            // SAFETY: the page of the vcpu that the thread runs, which nobody else uses meanwhile.
            guest(unsafe { &mut *page.cast::<VcpuPage>() })
        });
        simulated_cores().iter().for_each(|core| make_new(core));
        let machine = Machine::new(seed, &CORES, guest);
        let programs: Vec<Program> = programs.into_iter().enumerate().collect();
        machine.run(begin, programs);
    }
}

/// The guest makes that hypercall.
fn hypercall(page: &mut VcpuPage, number: u64) -> Step {
    page.gpr[3].set(number);
    Step::Leaves(HYPERCALL)
}

//! The simulated machine's hardware threads: what the firmware names for them, and how hosts find them.
use std::sync::OnceLock;

use asm::area::Frame;
use asm::sim::presenter::ICPS;
use asm::spr;
use firmware::smt::cores::{self, Core};
use firmware::smt::fake_machine::THREADS;
use firmware::smt::run::{enter, faults, hypercalls, leave, run, system_reset, table_hypercalls};
use hcalls::Status;
use platform::cpu::thread::{self, Entries, Thread};

/// PIR of each core's first thread, and its threads: one for runs, and one whose host calls meanwhile.
pub const CORES: [(u32, usize); 2] = [(0x20, THREADS), (0x28, THREADS)];
/// The host's, which it has again after each run.
pub const HOSTS_LPCR: u64 = spr::lpcr::PECE_EXTERNAL | spr::lpcr::PECE_DECREMENTER;

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
    eprintln!("vector {vector:#x} in the firmware");
    std::process::abort()
}

extern "C" fn opal(_args: &mut [u64; 8], _token: u64) -> i64 {
    Status::Unsupported as i64
}

/// The core for runs. Both are made once for all inputs.
pub fn core() -> &'static Core {
    static MADE: OnceLock<&'static Core> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = CORES.map(make);
        made[0]
    })
}

fn make((pir, threads): (u32, usize)) -> &'static Core {
    let icp = |ptid| ICPS + (u64::from(pir + ptid) << 12);
    let icps: Vec<u64> = (0..threads as u32).map(icp).collect();
    let core = cores::register(pir, &icps);
    for ptid in 0..threads {
        let address = core::ptr::from_ref(core) as usize;
        let thread = Thread::new(pir + ptid as u32, ptid, address, core.icp(ptid));
        thread.create(&ENTRIES).expect("memory");
    }
    core
}

/// A thread as the firmware leaves it to a host, or naps in it.
pub fn begin() {
    thread::settle();
    if thread::current().ptid() == 0 {
        thread::settle_core();
        // SAFETY: the simulated thread's own.
        unsafe { spr::write::<{ spr::LPCR }>(HOSTS_LPCR) };
    }
}

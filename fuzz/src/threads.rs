//! The simulated core's hardware threads: what the firmware names for them.
use asm::area::Frame;
use firmware::smt::machine_tests::{FakeMachine, PIR, THREADS};
use firmware::smt::{hypercall, leave, run, seat, struck};
use hcalls::Status;
use platform::cpu::thread::{Entries, Thread};

static ENTRIES: Entries = Entries {
    woken: seat::woken,
    fault,
    struck: struck::struck,
    hypercall: hypercall::serve,
    left: leave::left,
    opal,
    run: run::run,
};

extern "C" fn fault(_frame: &Frame, vector: u64) -> ! {
    eprintln!("vector {vector:#x} in the firmware");
    std::process::abort()
}

extern "C" fn opal(_args: &mut [u64; 8], _token: u64) -> i64 {
    Status::Unsupported as i64
}

/// Once for all inputs.
pub fn make_threads(machine: &FakeMachine) {
    for ptid in 0..THREADS {
        let core = core::ptr::from_ref(machine.core) as usize;
        let thread = Thread::new(PIR + ptid as u32, ptid, core, machine.core.icp(ptid));
        thread.create(&ENTRIES).expect("memory");
    }
}

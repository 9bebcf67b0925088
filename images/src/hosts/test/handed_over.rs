//! What a host finds in a thread that it is given.
use alloc::string::String;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use images::host_runtime::entry::{self, FOUND};
use images::host_runtime::{calls, cores, cpu, decrementers, icp, slb};

use crate::check::{Outcome, same};
use crate::lab::{Lab, PATIENCE_TB};

/// What is neither 0 nor the decrementers: the register, and what it has to be.
const OTHERS: [(&str, u64); 8] = [
    // Externals and the decrementer end a nap.
    ("LPCR", 0x6000),
    ("HFSCR", u64::MAX),
    // The counters stand still.
    ("MMCR0", 0x8000_0000),
    ("AMOR", u64::MAX),
    // Medium priority.
    ("PPR", 4 << 50),
    ("HMEER", HMEER),
    // 64-bit, hypervisor, machine checks on.
    ("MSR", 0x9000_0000_0000_1000),
    ("CTRL", 1),
];
/// CPPR and MFRR: everything may interrupt, and nobody has asked for it.
const OPEN: [u8; 2] = [0xff; 2];
/// What `platform::cpu::hmi` lets through.
const HMEER: u64 = 0xbc10_c800_0000_0000;

/// The first thread and one that START_CPU has started find every register as docs/platform-rom.md says,
/// and no interrupt pending.
/// H6.
pub fn handed_over(lab: &mut Lab) -> Outcome {
    check(entry::first_found()).map_err(|why| alloc::format!("first thread: {why}"))?;
    same(
        "the first thread's CPPR, MFRR",
        icp::found_priorities(),
        OPEN,
    )?;
    same("its SLB", slb::valid_entries(), 0)?;
    decrementers::let_through();
    let first = cpu::pir();
    let others = lab.machine.cores.iter().copied();
    for pir in others.filter(|&pir| pir != first) {
        CALM.store(false, Ordering::Release);
        cores::start(pir, |_| {
            SEGMENTS.store(slb::valid_entries(), Ordering::Relaxed);
            decrementers::let_through();
            CALM.store(true, Ordering::Release);
            // SAFETY: nothing on this thread's stack is needed any more.
            let _ = unsafe { calls::raw(RETURN_CPU, &[]) };
        })
        .map_err(|status| alloc::format!("START_CPU: {status:?}"))?;
        let limit_tb = cpu::time_base() + PATIENCE_TB;
        while !CALM.load(Ordering::Acquire) {
            ensure!(cpu::time_base() < limit_tb, "thread {pir:#x} never comes");
            cpu::relax();
        }
        same("CPPR, MFRR", (pir, icp::found_priorities()), (pir, OPEN))?;
        same("SLB", (pir, SEGMENTS.load(Ordering::Relaxed)), (pir, 0))?;
        check(entry::secondary_found()).map_err(|why| alloc::format!("thread {pir:#x}: {why}"))?;
    }
    Ok(())
}

const RETURN_CPU: u64 = 69;
/// A thread that was started has let interrupts in, and none came.
static CALM: AtomicBool = AtomicBool::new(false);
/// How many entries its SLB had.
static SEGMENTS: AtomicU64 = AtomicU64::new(u64::MAX);

fn check(found: [u64; FOUND.len()]) -> Outcome {
    let mut wrong = String::new();
    for (name, found) in FOUND.into_iter().zip(found) {
        let wanted = OTHERS.iter().find(|(other, _)| *other == name);
        let fits = match (name, wanted) {
            ("DEC" | "HDEC", _) => found as i32 > i32::MAX / 2,
            // The siblings' run latches are in the upper bits.
            ("CTRL", _) => found & 1 == 1,
            (_, Some((_, wanted))) => found == *wanted,
            // The firmware's own code uses it.
            ("XER" | "SRR0" | "SRR1", _) => true,
            _ => found == 0,
        };
        if !fits {
            wrong += &alloc::format!(" {name} is {found:#x}");
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}

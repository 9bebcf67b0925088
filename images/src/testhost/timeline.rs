//! Two runs to be looked at: everything that threads do to each other, once. And the trace, told to who
//! reads the console.
use core::sync::atomic::{AtomicU64, Ordering};

use hcalls::exit::ExitReason;
use hcalls::page::{OWNED, VcpuPage};
use hcalls::papr::H_SUCCESS;
use hcalls::run::VcpuState;
use hcalls::trace::{Header, Record, RingHeader, TraceAction};
use images::behaviour::timeline::{FIRST_LATE, STEP_TB};
use images::host_runtime::{calls, cpu, real_memory};
use images::println;

use crate::check::{Outcome, accepted, same};
use crate::cores::{self, Errand};
use crate::lab::{self, Lab, MS_TB, Wanted};
use crate::trace;

/// The vcpu that is kicked in the end; and its page, for the other core.
const KICKED: usize = 3;
static PAGE: AtomicU64 = AtomicU64::new(0);
/// How far the two cores are.
static STAGE: AtomicU64 = AtomicU64::new(0);

/// Late joiners, an H_PROD, a decrementer and a hypercall; then a kick. The trace is on meanwhile.
pub fn timeline(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("timeline", 8))?;
    lab::start_all(&mut guest, [0; 2]);
    PAGE.store(guest.page_address(KICKED), Ordering::Release);
    STAGE.store(0, Ordering::Release);
    cores::send(lab, &guest, join_and_kick)?;
    tick_until("the other core", || STAGE.load(Ordering::Acquire) == 1)?;
    accepted("SMT_TRACE", calls::smt_trace(TraceAction::Start))?;
    let run = lab::run(&mut guest, (1 << FIRST_LATE) - 1)?;
    let reported = (run.exited, run.first_reason);
    same("exited", reported, (1, ExitReason::Hypercall))?;
    lab::answer(&mut guest, 0, H_SUCCESS);
    STAGE.store(2, Ordering::Release);
    let all = guest.all_slots();
    let run = lab::run(&mut guest, all)?;
    same("kicked", run.exited, 1 << KICKED)?;
    accepted("SMT_TRACE", calls::smt_trace(TraceAction::Stop))?;
    cores::answer()
}

/// On the other core, while the vcore runs.
fn join_and_kick(errand: &Errand) -> Outcome {
    STAGE.store(1, Ordering::Release);
    tick_until("the first run", runs)?;
    tick_for(3 * STEP_TB);
    let slots = 0xff << FIRST_LATE & 0xff;
    let set = calls::vcpu_set_state(errand.vcore, slots, VcpuState::Runnable);
    same("joined", accepted("VCPU_SET_STATE", set)?.joined, slots)?;
    tick_until("the second run", || {
        STAGE.load(Ordering::Acquire) == 2 && runs()
    })?;
    tick_for(2 * STEP_TB);
    accepted(
        "VCORE_KICK",
        calls::vcore_kick(errand.vcore, 1 << KICKED, 1),
    )
    .map(drop)
}

/// The vcpu has a thread.
fn runs() -> bool {
    let page = PAGE.load(Ordering::Acquire) as usize;
    let page = core::ptr::with_exposed_provenance::<VcpuPage>(page);
    // SAFETY: the page is RAM of the host's, which the firmware may be writing.
    let owner = unsafe { (&raw const (*page).firmware.owner).read_volatile() };
    owner.get() & OWNED != 0
}

fn tick_until(what: &str, is_so: impl Fn() -> bool) -> Outcome {
    let end_tb = cpu::time_base() + 20_000 * MS_TB;
    while !is_so() {
        ensure!(cpu::time_base() < end_tb, "{what} never began");
        tick_for(0);
    }
    Ok(())
}

/// Waits, with a decrementer that is always about to expire. Where QEMU executes the machine's threads
/// in turn and counts instructions, it gives each thread no more of them than there are to the next
/// timer: so threads take turns within a microsecond, as if they ran at the same time. A tick has to outlast a turn of all.
fn tick_for(ticks: u64) {
    const TICK_TB: u64 = 512;
    let end_tb = cpu::time_base() + ticks;
    loop {
        cpu::set_decrementer(TICK_TB);
        cpu::relax();
        if cpu::time_base() >= end_tb {
            return;
        }
    }
}

/// Tells the trace, as lines of an offset and the bytes there, both in hexadecimal. What was recorded
/// before the trace was last switched on is left out.
pub fn tell() -> Outcome {
    let block = trace::switch(TraceAction::Stop)?;
    let trace = trace::read()?;
    // SAFETY: memory of the firmware's that hosts may read; the trace is off.
    let bytes = unsafe { real_memory(block.address..block.address + block.len_bytes) };
    let header = trace.header;
    tell_bytes(bytes, 0, size_of::<Header>());
    let (first, ring_bytes) = (header.header_bytes.get(), header.ring_bytes.get());
    for (number, ring) in trace.rings().enumerate() {
        let start = first as usize + number * ring_bytes as usize;
        tell_bytes(bytes, start, size_of::<RingHeader>());
        let records = start + size_of::<RingHeader>();
        for place in ring.places() {
            tell_bytes(
                bytes,
                records + place * size_of::<Record>(),
                size_of::<Record>(),
            );
        }
    }
    println!("trace: {:#x} bytes", bytes.len());
    Ok(())
}

fn tell_bytes(bytes: &[u8], start: usize, len_bytes: usize) {
    for (number, line) in bytes[start..start + len_bytes].chunks(32).enumerate() {
        let digits: alloc::string::String = line
            .iter()
            .map(|byte| alloc::format!("{byte:02x}"))
            .collect();
        println!("trace {:06x} {digits}", start + number * 32);
    }
}

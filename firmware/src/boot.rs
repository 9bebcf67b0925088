//! From reset to the host: one thread reads the machine, calls the others, and hands over.
use crate::smt::{check, cores, hypercall, inject, seat};
use crate::{epitaph, heap, opal};
use alloc::string::{String, ToString};
use asm::{BASE, op};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use log::{LevelFilter, error, info, warn};
use platform::memory::{MemoryMap, Owner};
use platform::region::Region;
use platform::thread::{self, Entries, HostStart, Thread};
use platform::tree::{self, Machine};
use platform::xics::Icp;
use platform::{console, logger};

/// How long the boot waits for all threads to answer: 100 ms.
const PATIENCE_TB: u64 = 51_200_000;

const ENTRIES: Entries = Entries {
    woken: seat::woken,
    fault: epitaph::fault,
    hypercall: hypercall::serve,
    opal: opal::call,
};

/// The boot thread, on the early stack. `tree_real` is where the machine's tree lies.
pub fn main(tree_real: u64) -> ! {
    // SAFETY: the first thing that this thread does; a POWER8 machine has RAM there, or the image
    // would not have come here.
    unsafe { heap::init() };
    logger::init(LevelFilter::Info);
    match prepare(tree_real) {
        Ok(start) => {
            info!("catnap: to the host at {:#x}", start.pc);
            thread::give_to_host(&start)
        }
        Err(why) => {
            error!("catnap: can't boot: {why}");
            power_off()
        }
    }
}

/// Everything up to the hand-over; an error is the reason for the console.
fn prepare(tree_real: u64) -> Result<HostStart, String> {
    // SAFETY: at reset r3 holds the tree's address, in RAM that nobody writes until the host runs.
    let fdt = unsafe { tree::bytes_at(tree_real) }.map_err(|why| why.to_string())?;
    let machine = tree::read(fdt).map_err(|why| why.to_string())?;
    start_console(&machine);
    let memory = map_memory(&machine, tree_real, fdt.len() as u64)?;
    let threads = call_threads(&machine)?;
    info!("catnap: {} cores, {threads} threads", machine.cores.len());
    inject::set_mediated(!machine.is_qemu);
    hand_over(&machine, fdt, memory)
}

fn start_console(machine: &Machine) {
    let Some(bus) = &machine.lpc else { return };
    // SAFETY: the bus is as the machine's tree says.
    let result = unsafe { console::init(bus) };
    info!("catnap {}: resident firmware for POWER8", env!("CARGO_PKG_VERSION"));
    if let Err(why) = result {
        warn!("catnap: no console: {why}");
    }
}

fn map_memory(machine: &Machine, tree_real: u64, tree_bytes: u64) -> Result<MemoryMap, String> {
    let mut memory = MemoryMap::new(&machine.ram);
    let region = |start, len_bytes| Region::new(start, len_bytes).ok_or("a region wraps around");
    let firmware = region(BASE, heap::REGION_BYTES)?;
    let mut reserve = |region, owner, name| {
        memory.reserve(region, owner, name).map_err(|why| why.to_string())
    };
    reserve(firmware, Owner::Firmware, "the firmware")?;
    reserve(region(tree_real, tree_bytes)?, Owner::Host, "the tree")?;
    if let Some(initrd) = machine.initrd {
        reserve(initrd, Owner::Host, "the initrd")?;
    }
    Ok(memory)
}

/// Makes every thread's area and calls it out of the nap of its reset; answers how many there are.
fn call_threads(machine: &Machine) -> Result<usize, String> {
    let mut boot_thread = None;
    for core in &machine.cores {
        let index = cores::register(core.pir, &core.icp[..core.threads]);
        for ptid in 0..core.threads {
            // SAFETY: the address is the tree's.
            let icp = unsafe { Icp::new(core.icp[ptid]) };
            let pir = core.servers[ptid];
            let thread = Thread { pir, ptid, core: index, icp };
            let thread = thread.create(&ENTRIES).ok_or("no memory for all threads")?;
            if pir == thread::pir() {
                boot_thread = Some(thread);
            }
        }
    }
    let boot_thread = boot_thread.ok_or("the tree doesn't list the thread that reads it")?;
    thread::adopt(boot_thread);
    thread::settle();
    let core = cores::core(boot_thread.core);
    core.awake.fetch_or(1 << boot_thread.ptid, Release);
    core.with_host.fetch_or(1 << boot_thread.ptid, Release);
    call_others(boot_thread);
    Ok(machine.thread_count())
}

fn call_others(boot_thread: &Thread) {
    let mine = |core: &cores::Core| core::ptr::eq(core, cores::core(boot_thread.core));
    for core in cores::all() {
        for ptid in 0..core.threads.load(Relaxed) as usize {
            if !mine(core) || ptid != boot_thread.ptid {
                core.icp(ptid).open();
                core.icp(ptid).send_ipi();
            }
        }
    }
    let limit_tb = op::time_tb() + PATIENCE_TB;
    for core in cores::all() {
        while core.awake.load(Acquire) != core.thread_mask() && op::time_tb() < limit_tb {
            op::relax();
        }
        op::unrelax();
        let missing = core.thread_mask() & !core.awake.load(Acquire);
        if missing != 0 {
            let pir = core.pir.load(Relaxed);
            error!("catnap: core {pir:#x}: threads {missing:#04x} don't answer");
            core.set_state(hcalls::run::CoreState::Fenced);
        }
    }
}

fn hand_over(machine: &Machine, fdt: &[u8], memory: MemoryMap) -> Result<HostStart, String> {
    let threads_per_core = machine.cores.iter().map(|core| core.threads).min().unwrap_or(1);
    check::set_machine(memory, threads_per_core, machine.is_qemu);
    let tree = platform::real::address(fdt.as_ptr());
    // SAFETY: probing the payload's header.
    let entry = unsafe { *(platform::real::ptr(0x2000_0018).cast::<u64>()) };
    Ok(HostStart {
        pc: entry,
        args: [tree, 0, 0, 0x6550_4150, 64 << 20, BASE, asm::opal::entry_real()],
    })
}

/// Ends the machine: by the BMC if there is one; else every thread that comes here sleeps.
pub fn power_off() -> ! {
    info!("catnap: powered off");
    loop {
        op::relax();
    }
}

/// Starts the machine anew.
pub fn reboot() -> ! {
    info!("catnap: reboot");
    loop {
        op::relax();
    }
}

//! From reset to the host: one thread reads the machine, calls the others, and hands over.
use crate::entries::{FIRST, ORDINARY, TRACED};
use crate::host_tree::{self, Chosen, FlashParams, HostTreeParams, PciHost, SmtParams};
use crate::smt::run::{enter, interrupts as guest_interrupts};
use crate::smt::{calls, check, cores, host_threads, vcore_table};
use crate::{
    end, flash, flash_boot, heap, layout, machine, nvram, opal, pci, secure, settings, symbol_map,
    trace,
};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use asm::{BASE, op};
use core::sync::atomic::Ordering::{Acquire, Release};
use hcalls::run::CoreState;
use log::{LevelFilter, error, info, warn};
use platform::chip::interrupts::{self, Device, Sources};
use platform::chip::psi::{self, Psi};
use platform::cpu::space;
use platform::cpu::thread::{self, HostStart, Thread};
use platform::cpu::xics::Icp;
use platform::log::ring::RING;
use platform::lpc::bmc;
use platform::lpc::console;
use platform::memory::real;
use platform::memory::region::Region;
use platform::memory::{MemoryMap, Owner};
use platform::payload::{self, Payload, PayloadError};
use platform::tree::{self, LpcBus, Machine, TreeError, UartPort};
use skiboot_compat::entry::{KERNEL_BASE, R6};

/// How long the boot waits for all threads to answer: 10 s.
const PATIENCE_TB: u64 = 10 * hcalls::trace::TB_HZ;

/// What r7 tells a payload of the memory that it may use from the start.
const PAYLOAD_BYTES: u64 = 0x4000_0001;

/// The boot thread, on the early stack. `tree_real` is where the machine's tree lies.
pub fn main(tree_real: u64) -> ! {
    // SAFETY: the first thing that this thread does; a POWER8 machine has RAM there, or the image
    // would not have come here.
    unsafe { heap::init() };
    platform::log::init(LevelFilter::Info);
    match prepare(tree_real) {
        Ok(start) => {
            info!("catnap: to the host at {:#x}", start.pc);
            host_threads::begin_host(start)
        }
        Err(why) => {
            error!("catnap: can't boot: {why}");
            end::power_off()
        }
    }
}

/// Everything up to the hand-over; an error is the reason for the console.
fn prepare(tree_real: u64) -> Result<HostStart, String> {
    let (fdt, machine) = match read_tree(tree_real) {
        Ok(read) => read,
        Err(why) => {
            start_console(&USUAL_BUS);
            return Err(why.to_string());
        }
    };
    let machine = machine::keep(machine);
    if let Some(bus) = &machine.lpc {
        start_console(bus);
    }
    flash::init();
    nvram::init();
    if let [first, ..] = machine.unreachable[..] {
        let cores = machine.unreachable.len();
        info!(
            "catnap: {cores} cores from {first:#x} on are left out: QEMU's interrupt pages end there"
        );
    }
    let memory = map_memory(machine, tree_real, fdt.len() as u64)?;
    let threads = call_threads(machine)?;
    info!("catnap: {} cores, {threads} threads", machine.cores.len());
    guest_interrupts::set_mediated(!machine.is_qemu);
    space::set_copies(machine.is_qemu);
    mitigate(machine);
    hand_over(machine, fdt, memory)
}

fn read_tree(real: u64) -> Result<(&'static [u8], Machine), TreeError> {
    // SAFETY: at reset r3 holds the tree's address, in RAM that nobody writes until the host runs.
    let fdt = unsafe { tree::bytes_at(real) }?;
    Ok((fdt, tree::read(fdt)?))
}

/// Where POWER8's first chip has its LPC bus, and its machines their console: to say why the tree
/// is of no use.
const USUAL_BUS: LpcBus = LpcBus {
    xscom_base: 0x3_fc00_0000_0000,
    pcba: 0xb_0020,
    uart: Some(UartPort {
        first_port: 0x3f8,
        baud: 115_200,
    }),
    bt_port: None,
    rtc_port: None,
    psi_pcba: None,
};

fn start_console(bus: &LpcBus) {
    // SAFETY: the bus is as the machine's tree says, or where POWER8 has it.
    let result = unsafe { console::init(bus) };
    info!(
        "catnap {}: resident firmware for POWER8",
        env!("CARGO_PKG_VERSION")
    );
    if let Err(why) = result {
        warn!("catnap: no console: {why}");
    }
}

fn map_memory(machine: &Machine, tree_real: u64, tree_bytes: u64) -> Result<MemoryMap, String> {
    let mut memory = MemoryMap::new(&machine.ram);
    let region = |start, len_bytes| Region::new(start, len_bytes).ok_or("a region wraps around");
    let firmware = region(BASE, layout::REGION_BYTES)?;
    let mut reserve = |region, owner, name| {
        memory
            .reserve(region, owner, name)
            .map_err(|why| why.to_string())
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
        let record = cores::register(core.pir, &core.icp[..core.threads]);
        let record = core::ptr::from_ref(record) as usize;
        for ptid in 0..core.threads {
            // SAFETY: the address is the tree's.
            let icp = unsafe { Icp::new(core.icp[ptid]) };
            let pir = core.servers[ptid];
            let thread = Thread::new(pir, ptid, record, icp);
            let thread = thread.create(&FIRST).ok_or("no memory for all threads")?;
            if pir == thread::pir() {
                boot_thread = Some(thread);
            }
        }
    }
    let boot_thread = boot_thread.ok_or("the tree doesn't list the thread that reads it")?;
    thread::adopt(boot_thread);
    thread::settle();
    thread::settle_core();
    thread::wakes_in(enter::woken);
    let core = cores::of(boot_thread);
    core.holders
        .awake
        .fetch_or(1 << boot_thread.ptid(), Release);
    call_others(boot_thread);
    Ok(machine.thread_count())
}

fn call_others(boot_thread: &Thread) {
    let mine = |core: &cores::Core| core::ptr::eq(core, cores::of(boot_thread));
    for core in cores::all() {
        for ptid in 0..core.threads() as usize {
            if !mine(core) || ptid != boot_thread.ptid() {
                core.icp(ptid).hear_firmware();
                core.icp(ptid).send_ipi();
            }
        }
    }
    let limit_tb = op::time_tb() + PATIENCE_TB;
    for core in cores::all() {
        while core.holders.awake.load(Acquire) != core.thread_mask() && op::time_tb() < limit_tb {
            op::relax();
        }
        op::unrelax();
        let missing = core.thread_mask() & !core.holders.awake.load(Acquire);
        if missing != 0 {
            let pir = core.pir();
            core.call_off(missing);
            error!("catnap: core {pir:#x}: threads {missing:#04x} don't answer");
            core.set_state(CoreState::Fenced);
        }
    }
}

/// Finds the payload, builds its tree, and notes what calls are checked against.
fn hand_over(machine: &Machine, fdt: &[u8], mut memory: MemoryMap) -> Result<HostStart, String> {
    let (payload, chosen) = find_payload(machine, &mut memory)?;
    // SAFETY: the file lies where `examine` has seen it; no thread but this one runs.
    unsafe { payload.place() };
    for image in &payload.images {
        memory
            .reserve(*image, Owner::Host, "the payload")
            .map_err(|why| why.to_string())?;
    }
    let threads_per_core = machine
        .cores
        .iter()
        .map(|core| core.threads)
        .min()
        .unwrap_or(1);
    start_pci(machine);
    enable_interrupts(machine);
    if hosts_threads(machine) == ThreadsOf::Host {
        info!("catnap: the host has all threads");
        host_threads::release_all(thread::current());
    }
    let tree = host_tree(machine, fdt, threads_per_core, &chosen)?;
    check::set_machine(memory, threads_per_core, machine.is_qemu);
    if settings::choice(&machine.bootargs, "trace").as_deref() == Some(b"on") {
        trace::switch::start();
    }
    Ok(HostStart {
        pc: payload.entry,
        args: [tree, 0, 0, R6, PAYLOAD_BYTES, BASE, asm::opal::entry_real()],
    })
}

/// The payload and what the host is told of what came along with it: from flash if that has a kernel, else
/// from memory, or from where the owner has chosen. Memory comes last because a reset leaves in it what the
/// last kernel has made of it.
fn find_payload(machine: &Machine, memory: &mut MemoryMap) -> Result<(Payload, Chosen), String> {
    let choice = settings::choice(&machine.bootargs, "boot");
    let choice = choice.as_deref().unwrap_or_default();
    let demand = secure::demand(machine);
    let mut chosen = Chosen::default();
    let mut from_flash = false;
    if choice != b"memory" {
        let must = choice == b"flash";
        if let Some(loaded) = flash_boot::load(memory, must, demand)? {
            from_flash = true;
            chosen.initrd = loaded.initrd;
            chosen.measured = loaded.measured;
            let bootargs = settings::choice("", "bootargs").filter(|_| machine.bootargs.is_empty());
            chosen.bootargs = bootargs.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    if demand.is_signed() && !from_flash {
        return Err("payload: lies in memory, where nobody has signed it".into());
    }
    if demand.is_signed() && chosen.initrd.is_none() && machine.initrd.is_some() {
        return Err("initrd: lies in memory, where nobody has signed it".into());
    }
    let payload = loaded_payload(memory).map_err(|why| why.to_string())?;
    Ok((payload, chosen))
}

/// What lies where payloads do.
fn loaded_payload(memory: &MemoryMap) -> Result<Payload, PayloadError> {
    let window = payload::window(memory, KERNEL_BASE)?;
    // SAFETY: RAM that nothing else has; whatever `-kernel` or a loader has put there.
    let file =
        unsafe { core::slice::from_raw_parts(real::ptr(KERNEL_BASE), window.len_bytes() as usize) };
    payload::examine(file, KERNEL_BASE, memory)
}

fn start_pci(machine: &Machine) {
    let bridges = pci::init(machine);
    if !bridges.is_empty() {
        let devices = bridges.iter().map(|bridge| bridge.functions.len());
        let devices: usize = devices.sum();
        let bridges = bridges.len();
        info!("catnap: {bridges} PCI host bridges, {devices} devices, root ports among them");
    }
}

/// Whose the secondary threads are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ThreadsOf {
    /// They nap, and run guests.
    Firmware,
    /// They are started by OPAL_START_CPU, as with other OPAL firmware.
    Host,
}

fn hosts_threads(machine: &Machine) -> ThreadsOf {
    match settings::choice(&machine.bootargs, "threads").as_deref() {
        Some(b"host") => ThreadsOf::Host,
        _ => ThreadsOf::Firmware,
    }
}

/// Whether guests are kept from telling each other's secrets by what machines leave in their caches
/// (L9). QEMU's leave nothing.
fn mitigate(machine: &Machine) {
    let on = match settings::choice(&machine.bootargs, "mitigations").as_deref() {
        Some(b"on") => true,
        Some(b"off") => false,
        _ => !machine.is_qemu,
    };
    if on {
        info!("catnap: guests' entries flush the L1 data cache, their exits the link stack");
        // SAFETY: no host has run yet.
        unsafe { calls::mitigate() }
    }
}

/// Interrupts go to the host from now on, which tells of those that are the firmware's.
fn enable_interrupts(machine: &Machine) {
    // SAFETY: the bus is as the machine's tree says.
    let psi = machine.lpc.and_then(|bus| unsafe { Psi::of(&bus) });
    let mut sources = Sources::new();
    let mut add = |first, count, device| {
        let is_free = sources.add(first, count, device);
        assert!(is_free, "numbers are made of chips and bridges");
    };
    // Those that interrupt most often are found first.
    if let Some(bridge) = psi {
        bridge.init(host_threads::hosts_first_pir());
        add(psi::FIRST_ISN, psi::SOURCES, Device::Psi(bridge));
    }
    for pci::Plugged { phb, .. } in pci::all() {
        let count = platform::chip::pci::bridge::SOURCES as usize;
        add(phb.bridge.first_isn(), count, Device::Phb3(phb));
    }
    interrupts::publish(sources);
    if psi.is_some() {
        console::enable_interrupts();
        bmc::enable_interrupts(machine, op::time_tb());
    }
}

fn core_pirs(core: &tree::Core) -> impl Iterator<Item = u32> + '_ {
    core.servers[..core.threads].iter().copied()
}

/// Builds the host's tree in the firmware's own memory; answers its real address.
fn host_tree(
    machine: &Machine,
    fdt: &[u8],
    threads: usize,
    chosen: &Chosen,
) -> Result<u64, String> {
    let firmware = Region::new(BASE, layout::REGION_BYTES).ok_or("the region wraps around")?;
    let symbols = symbol_map::keep();
    let exports = exports(machine, symbols);
    let host = |plugged: &'static pci::Plugged| PciHost {
        bridge: plugged.phb.bridge,
        functions: &plugged.functions,
    };
    let bridges: Vec<PciHost> = pci::all().iter().map(host).collect();
    let widths = &[1, 2, 4, 8][..threads.trailing_zeros() as usize + 1];
    let params = HostTreeParams {
        boot_pir: host_threads::hosts_first_pir(),
        all_threads: hosts_threads(machine) == ThreadsOf::Host,
        opal_base: BASE,
        opal_entry: asm::opal::entry_real(),
        opal_runtime_len: layout::REGION_BYTES,
        memcons: RING.memcons_address(),
        nvram_bytes: nvram::lock().bytes().len() as u32,
        ipmi_event: opal::ipmi::EVENT_NUMBER,
        version: concat!("catnap-", env!("CARGO_PKG_VERSION")),
        reserved: &[("catnap-firmware", firmware)],
        symbol_map: symbols,
        exports: &exports,
        chosen,
        pci: &bridges,
        flash: flash::flash().map(|open| FlashParams {
            len_bytes: open.len_bytes,
            block_bytes: open.block_bytes as u32,
            partitions: &open.partitions,
        }),
        smt: SmtParams {
            versions: [hcalls::LOWEST_VERSION, hcalls::VERSION],
            tokens: [hcalls::token::FIRST as u32, hcalls::token::LAST as u32],
            widths,
            page_bytes: hcalls::page::PAGE_BYTES as u32,
            features: calls::features(),
        },
    };
    let tree = host_tree::build(fdt, machine, &params).map_err(|why| why.to_string())?;
    Ok(keep_tree(&tree))
}

/// What the host can read of the firmware's memory, by name.
fn exports(machine: &Machine, symbols: Option<Region>) -> Vec<(&'static str, Region)> {
    let pirs: Vec<u32> = machine.cores.iter().flat_map(core_pirs).collect();
    let trace = trace::switch::init(&pirs, [&ORDINARY, &TRACED]);
    let calls = opal::stats::init(pirs.into_iter());
    let exports = [
        ("symbol_map", symbols),
        ("opal_calls", calls),
        ("trace", trace),
        ("smt_stats", vcore_table::init()),
    ];
    let exports = exports.into_iter();
    exports
        .filter_map(|(name, region)| Some((name, region?)))
        .collect()
}

/// Keeps the host's tree, aligned to eight bytes, for as long as the machine runs; answers its real address.
fn keep_tree(tree: &[u8]) -> u64 {
    let mut words = alloc::vec![0u64; tree.len().div_ceil(8)].into_boxed_slice();
    zerocopy::IntoBytes::as_mut_bytes(&mut words[..])[..tree.len()].copy_from_slice(tree);
    let kept: &'static [u64] = Box::leak(words);
    opal::tree::keep(zerocopy::IntoBytes::as_bytes(kept));
    real::address(kept.as_ptr())
}

//! What tests work with: the machine, its memory, and guests by name.
use alloc::string::String;
use core::ops::Range;

use dtoolkit::fdt::Fdt;
use dtoolkit::{Node, Property};
use hcalls::exit::ExitReason;
use hcalls::partition::{MemoryMode, Policy, PtidMode};
use hcalls::run::{RUN_FP_CLEAN, VcpuState};
use images::cpio;
use images::guest_calls::{H_PANIC, H_UNEXPECTED};
use images::host_runtime::calls::{self, Run};
use images::host_runtime::guest::{Guest, MEMORY_BYTES, Setup};
use images::host_runtime::{self, HostArgs, cpu};
use images::machine::Machine;
use images::ram::Ram;

use crate::check::{Outcome, accepted};

/// A millisecond, in ticks of the time base.
pub const MS_TB: u64 = cpu::TB_HZ / 1000;
/// How long to wait for what has to come: the busiest build host is not that slow.
pub const PATIENCE_TB: u64 = 30_000 * MS_TB;
/// The same for a guest's whole work.
pub const WORK_TB: u64 = 100_000 * MS_TB;

pub struct Lab {
    pub machine: Machine<'static>,
    pub tree: Fdt<'static>,
    /// Where it lies.
    tree_range: Range<u64>,
    pub ram: Ram,
    archive: &'static [u8],
    next_lpid: u32,
    spare: Option<Range<u64>>,
}

/// A guest as a test wants it.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The file, without `guest-` and byte order.
    pub name: &'a str,
    pub vcpus: u32,
    pub little_endian: bool,
    pub ptid_mode: PtidMode,
    pub policy: Policy,
    pub memory_mode: MemoryMode,
    pub tb_offset: u64,
    pub uses_fp: bool,
    pub lpcr: u64,
    pub flags: u64,
}

impl<'a> Wanted<'a> {
    /// Big-endian, packed, complete, by RMOR, without floating point.
    pub fn new(name: &'a str, vcpus: u32) -> Self {
        Self {
            name,
            vcpus,
            little_endian: false,
            ptid_mode: PtidMode::Packed,
            policy: Policy::Complete,
            memory_mode: MemoryMode::Rmor,
            tb_offset: 0,
            uses_fp: false,
            lpcr: 0,
            flags: 0,
        }
    }
}

impl Lab {
    pub fn new(args: &HostArgs) -> Self {
        let tree = host_runtime::device_tree(args);
        let machine = Machine::read(tree).expect("the device tree");
        let tree_range = args.tree..args.tree + tree.data().len() as u64;
        let ram = host_runtime::free_ram(&machine, tree_range.clone());
        host_runtime::xscom::init(&machine);
        let initrd = machine.initrd.clone().unwrap_or(0..0);
        // SAFETY: the firmware put the archive there for the host, who only reads it.
        let archive = unsafe { host_runtime::real_memory(initrd) };
        Self {
            machine,
            tree,
            tree_range,
            ram,
            archive,
            next_lpid: 1,
            spare: None,
        }
    }

    /// Where the firmware exports what has that name.
    pub fn export(&self, name: &str) -> Result<Range<u64>, String> {
        let range = self.tree.find_node("/ibm,opal/firmware/exports");
        let range = range.and_then(|node| node.property(name)?.value().try_into().ok());
        let range: [u8; 16] = range.ok_or_else(|| alloc::format!("no export {name}"))?;
        let [start, len_bytes] = [0, 8].map(|at| {
            let number = range[at..].first_chunk();
            number.map_or(0, |bytes| u64::from_be_bytes(*bytes))
        });
        Ok(start..start + len_bytes)
    }

    pub fn boot_args(&self) -> &'static str {
        self.machine.boot_args
    }

    /// Ends all that a test has left, and has all memory again.
    pub fn clear(&mut self) {
        if let Err(refusal) = calls::partition_destroy_all() {
            images::println!("PARTITION_DESTROY of all: {refusal}");
        }
        self.ram = host_runtime::free_ram(&self.machine, self.tree_range.clone());
        self.spare = None;
    }

    /// Memory for partitions in which no guest runs, the same for all of a test's.
    pub fn spare_memory(&mut self) -> Result<Range<u64>, String> {
        if self.spare.is_none() {
            self.spare = self.ram.take(MEMORY_BYTES, MEMORY_BYTES);
        }
        self.spare.clone().ok_or_else(|| "no memory left".into())
    }

    /// A new guest, its vcpus blocked still.
    pub fn guest(&mut self, wanted: &Wanted<'_>) -> Result<Guest, String> {
        let order = if wanted.little_endian { "le" } else { "be" };
        let name = alloc::format!("guest-{}.{order}", wanted.name);
        let file = cpio::find(self.archive, &name)
            .map_err(|bad| alloc::format!("initial RAM disk: no entry at {:#x}", bad.offset))?
            .ok_or_else(|| alloc::format!("no {name} in the initial RAM disk"))?;
        let setup = self.setup(wanted);
        Guest::create(&setup, file, &mut self.ram)
            .map_err(|error| alloc::format!("{name}: {error}"))
    }

    /// A partition of its own for `wanted`.
    pub fn setup(&mut self, wanted: &Wanted<'_>) -> Setup {
        let lpid = self.next_lpid;
        self.next_lpid += 1;
        Setup {
            lpid,
            vcpus: wanted.vcpus,
            ptid_mode: wanted.ptid_mode,
            policy: wanted.policy,
            memory_mode: wanted.memory_mode,
            tb_offset: wanted.tb_offset,
            uses_fp: wanted.uses_fp,
            lpcr: wanted.lpcr,
            flags: wanted.flags,
        }
    }

    /// A page of RAM that holds nothing yet.
    pub fn page(&mut self) -> Result<u64, String> {
        self.ram
            .take(4096, 4096)
            .map(|page| page.start)
            .ok_or_else(|| "no memory left".into())
    }
}

/// Gives every vcpu of `guest` these arguments (r5, r6) and sets it to the guest's entry.
pub fn start_all(guest: &mut Guest, args: [u64; 2]) {
    for vcpu in 0..guest.vcpus() {
        guest.start_vcpu(vcpu, guest.vcpus() as u64, args);
    }
}

/// One run of the vcpus of `runnable`, all others being blocked, until something brings it out.
pub fn run(guest: &mut Guest, runnable: u64) -> Result<Run, String> {
    run_for(guest, runnable, PATIENCE_TB)
}

/// One run of at most `limit_tb`.
pub fn run_for(guest: &mut Guest, runnable: u64, limit_tb: u64) -> Result<Run, String> {
    let blocked = guest.all_slots() & !runnable;
    let run = guest.run(runnable, blocked, cpu::time_base() + limit_tb, RUN_FP_CLEAN);
    accepted("VCORE_RUN", run)
}

/// Takes the vcpus of `slots` out of the queue, so that the next run queues them in their order.
pub fn empty_queue(guest: &Guest, slots: u64) -> Outcome {
    let set = calls::vcpu_set_state(guest.vcore, slots, VcpuState::Blocked);
    accepted("VCPU_SET_STATE", set).map(drop)
}

/// The number and the arguments (r4–r8) of the hypercall with which `vcpu` came out. A guest that
/// has panicked or taken an interrupt that it has no use for ends the test.
pub fn hypercall(guest: &Guest, vcpu: usize) -> Result<(u64, [u64; 5]), String> {
    let page = guest.page(vcpu);
    let reason = ExitReason::try_from(page.firmware.reason.get());
    ensure!(
        reason == Ok(ExitReason::Hypercall),
        "vcpu {vcpu} came out for {reason:?}, vector {:#x} at {:#x}, SRR1 {:#x}",
        page.firmware.trap.get(),
        page.firmware.srr0.get(),
        page.firmware.srr1.get()
    );
    let args = [4, 5, 6, 7, 8].map(|register| page.gpr[register].get());
    let [vector, srr0, srr1, dar, _] = args;
    match page.gpr[3].get() {
        H_UNEXPECTED => Err(alloc::format!(
            "vcpu {vcpu} took interrupt {vector:#x} at {srr0:#x}, SRR1 {srr1:#x}, DAR {dar:#x}"
        )),
        H_PANIC => Err(alloc::format!("vcpu {vcpu} panicked in line {vector}")),
        number => Ok((number, args)),
    }
}

/// Lets `vcpu`'s hypercall return `answer`.
pub fn answer(guest: &mut Guest, vcpu: usize, answer: u64) {
    guest.page_mut(vcpu).gpr[3].set(answer);
}

/// Runs the vcpus of `runnable` until `serve` says that enough has happened.
/// `serve` is given each vcpu that came out with a hypercall, its number and its arguments, and
/// answers whether the vcpu runs on.
pub fn serve(
    guest: &mut Guest,
    mut runnable: u64,
    mut serve: impl FnMut(&mut Guest, usize, u64, [u64; 5]) -> Result<bool, String>,
) -> Outcome {
    let limit_tb = cpu::time_base() + WORK_TB;
    while runnable != 0 {
        ensure!(
            cpu::time_base() < limit_tb,
            "vcpus {runnable:#x} are never done"
        );
        let run = run_for(guest, runnable, 5 * MS_TB)?;
        for vcpu in guest.vcpus_of(run.exited) {
            let (number, args) = hypercall(guest, vcpu)?;
            if !serve(guest, vcpu, number, args)? {
                runnable &= !guest.slot_mask(vcpu);
            }
        }
        if runnable != 0 && run.ceded == runnable {
            let decrementer_tb = run.decrementer_tb.ok_or("all ceded, and no decrementer")?;
            cpu::wait_until(decrementer_tb.min(limit_tb));
        }
    }
    Ok(())
}

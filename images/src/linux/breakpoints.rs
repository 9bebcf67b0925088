//! A debugger's breakpoints: the instruction that KVM names, put into a guest's memory as it is read.
use core::fmt::Write;

use super::machine::{self, BREAKPOINTS, DEBUGGED, Order, Region, SINGLE_STEPS, START};
use super::output::Output;
use super::shared::{EXIT_DEBUG, EXIT_HYPERCALL, Shared, Told};
use super::system::{Errno, File};

const MEMORY_BYTES: u64 = 1 << 20;
/// KVM's number of the register that says which instruction a breakpoint is.
const DEBUG_INST: u64 = 0x1020_0000_0000_008b;
const ADD: u32 = 0x3884_0001;
/// `addi 4, 4, 1`, three times, and `b .`.
const PROGRAM: [u32; 4] = [ADD, ADD, ADD, 0x4800_0000];
/// Where the guest takes program interrupts, which come in big-endian order: SRR0 and SRR1, which `sc 1` overwrites,
/// go to r5 and r6.
const PROGRAM_INTERRUPT: usize = 0x700;
const HANDLER: [u32; 3] = [
    0x7cba_02a6, // mfsrr0 5
    0x7cdb_02a6, // mfsrr1 6
    0x4400_0022, // sc 1
];
/// SRR1 after a program interrupt: the instruction is illegal.
const ILLEGAL: u64 = 0x8_0000;

struct Debugged {
    order: Order,
    memory: Region,
    vcpu: File,
    shared: Shared,
    breakpoint: [u8; 4],
}

impl Debugged {
    fn new(order: Order) -> Result<Self, Errno> {
        let kvm = machine::kvm()?;
        let vm = machine::new(kvm)?;
        let mut memory = machine::set_memory(vm, MEMORY_BYTES, &PROGRAM, order)?;
        for (index, instruction) in HANDLER.into_iter().enumerate() {
            memory.write(PROGRAM_INTERRUPT + 4 * index, Order::Big.bytes(instruction));
        }
        let vcpu = machine::vcpu(vm, 0, order)?;
        let shared = Shared::of(kvm, vcpu)?;
        let mut value = [0; 16];
        machine::register(vcpu, DEBUG_INST, false, &mut value)?;
        let [a, b, c, d, ..] = value;
        Ok(Self {
            order,
            memory,
            vcpu,
            shared,
            breakpoint: [a, b, c, d],
        })
    }

    /// Whether the instruction is one that no processor has, in either order of bytes: its primary opcode is 0. The
    /// guest would go round for ever with another.
    fn is_illegal(&self) -> bool {
        let [first, .., last] = self.breakpoint;
        let is_good = (first | last) >> 2 == 0;
        if !is_good {
            let word = u32::from_be_bytes(self.breakpoint);
            let _ = writeln!(
                Output::new(),
                "breakpoints: {word:08x} is no illegal instruction"
            );
        }
        is_good
    }

    fn set(&mut self, index: usize) {
        self.memory.write(START + 4 * index, self.breakpoint);
    }

    fn remove(&mut self, index: usize) {
        self.memory.write(START + 4 * index, self.order.bytes(ADD));
    }

    fn run(&self, control: u32) -> Result<Told, Errno> {
        machine::debug(self.vcpu, control)?;
        machine::run(self.vcpu)?;
        Ok(self.shared.told())
    }

    /// Whether a run ends for the debugger, before that instruction.
    fn stops(&self, control: u32, index: usize) -> Result<bool, Errno> {
        let told = self.run(control)?;
        let (pc, expected) = (machine::pc(self.vcpu)?, (START + 4 * index) as u64);
        let is_good = (told.exit_reason, told.number, pc) == (EXIT_DEBUG, expected, expected);
        if !is_good {
            let (order, reason, address) = (self.order, told.exit_reason, told.number);
            let _ = writeln!(
                Output::new(),
                "breakpoints: {order:?}: exit {reason} at {pc:#x} for {address:#x}, not {expected:#x}"
            );
        }
        Ok(is_good)
    }

    /// From the start, where another breakpoint is removed for that.
    fn steps_to_breakpoint(&mut self) -> Result<bool, Errno> {
        self.remove(0);
        machine::begin(self.vcpu, self.order)?;
        let both = DEBUGGED | SINGLE_STEPS | BREAKPOINTS;
        Ok(self.stops(both, 1)? && self.stops(both, 2)? && self.stops(both, 2)?)
    }

    /// Whether the guest has the instruction as an illegal one of its own.
    fn interrupts(&self, control: u32, index: usize) -> Result<bool, Errno> {
        let told = self.run(control)?;
        let [_, _, _, _, _, from, why, ..] = machine::gpr(self.vcpu)?;
        let is_good = told.exit_reason == EXIT_HYPERCALL
            && from == (START + 4 * index) as u64
            && why & ILLEGAL != 0;
        if !is_good {
            let (order, reason) = (self.order, told.exit_reason);
            let _ = writeln!(
                Output::new(),
                "breakpoints: {order:?}: exit {reason}, interrupted at {from:#x} by {why:#x}"
            );
        }
        Ok(is_good)
    }
}

/// A breakpoint, a step over it as debuggers do one, and the next breakpoint; and what is the guest's own.
pub fn stop(order: Order) -> Result<bool, Errno> {
    let mut guest = Debugged::new(order)?;
    if !guest.is_illegal() {
        return Ok(false);
    }
    guest.set(0);
    if !guest.interrupts(0, 0)? {
        return Ok(false);
    }
    machine::begin(guest.vcpu, order)?;
    let stops = DEBUGGED | BREAKPOINTS;
    if !guest.stops(stops, 0)? || !guest.stops(stops, 0)? {
        return Ok(false);
    }
    guest.remove(0);
    if !guest.stops(DEBUGGED | SINGLE_STEPS, 1)? {
        return Ok(false);
    }
    guest.set(0);
    guest.set(2);
    // The next one; a step to it, which leaves it there; and without the flag it is the guest's again.
    Ok(guest.stops(stops, 2)? && guest.steps_to_breakpoint()? && guest.interrupts(DEBUGGED, 2)?)
}

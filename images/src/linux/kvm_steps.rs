//! For Linux on catnap: a guest's program, of either order of bytes, one instruction after the other, as a
//! debugger has it; and breakpoints in its memory. It exits with 0 if each of them ended where it has to.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]

mod breakpoints;
mod machine;
mod output;
mod shared;
mod system;

use core::fmt::Write;
use machine::{Order, START};
use output::Output;
use system::Errno;

const MEMORY_BYTES: u64 = 1 << 20;
const PROGRAM: [u32; 12] = [
    0x38a0_0002, // 00: li 5, 2
    0x7ca9_03a6, // 04: mtctr 5
    0x3884_0001, // 08: addi 4, 4, 1
    0x4200_fffc, // 0c: bdnz to 08
    0x4800_0009, // 10: bl to 18
    0x4800_0014, // 14: b to 28
    0x7cc8_02a6, // 18: mflr 6
    0x2c04_0002, // 1c: cmpwi 4, 2
    0x4182_0008, // 20: beq to 28
    0x6000_0000, // 24: nop
    0x7cc9_03a6, // 28: mtctr 6
    0x4200_0000, // 2c: bdnz to itself
];
/// Where each step ends. The last branch has a long way to go: CTR is 0x114 there.
const STEPS: [u64; 14] = [
    0x04, 0x08, 0x0c, 0x08, 0x0c, 0x10, 0x18, 0x1c, 0x20, 0x28, 0x2c, 0x2c, 0x2c, 0x2c,
];

fn steps(order: Order) -> Result<bool, Errno> {
    let vm = machine::new(machine::kvm()?)?;
    machine::set_memory(vm, MEMORY_BYTES, &PROGRAM, order)?;
    let vcpu = machine::vcpu(vm, 0, order)?;
    machine::debug(vcpu, machine::DEBUGGED | machine::SINGLE_STEPS)?;
    for (step, offset) in STEPS.into_iter().enumerate() {
        machine::run(vcpu)?;
        let (pc, expected) = (machine::pc(vcpu)?, START as u64 + offset);
        if pc != expected {
            let _ = writeln!(
                Output::new(),
                "steps: {order:?}: step {step} ended at {pc:#x}, not {expected:#x}"
            );
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_good(order: Order) -> bool {
    let told = steps(order).and_then(|is_good| Ok(is_good && breakpoints::stop(order)?));
    match told {
        Ok(is_good) => is_good,
        Err(Errno(errno)) => {
            let _ = writeln!(Output::new(), "steps: {order:?}: errno {errno}");
            false
        }
    }
}

/// The program.
fn start(_: Option<u64>) -> ! {
    let all = is_good(Order::Big) && is_good(Order::Little);
    system::exit(u64::from(!all))
}

#[cfg(not(target_arch = "powerpc64"))]
fn main() {
    let main: fn(Option<u64>) -> ! = start;
    panic!("{main:p} runs in Linux on catnap only");
}

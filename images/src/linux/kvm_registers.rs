//! For Linux on catnap: every register of a vcpu that KVM has a number for, written and read again.
//!
//! Standard input: lines of a name and a number in hexadecimal. Of each register it says `ok` if all of its
//! bits can be written, or which bits keep what is written, or by which errno it is refused.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]

mod machine;
mod output;
mod system;

use core::fmt::Write;
use machine::Order;
use output::Output;
use system::{Errno, File};

const MEMORY_BYTES: u64 = 1 << 20;
/// What is read of standard input at most.
const INPUT_BYTES: usize = 16 << 10;
/// Of a register's number: the logarithm of its bytes.
const SIZE_SHIFT: u32 = 52;
const SIZE_MASK: u64 = 0xf;

fn bytes_of(id: u64) -> usize {
    1 << (id >> SIZE_SHIFT & SIZE_MASK)
}

/// A register's value.
type Value = [u8; 16];

fn read(vcpu: File, id: u64) -> Result<Value, Errno> {
    let mut value = [0; 16];
    machine::register(vcpu, id, false, &mut value).map(|()| value)
}

/// Which bits hold what is written, and hold its contrary.
fn bits_that_hold(vcpu: File, id: u64) -> Result<u128, Errno> {
    let before = read(vcpu, id)?;
    let mut held = u128::MAX;
    for mut pattern in [[0x5a; 16], [0xa5; 16], [0xff; 16], [0; 16]] {
        machine::register(vcpu, id, true, &mut pattern)?;
        held &= !(u128::from_le_bytes(read(vcpu, id)?) ^ u128::from_le_bytes(pattern));
    }
    let mut before = before;
    machine::register(vcpu, id, true, &mut before)?;
    let bits = 8 * bytes_of(id);
    Ok(held & (u128::MAX >> (128 - bits)))
}

fn tell(vcpu: File, name: &str, id: u64, output: &mut Output) {
    let all = u128::MAX >> (128 - 8 * bytes_of(id));
    // Who can't be heard can't say so.
    let _ = match bits_that_hold(vcpu, id) {
        Ok(bits) if bits == all => writeln!(output, "register {name}: ok"),
        Ok(bits) => writeln!(output, "register {name}: keeps {bits:#x}"),
        Err(Errno(errno)) => writeln!(output, "register {name}: errno {errno}"),
    };
}

fn set_up() -> Result<File, Errno> {
    let vm = machine::new(machine::kvm()?)?;
    machine::set_memory(vm, MEMORY_BYTES, &[], Order::Big)?;
    machine::vcpu(vm, 0, Order::Big)
}

/// Entries of the SLB that POWER8 has.
const SLB_ENTRIES: usize = 32;
const SLB_VALID: u64 = 1 << 27;
const INVALID_ARGUMENT: u64 = 22;

/// Whether all segments are as they were written; and no other processor can be.
fn keeps_segments(vcpu: File) -> Result<bool, Errno> {
    let mut written = machine::segments(vcpu)?;
    for (index, entry) in (0_u64..).zip(&mut written.slb[..SLB_ENTRIES]) {
        *entry = [(index + 1) << 28 | SLB_VALID | index, (index + 7) << 12];
    }
    machine::set_segments(vcpu, written)?;
    let keeps = machine::segments(vcpu)? == written;
    written.pvr ^= 0x100;
    let refused = machine::set_segments(vcpu, written);
    Ok(keeps && matches!(refused, Err(Errno(INVALID_ARGUMENT))))
}

fn registers() -> Result<(), Errno> {
    let mut output = Output::new();
    let mut input = [0; INPUT_BYTES];
    let len = system::read_all(&mut input)?;
    let text = core::str::from_utf8(&input[..len]).unwrap_or_default();
    let vcpu = set_up()?;
    let told = if keeps_segments(vcpu)? {
        "ok"
    } else {
        "differ"
    };
    let _ = writeln!(output, "registers: segments {told}");
    for line in text.lines() {
        let Some((name, id)) = line.split_once(' ') else {
            continue;
        };
        match u64::from_str_radix(id, 16) {
            Ok(id) if bytes_of(id) <= 16 => tell(vcpu, name, id, &mut output),
            _ => {
                let _ = writeln!(output, "register {name}: {id} is no number");
            }
        }
    }
    Ok(())
}

/// The program.
fn start(_: Option<u64>) -> ! {
    let mut output = Output::new();
    let status = match registers() {
        Ok(()) => 0,
        Err(Errno(errno)) => {
            let _ = writeln!(output, "registers: errno {errno}");
            1
        }
    };
    system::exit(status)
}

#[cfg(not(target_arch = "powerpc64"))]
fn main() {
    let main: fn(Option<u64>) -> ! = start;
    panic!("{main:p} runs in Linux on catnap only");
}

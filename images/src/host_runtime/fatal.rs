//! The end of a host that can't go on: it says why and switches off.
use core::panic::PanicInfo;

use super::{console, cpu, opal};

/// For a panic handler.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    console::print_last(format_args!("\nhost: thread {:#x}: {info}\n", cpu::pir()));
    opal::power_down()
}

/// From the vectors: an interrupt that a host without interrupts can't have expected.
#[cfg(target_arch = "powerpc64")]
#[unsafe(no_mangle)]
extern "C" fn host_interrupted(
    vector: u64,
    srr0: u64,
    srr1: u64,
    hsrr0: u64,
    hsrr1: u64,
    dar: u64,
) -> ! {
    // Some vectors are 32 bytes apart, the others 256; the stub told its own address.
    let pir = cpu::pir();
    console::print_last(format_args!(
        "\nhost: thread {pir:#x}: interrupt {vector:#x}\n"
    ));
    console::print_last(format_args!("SRR0 {srr0:#x} SRR1 {srr1:#x} DAR {dar:#x}\n"));
    console::print_last(format_args!("HSRR0 {hsrr0:#x} HSRR1 {hsrr1:#x}\n"));
    opal::power_down()
}

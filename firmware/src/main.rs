#![no_std]
#![no_main]
use asm as _;
#[unsafe(no_mangle)]
extern "C" fn boot_main(_fdt: u64) -> ! { loop { asm::op::relax(); } }
#[unsafe(no_mangle)]
extern "C" fn boot_fault(_f: u64, _v: u64) -> ! { loop { asm::op::relax(); } }
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }

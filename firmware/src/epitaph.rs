//! The last words of a thread: an interrupt or a panic in the firmware itself.
use asm::area::Frame;
use core::fmt::Arguments;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use platform::cpu::thread;

/// Return addresses shown at most.
const BACKTRACE_FRAMES: usize = 16;
/// Thread whose epitaph is being written; others wait, so that lines don't mix.
static SPEAKER: AtomicU32 = AtomicU32::new(u32::MAX);

fn say(text: Arguments) {
    platform::log::emergency(text);
}

/// Lets one thread speak; a thread that fails while it speaks says no more.
fn begin() -> bool {
    let pir = thread::pir();
    for _ in 0..1_000_000 {
        match SPEAKER.compare_exchange(u32::MAX, pir, Relaxed, Relaxed) {
            Ok(_) => return true,
            Err(speaker) if speaker == pir => return false,
            Err(_) => asm::op::relax(),
        }
    }
    true
}

/// From assembly: an interrupt that firmware code must not cause.
pub extern "C" fn fault(frame: &Frame, vector: u64) -> ! {
    if begin() {
        say(format_args!(
            "catnap: PANIC: EPITAPH of thread {:#x}: interrupt {vector:#x} ({}) at {:#018x}",
            thread::pir(),
            vector_name(vector),
            frame.pc
        ));
        say(format_args!(
            "  msr {:016x} cr {:08x} xer {:08x}",
            frame.msr, frame.cr, frame.xer
        ));
        say(format_args!(
            "  lr {:016x} ctr {:016x}",
            frame.lr, frame.ctr
        ));
        say(format_args!(
            "  dar {:016x} dsisr {:08x} hdar {:016x} hdsisr {:08x}",
            asm::spr::read::<{ asm::spr::DAR }>(),
            asm::spr::read::<{ asm::spr::DSISR }>(),
            asm::spr::read::<{ asm::spr::HDAR }>(),
            asm::spr::read::<{ asm::spr::HDSISR }>(),
        ));
        for (row, gpr) in frame.gpr.chunks(4).enumerate() {
            say(format_args!(
                "  r{:<2} {:016x} {:016x} {:016x} {:016x}",
                4 * row,
                gpr[0],
                gpr[1],
                gpr[2],
                gpr[3]
            ));
        }
        backtrace(frame.gpr[1]);
        SPEAKER.store(u32::MAX, Relaxed);
    }
    halt()
}

/// A panic of the firmware's.
pub fn panic(info: &PanicInfo) -> ! {
    if begin() {
        say(format_args!(
            "catnap: PANIC: EPITAPH of thread {:#x}: {info}",
            thread::pir()
        ));
        let sp: u64;
        // SAFETY: reads the stack pointer.
        unsafe { core::arch::asm!("mr {}, 1", out(reg) sp, options(nostack)) };
        backtrace(sp);
        SPEAKER.store(u32::MAX, Relaxed);
    }
    halt()
}

/// Walks the back chain; stops at anything that can't be a stack of the firmware's (ELFv2 ABI
/// 2.2.2: back chain at 0, return address at 16 of the caller's frame).
fn backtrace(mut sp: u64) {
    let region = asm::BASE | asm::EA_REAL..(asm::BASE | asm::EA_REAL) + crate::layout::REGION_BYTES;
    for _ in 0..BACKTRACE_FRAMES {
        if !region.contains(&sp) || sp & 7 != 0 {
            return;
        }
        // SAFETY: within the firmware's own region, aligned.
        let next = unsafe { *(sp as *const u64) };
        if !region.contains(&next) || next <= sp {
            return;
        }
        // SAFETY: as above; LR's place lies in the same frame.
        let lr = unsafe { *((next + 16) as *const u64) };
        say(format_args!("  called from {lr:#018x} (frame {next:#x})"));
        sp = next;
    }
}

/// The thread spins here for good, at low priority; the others go on.
fn halt() -> ! {
    loop {
        asm::op::relax();
    }
}

fn vector_name(vector: u64) -> &'static str {
    match vector {
        0x100 => "system reset",
        0x200 => "machine check",
        0x300 => "data storage",
        0x380 => "data segment",
        0x400 => "instruction storage",
        0x480 => "instruction segment",
        0x500 => "external",
        0x600 => "alignment",
        0x700 => "program",
        0x800 => "floating point unavailable",
        0x900 => "decrementer",
        0x980 => "hypervisor decrementer",
        0xc00 => "system call",
        0xe00 => "hypervisor data storage",
        0xe20 => "hypervisor instruction storage",
        0xe40 => "hypervisor emulation assistance",
        0xe60 => "hypervisor maintenance",
        0xe80 => "hypervisor doorbell",
        0xf20 => "vector unavailable",
        0xf40 => "VSX unavailable",
        0xf60 => "facility unavailable",
        0xf80 => "hypervisor facility unavailable",
        _ => "unknown",
    }
}

//! Special-purpose registers and the machine state register, as far as guests use them.

/// Numbers of special-purpose registers (Power ISA 2.07 Book III-S 4.4.4).
pub const DEC: u32 = 22;
pub const SRR0: u32 = 26;
pub const SRR1: u32 = 27;
pub const DPDES: u32 = 176;
pub const TB: u32 = 268;
pub const SPRG2: u32 = 274;
pub const SPRG3: u32 = 275;
pub const TIR: u32 = 446;
pub const PPR: u32 = 896;

/// MSR\[EE\]: external, decrementer and doorbell interrupts are taken.
pub const MSR_EE: u64 = 1 << (63 - 48);

#[cfg(target_arch = "powerpc64")]
mod machine {
    use core::arch::asm;

    /// Reads register `SPR`.
    pub fn read<const SPR: u32>() -> u64 {
        let value: u64;
        // SAFETY: reads a register; if the guest may not, an interrupt tells the host so.
        unsafe { asm!("mfspr {}, {}", out(reg) value, const SPR, options(nostack)) }
        value
    }

    /// Writes register `SPR`.
    ///
    /// # Safety
    /// The compiler's code doesn't rely on the register's value.
    pub unsafe fn write<const SPR: u32>(value: u64) {
        // SAFETY: the caller's promise.
        unsafe { asm!("mtspr {}, {}", const SPR, in(reg) value, options(nostack)) }
    }

    /// The machine state register.
    pub fn msr() -> u64 {
        let msr: u64;
        // SAFETY: reads a register.
        unsafe { asm!("mfmsr {}", out(reg) msr, options(nomem, nostack)) }
        msr
    }

    /// Turns interrupts on or off.
    pub fn set_interrupts(on: bool) {
        let ee = if on { super::MSR_EE } else { 0 };
        // SAFETY: `mtmsrd` with L = 1 changes EE and RI alone; the vectors are in place.
        unsafe { asm!("mtmsrd {}, 1", in(reg) ee | 2, options(nostack)) }
    }

    /// A hint that this thread only waits.
    pub fn relax() {
        // SAFETY: a hint (Power ISA 2.07 Book II 3.2).
        unsafe { asm!("or 27, 27, 27", options(nomem, nostack, preserves_flags)) }
    }
}

/// Where the images are only compiled, not run.
#[cfg(not(target_arch = "powerpc64"))]
#[allow(clippy::missing_safety_doc, reason = "never does anything")]
mod machine {
    pub fn read<const SPR: u32>() -> u64 {
        unreachable!("no POWER8")
    }
    pub unsafe fn write<const SPR: u32>(_value: u64) {
        unreachable!("no POWER8")
    }
    pub fn msr() -> u64 {
        unreachable!("no POWER8")
    }
    pub fn set_interrupts(_on: bool) {
        unreachable!("no POWER8")
    }
    pub fn relax() {
        core::hint::spin_loop()
    }
}

pub use machine::*;

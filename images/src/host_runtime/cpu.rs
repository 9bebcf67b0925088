//! Single instructions of the processor that the host runs on.

pub use hcalls::trace::TB_HZ;

#[cfg(target_arch = "powerpc64")]
mod machine {
    use core::arch::asm;

    /// The time base.
    pub fn time_base() -> u64 {
        let ticks: u64;
        // SAFETY: reads a register.
        unsafe { asm!("mfspr {}, 268", out(reg) ticks, options(nomem, nostack, preserves_flags)) }
        ticks
    }

    /// The number of this hardware thread.
    pub fn pir() -> u32 {
        let pir: u64;
        // SAFETY: reads a register.
        unsafe { asm!("mfspr {}, 1023", out(reg) pir, options(nomem, nostack, preserves_flags)) }
        pir as u32
    }

    /// What is in special-purpose register `N`.
    pub fn spr<const N: u16>() -> u64 {
        let value: u64;
        // SAFETY: reads a register.
        unsafe { asm!("mfspr {}, {}", out(reg) value, const N, options(nomem, nostack)) }
        value
    }

    /// The decrementer expires after so many ticks; the host has it interrupt nobody.
    pub fn set_decrementer(ticks: u64) {
        // SAFETY: the host runs with interrupts off.
        unsafe { asm!("mtspr 22, {}", in(reg) ticks, options(nomem, nostack, preserves_flags)) }
    }

    /// Has MSR\[EE\] on or off. On, an interrupt is the end of the host.
    pub fn enable_interrupts(on: bool) {
        let ee = u64::from(on) << 15;
        // SAFETY: changes EE and RI alone; the vectors are in place.
        unsafe { asm!("mtmsrd {}, 1", in(reg) ee, options(nostack, preserves_flags)) }
    }

    /// Lets others of the machine go first: to be in every loop that waits.
    pub fn relax() {
        // SAFETY: a hint (Power ISA 2.07 Book II 3.2).
        unsafe { asm!("or 27, 27, 27", options(nomem, nostack, preserves_flags)) }
    }

    /// Reads 4 bytes of a device.
    ///
    /// # Safety
    /// `address` is a device register of that size.
    pub unsafe fn read_device_u32(address: u64) -> u32 {
        let value: u64;
        // SAFETY: the caller's promise.
        unsafe {
            asm!("sync", "lwzcix {}, 0, {}", out(reg) value, in(reg) address, options(nostack))
        }
        value as u32
    }

    /// Reads a byte from a device.
    ///
    /// # Safety
    /// As [`read_device_u32`].
    pub unsafe fn read_device_u8(address: u64) -> u8 {
        let value: u64;
        // SAFETY: the caller's promise.
        unsafe {
            asm!("sync", "lbzcix {}, 0, {}", out(reg) value, in(reg) address, options(nostack))
        }
        value as u8
    }

    /// Writes a byte to a device.
    ///
    /// # Safety
    /// `address` is a device register of that size, and what it sets off is wanted.
    pub unsafe fn write_device_u8(address: u64, value: u8) {
        let value = u64::from(value);
        // SAFETY: the caller's promise.
        unsafe {
            asm!("sync", "stbcix {}, 0, {}", in(reg) value, in(reg) address, options(nostack))
        }
    }

    /// Writes 8 bytes to a device.
    ///
    /// # Safety
    /// As [`write_device_u8`].
    pub unsafe fn write_device_u64(address: u64, value: u64) {
        // SAFETY: the caller's promise.
        unsafe {
            asm!("sync", "stdcix {}, 0, {}", in(reg) value, in(reg) address, options(nostack))
        }
    }

    /// Writes 4 bytes to a device.
    ///
    /// # Safety
    /// As [`write_device_u8`].
    pub unsafe fn write_device_u32(address: u64, value: u32) {
        let value = u64::from(value);
        // SAFETY: the caller's promise.
        unsafe {
            asm!("sync", "stwcix {}, 0, {}", in(reg) value, in(reg) address, options(nostack))
        }
    }
}

/// Where the images are only compiled, not run.
#[cfg(not(target_arch = "powerpc64"))]
#[allow(clippy::missing_safety_doc, reason = "never does anything")]
mod machine {
    pub fn time_base() -> u64 {
        unreachable!("no POWER8")
    }
    pub fn pir() -> u32 {
        unreachable!("no POWER8")
    }
    pub fn spr<const N: u16>() -> u64 {
        unreachable!("no POWER8")
    }
    pub fn set_decrementer(_ticks: u64) {
        unreachable!("no POWER8")
    }
    pub fn enable_interrupts(_on: bool) {
        unreachable!("no POWER8")
    }
    pub fn relax() {
        core::hint::spin_loop()
    }
    pub unsafe fn read_device_u32(_address: u64) -> u32 {
        unreachable!("no POWER8")
    }
    pub unsafe fn read_device_u8(_address: u64) -> u8 {
        unreachable!("no POWER8")
    }
    pub unsafe fn write_device_u8(_address: u64, _value: u8) {
        unreachable!("no POWER8")
    }
    pub unsafe fn write_device_u32(_address: u64, _value: u32) {
        unreachable!("no POWER8")
    }
    pub unsafe fn write_device_u64(_address: u64, _value: u64) {
        unreachable!("no POWER8")
    }
}

pub use machine::*;

/// Waits until the time base has reached `tb`, which may have passed, even before the time base began.
pub fn wait_until(tb: u64) {
    while (time_base().wrapping_sub(tb) as i64) < 0 {
        relax();
    }
}

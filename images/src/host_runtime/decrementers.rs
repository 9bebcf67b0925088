//! The two decrementers of the host's thread: DEC and HDEC.

#[cfg(target_arch = "powerpc64")]
mod machine {
    use core::arch::asm;

    /// Sets both.
    pub fn set(ticks: i32) {
        let ticks = i64::from(ticks);
        // SAFETY: the host runs with interrupts off.
        unsafe {
            asm!("mtspr 22, {0}", "mtspr 310, {0}", in(reg) ticks, options(nomem, nostack, preserves_flags))
        }
    }

    /// Has interrupts of all kinds let through for a moment, HDEC's too, with both far off. One that comes
    /// is the end of the host.
    pub fn let_through() {
        const HDICE: u64 = 1;
        set(i32::MAX);
        // SAFETY: the vectors are in place, and LPCR is as before afterwards.
        unsafe {
            asm!(
                "mfspr {old}, 318", "ori {new}, {old}, {HDICE}", "mtspr 318, {new}", "isync",
                "mtmsrd {on}, 1", "nop", "nop", "nop", "nop", "mtmsrd {off}, 1",
                "mtspr 318, {old}", "isync",
                old = out(reg) _, new = out(reg) _, on = in(reg) 0x8002u64, off = in(reg) 0u64,
                HDICE = const HDICE, options(nostack),
            )
        }
    }

    /// What DEC and HDEC read.
    pub fn read() -> [i32; 2] {
        let (dec, hdec): (u64, u64);
        // SAFETY: reads registers.
        unsafe {
            asm!("mfspr {}, 22", "mfspr {}, 310", out(reg) dec, out(reg) hdec, options(nomem, nostack, preserves_flags))
        }
        [dec as i32, hdec as i32]
    }
}

/// Where the images are only compiled, not run.
#[cfg(not(target_arch = "powerpc64"))]
mod machine {
    pub fn set(_ticks: i32) {
        unreachable!("no POWER8")
    }
    pub fn read() -> [i32; 2] {
        unreachable!("no POWER8")
    }
    pub fn let_through() {
        unreachable!("no POWER8")
    }
}

pub use machine::*;

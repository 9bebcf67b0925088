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
}

pub use machine::*;

//! Device registers, by cache-inhibited hypervisor loads and stores.
//!
//! In hypervisor real mode ordinary loads are cached; `lbzcix` … `stdcix` are the way to reach
//! devices (Power ISA 2.07 Book III-S 4.4.1). Each access is ordered after all earlier ones by
//! `sync`; a load is complete before anything that follows it (`twi`, `isync`).
//!
//! On the build host these are volatile accesses, big-endian as on the machine, so that tests can
//! lay out registers in memory.

#[cfg(target_arch = "powerpc64")]
macro_rules! access {
    ($width:ty, $read:ident, $load:literal, $write:ident, $store:literal) => {
        /// Reads the register at a real address.
        ///
        /// # Safety
        /// `real` is an aligned device register and reading it has no effect on memory.
        #[inline(always)]
        #[must_use]
        pub unsafe fn $read(real: u64) -> $width {
            let value: u64;
            // SAFETY: the caller vouches for the address; no register but `value` is changed.
            unsafe {
                core::arch::asm!(
                    "sync",
                    concat!($load, " {value}, 0, {at}"),
                    "twi 0, {value}, 0",
                    "isync",
                    value = lateout(reg) value,
                    at = in(reg) crate::real::ptr(real),
                    options(nostack, preserves_flags),
                );
            }
            value as $width
        }

        /// Writes the register at a real address.
        ///
        /// # Safety
        /// `real` is an aligned device register and the write is harmless to memory in use.
        #[inline(always)]
        pub unsafe fn $write(real: u64, value: $width) {
            // SAFETY: the caller vouches for the address; no register is changed.
            unsafe {
                core::arch::asm!(
                    "sync",
                    concat!($store, " {value}, 0, {at}"),
                    value = in(reg) u64::from(value),
                    at = in(reg) crate::real::ptr(real),
                    options(nostack, preserves_flags),
                );
            }
        }
    };
}

#[cfg(not(target_arch = "powerpc64"))]
macro_rules! access {
    ($width:ty, $read:ident, $load:literal, $write:ident, $store:literal) => {
        /// Reads the register at a real address.
        ///
        /// # Safety
        /// `real` is an aligned address of live memory.
        #[must_use]
        pub unsafe fn $read(real: u64) -> $width {
            // SAFETY: the caller vouches for the address.
            let raw = unsafe { crate::real::ptr(real).cast::<$width>().read_volatile() };
            <$width>::from_be(raw)
        }

        /// Writes the register at a real address.
        ///
        /// # Safety
        /// `real` is an aligned address of live memory that may change.
        pub unsafe fn $write(real: u64, value: $width) {
            // SAFETY: the caller vouches for the address.
            unsafe {
                crate::real::ptr(real)
                    .cast::<$width>()
                    .write_volatile(value.to_be())
            }
        }
    };
}

access!(u8, read8, "lbzcix", write8, "stbcix");
access!(u32, read32, "lwzcix", write32, "stwcix");
access!(u64, read64, "ldcix", write64, "stdcix");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_big_endian() {
        let mut register = [0_u64; 1];
        let real = crate::real::address(register.as_mut_ptr());
        // SAFETY: `register` is live and aligned.
        unsafe {
            write64(real, 0x0102_0304_0506_0708);
            assert_eq!(read8(real), 1);
            assert_eq!(read32(real + 4), 0x0506_0708);
            write8(real + 7, 9);
            write32(real, 0x1112_1314);
            assert_eq!(read64(real), 0x1112_1314_0506_0709);
        }
    }
}

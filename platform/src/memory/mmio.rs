//! Device registers, by cache-inhibited hypervisor loads and stores.
//!
//! In hypervisor real mode ordinary loads are cached; `lbzcix` … `stdcix` are the way to reach
//! devices (Power ISA 2.07 Book III-S 4.4.1). Each access is ordered after all earlier ones by
//! `sync`; a load is complete before anything that follows it (`twi`, `isync`). The functions named
//! `next_…` leave that out, for an access that follows another to the same device: those are
//! performed in program order, being caching-inhibited and guarded (Book II 1.7.1).
//!
//! Registers are named by effective address, as [`crate::memory::real::ptr`] gives it.
//!
//! On the build host they reach the simulated machine's devices. Elsewhere they are volatile accesses, big-endian
//! as on the machine, so that tests can lay out registers in memory.

#[cfg(target_arch = "powerpc64")]
macro_rules! access {
    ($width:ty, $read:ident, $load:literal, $write:ident, $store:literal, $before:literal, $after:literal) => {
        /// Reads a register.
        ///
        /// # Safety
        /// `at` is an aligned device register and reading it has no effect on memory.
        #[inline(always)]
        #[must_use]
        pub unsafe fn $read(at: *mut u8) -> $width {
            let value: u64;
            // SAFETY: the caller vouches for the address; no register but `value` is changed.
            unsafe {
                core::arch::asm!(
                    $before,
                    concat!($load, " {value}, 0, {at}"),
                    $after,
                    value = lateout(reg) value,
                    at = in(reg) at,
                    options(nostack, preserves_flags),
                );
            }
            value as $width
        }

        /// Writes a register.
        ///
        /// # Safety
        /// `at` is an aligned device register and the write is harmless to memory in use.
        #[inline(always)]
        pub unsafe fn $write(at: *mut u8, value: $width) {
            // SAFETY: the caller vouches for the address; no register is changed.
            unsafe {
                core::arch::asm!(
                    $before,
                    concat!($store, " {value}, 0, {at}"),
                    value = in(reg) u64::from(value),
                    at = in(reg) at,
                    options(nostack, preserves_flags),
                );
            }
        }
    };
}

#[cfg(not(target_arch = "powerpc64"))]
macro_rules! access {
    ($width:ty, $read:ident, $load:literal, $write:ident, $store:literal, $before:literal, $after:literal) => {
        /// Reads a register.
        ///
        /// # Safety
        /// `at` is an aligned address of live memory.
        #[must_use]
        pub unsafe fn $read(at: *mut u8) -> $width {
            if let Some(value) = asm::sim::presenter::load(at.addr() as u64) {
                return value as $width;
            }
            // SAFETY: the caller vouches for the address.
            let raw = unsafe { at.cast::<$width>().read_volatile() };
            <$width>::from_be(raw)
        }

        /// Writes a register.
        ///
        /// # Safety
        /// `at` is an aligned address of live memory that may change.
        pub unsafe fn $write(at: *mut u8, value: $width) {
            let device =
                asm::sim::presenter::store(at.addr() as u64, size_of::<$width>(), value.into());
            if device.is_none() {
                // SAFETY: the caller vouches for the address.
                unsafe { at.cast::<$width>().write_volatile(value.to_be()) }
            }
        }
    };
}

macro_rules! ordered {
    ($width:ty, $read:ident, $load:literal, $write:ident, $store:literal) => {
        access!(
            $width,
            $read,
            $load,
            $write,
            $store,
            "sync",
            "twi 0, {value}, 0; isync"
        );
    };
}
ordered!(u8, read8, "lbzcix", write8, "stbcix");
ordered!(u32, read32, "lwzcix", write32, "stwcix");
ordered!(u64, read64, "ldcix", write64, "stdcix");
access!(u8, next_read8, "lbzcix", next_write8, "stbcix", "", "");
access!(u16, next_read16, "lhzcix", next_write16, "sthcix", "", "");
access!(u32, next_read32, "lwzcix", next_write32, "stwcix", "", "");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_big_endian() {
        let mut register = [0_u64; 1];
        let at = register.as_mut_ptr().cast::<u8>();
        // SAFETY: `register` is live and aligned.
        unsafe {
            write64(at, 0x0102_0304_0506_0708);
            assert_eq!(read8(at), 1);
            assert_eq!(read32(at.add(4)), 0x0506_0708);
            next_write8(at.add(7), 9);
            next_write32(at, 0x1112_1314);
            assert_eq!(read64(at), 0x1112_1314_0506_0709);
        }
    }
}

//! Real addresses and how the firmware reaches them.

/// The pointer to a real address: valid under any HRMOR, on any thread in hypervisor real mode,
/// since an effective address with its top bit set is not offset (Power ISA 2.07 Book III-S
/// 5.7.3).
///
/// On the build host this is the identity, so tests can use heap memory as RAM.
#[inline(always)]
#[must_use]
pub fn ptr(real: u64) -> *mut u8 {
    #[cfg(target_arch = "powerpc64")]
    let address = real | asm::EA_REAL;
    #[cfg(not(target_arch = "powerpc64"))]
    let address = real;
    core::ptr::with_exposed_provenance_mut(address as usize)
}

/// The real address behind a pointer into the firmware or from [`ptr`].
#[inline(always)]
#[must_use]
pub fn address<T>(pointer: *const T) -> u64 {
    let address = pointer.expose_provenance() as u64;
    #[cfg(target_arch = "powerpc64")]
    let address = address & !asm::EA_REAL;
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_and_its_address_are_inverse() {
        let mut cell = 7_u32;
        let real = address(&raw mut cell);
        // SAFETY: the address is that of the live local `cell`.
        unsafe { ptr(real).cast::<u32>().write(8) };
        assert_eq!(cell, 8);
    }
}

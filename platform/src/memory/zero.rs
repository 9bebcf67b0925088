//! Clearing memory, a cache block at a time.

/// Bytes of a cache block, which `dcbz` clears (POWER8 User's Manual 2.3).
#[cfg(target_arch = "powerpc64")]
const BLOCK_LEN: u64 = 128;

/// Fills bytes of RAM with zeros.
pub fn clear(bytes: &mut [u8]) {
    let start = crate::memory::real::address(bytes.as_mut_ptr());
    // SAFETY: who has the bytes has them alone.
    unsafe { zero(start, bytes.len() as u64) };
}

/// Fills `len_bytes` from real address `start` with zeros.
///
/// # Safety
/// The range is RAM that nobody else uses.
pub unsafe fn zero(start: u64, len_bytes: u64) {
    #[cfg(target_arch = "powerpc64")]
    {
        let end = start + len_bytes;
        let first_block = start.next_multiple_of(BLOCK_LEN).min(end);
        let last_block_end = (end & !(BLOCK_LEN - 1)).max(first_block);
        // SAFETY: three neighbouring parts of the caller's range, the middle one of whole blocks.
        unsafe {
            zero_bytes(start, first_block - start);
            zero_blocks(first_block, last_block_end);
            zero_bytes(last_block_end, end - last_block_end);
        }
    }
    #[cfg(not(target_arch = "powerpc64"))]
    // SAFETY: the caller's promise.
    unsafe {
        zero_bytes(start, len_bytes);
    }
}

/// # Safety
/// As [`zero`].
unsafe fn zero_bytes(start: u64, len_bytes: u64) {
    // SAFETY: the caller's promise.
    unsafe { crate::memory::real::ptr(start).write_bytes(0, len_bytes as usize) };
}

/// # Safety
/// As [`zero`]; `start` and `end` are multiples of a block's length.
#[cfg(target_arch = "powerpc64")]
unsafe fn zero_blocks(start: u64, end: u64) {
    let blocks = (end - start) / BLOCK_LEN;
    if blocks == 0 {
        return;
    }
    // SAFETY: as many blocks from `start` on as the caller's range has.
    unsafe {
        core::arch::asm!(
            "mtctr {blocks}",
            "1:",
            "dcbz 0, {at}",
            "addi {at}, {at}, {BLOCK_LEN}",
            "bdnz 1b",
            blocks = in(reg) blocks,
            at = inout(reg_nonzero) crate::memory::real::ptr(start) => _,
            BLOCK_LEN = const BLOCK_LEN,
            out("ctr") _,
            options(nostack),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn just_the_range_is_cleared() {
        let mut bytes = [0xff_u8; 600];
        clear(&mut bytes[3..503]);
        for (at, &byte) in bytes.iter().enumerate() {
            assert_eq!(byte == 0, (3..503).contains(&at));
        }
    }
}

//! What a thread does on the way into a guest and out of it on machines whose caches and branch
//! predictors tell guests of each other (L9).
//!
//! Off, this costs nothing: [`switch_on`] puts a branch in the place of the first instruction of
//! each way.
/// The branch `b` at `from` that leads to `to` (Power ISA 2.07 Book I 2.4), if it reaches so far.
#[must_use]
pub fn branch(from: u64, to: u64) -> Option<u32> {
    const OPCODE: u32 = 18 << 26;
    const REACH: i64 = 1 << 25;
    let distance = to.wrapping_sub(from) as i64;
    let reaches = (-REACH..REACH).contains(&distance) && distance & 3 == 0;
    reaches.then_some(OPCODE | distance as u32 & 0x03ff_fffc)
}

#[cfg(target_arch = "powerpc64")]
mod code {
    use crate::area::{LAST_TABLE_HYPERCALL, offset as a};
    use crate::guest;
    use core::arch::{asm, global_asm};

    /// Twice the L1 data cache of a core, of 64 KiB (POWER8 User's Manual, "L1 data cache").
    const FLUSH_LINES: u64 = 128 * 1024 / LINE_BYTES;
    const LINE_BYTES: u64 = 128;

    global_asm!(
        ".section .text.mitigations, \"ax\"",
        // In and out: r3 = page, r13 = area; r4–r6 and CTR are loaded afterwards. The image's own
        // first lines push out what others have left in the cache; the barriers hold back later
        // loads until then, and stores that guests could see early.
        "guest_resume_flushed:",
        "    std 3, {PAGE}(13)",
        "    li 4, {FLUSH_LINES}",
        "    mtctr 4",
        "    li 5, 1",
        "    rldicr 5, 5, 63, 0",
        "    oris 5, 5, {BASE}@h",
        "    sync",
        "1:  ld 6, 0(5)",
        "    addi 5, 5, {LINE_BYTES}",
        "    bdnz 1b",
        "    sync",
        // The speculation barrier.
        "    ori 31, 31, 0",
        "    b guest_resume + 4",
        //
        // The guest's LR is saved; the link stack has 32 places.
        "guest_left_flushed:",
        ".rept 32",
        "    bl .+4",
        ".endr",
        "    cmpldi 11, {DATA_STORAGE}",
        "    b guest_left + 4",
        "guest_called_flushed:",
        ".rept 32",
        "    bl .+4",
        ".endr",
        "    cmpldi 3, {LAST_TABLE_HYPERCALL}",
        "    b guest_called + 4",
        PAGE = const a::PAGE,
        FLUSH_LINES = const FLUSH_LINES,
        LINE_BYTES = const LINE_BYTES,
        BASE = const crate::BASE,
        DATA_STORAGE = const guest::DATA_STORAGE,
        LAST_TABLE_HYPERCALL = const LAST_TABLE_HYPERCALL,
    );

    unsafe extern "C" {
        safe static guest_resume: u32;
        safe static guest_resume_flushed: u32;
        safe static guest_called: u32;
        safe static guest_called_flushed: u32;
        safe static guest_left: u32;
        safe static guest_left_flushed: u32;
    }

    /// Switches all on, for good.
    ///
    /// # Panics
    /// The image is larger than a branch can reach.
    ///
    /// # Safety
    /// No thread is in a guest or on its way there.
    pub unsafe fn switch_on() {
        let ways = [
            (&raw const guest_resume, &raw const guest_resume_flushed),
            (&raw const guest_called, &raw const guest_called_flushed),
            (&raw const guest_left, &raw const guest_left_flushed),
        ];
        for (from, to) in ways {
            let branch = super::branch(from as u64, to as u64).expect("the image is small");
            // SAFETY: the image's own code, at its own address, which nobody executes now.
            unsafe {
                from.cast_mut().write_volatile(branch);
                asm!("dcbst 0, {0}", "sync", "icbi 0, {0}", "sync", "isync", in(reg) from);
            }
        }
    }
}

#[cfg(target_arch = "powerpc64")]
pub use code::switch_on;

#[cfg(test)]
mod tests {
    use super::branch;

    #[test]
    fn branches_lead_where_they_should() {
        assert_eq!(branch(0x1000, 0x1004), Some(0x4800_0004));
        assert_eq!(branch(0x1004, 0x1000), Some(0x4bff_fffc));
        assert_eq!(branch(0, (1 << 25) - 4), Some(0x49ff_fffc));
        assert_eq!(branch(0, 1 << 25), None);
        assert_eq!(branch(1 << 25, 0), Some(0x4a00_0000));
        assert_eq!(branch((1 << 25) + 4, 0), None);
        assert_eq!(branch(0, 2), None);
    }
}

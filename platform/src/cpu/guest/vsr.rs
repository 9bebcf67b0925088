//! The floating-point, VMX and VSX registers themselves.
use core::arch::asm;
use core::mem::offset_of;
use hcalls::VcpuPage;

/// Moves VSR 0–63 from or to memory at `at`, eight of them with each step of it.
macro_rules! all_vsrs {
    ($one:literal) => {
        concat!(
            "li {o1}, 16\nli {o2}, 32\nli {o3}, 48\nli {o4}, 64\n",
            "li {o5}, 80\nli {o6}, 96\nli {o7}, 112\n",
            ".set n, 0\n",
            ".rept 8\n",
            $one,
            " n, 0, {at}\n",
            $one,
            " n + 1, {at}, {o1}\n",
            $one,
            " n + 2, {at}, {o2}\n",
            $one,
            " n + 3, {at}, {o3}\n",
            $one,
            " n + 4, {at}, {o4}\n",
            $one,
            " n + 5, {at}, {o5}\n",
            $one,
            " n + 6, {at}, {o6}\n",
            $one,
            " n + 7, {at}, {o7}\n",
            "addi {at}, {at}, 128\n",
            ".set n, n + 8\n",
            ".endr"
        )
    };
}

/// Loads VSR 0–63, VSCR and FPSCR.
///
/// # Safety
/// [`super::facility::open`] was called, and `page` is a vcpu page that is this thread's.
#[inline(always)]
pub unsafe fn load(page: *mut VcpuPage) {
    // SAFETY: the caller's promise; the firmware itself uses none of these registers.
    unsafe {
        asm!(
            "lxvd2x 32, 0, {vscr}",
            "mtvscr 0",
            "lfd 0, 0({fpscr})",
            "mtfsf 0xff, 0, 1, 0",
            all_vsrs!("lxvd2x"),
            vscr = in(reg) page.byte_add(offset_of!(VcpuPage, vscr)),
            fpscr = in(reg_nonzero) page.byte_add(offset_of!(VcpuPage, fpscr)),
            at = inout(reg_nonzero) page.byte_add(offset_of!(VcpuPage, vsr)) => _,
            o1 = out(reg) _,
            o2 = out(reg) _,
            o3 = out(reg) _,
            o4 = out(reg) _,
            o5 = out(reg) _,
            o6 = out(reg) _,
            o7 = out(reg) _,
            options(nostack),
        );
    }
}

/// Stores VSR 0–63, VSCR and FPSCR. The registers keep what they hold.
///
/// # Safety
/// As [`load`].
#[inline(always)]
pub unsafe fn save(page: *mut VcpuPage) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            all_vsrs!("stxvd2x"),
            "mffs 0",
            "stfd 0, 0({fpscr})",
            "mfvscr 0",
            "stxvd2x 32, 0, {vscr}",
            // These two have passed the status registers on.
            "lxvd2x 0, 0, {vsr0}",
            "lxvd2x 32, 0, {vsr32}",
            vscr = in(reg) page.byte_add(offset_of!(VcpuPage, vscr)),
            fpscr = in(reg_nonzero) page.byte_add(offset_of!(VcpuPage, fpscr)),
            at = inout(reg_nonzero) page.byte_add(offset_of!(VcpuPage, vsr)) => _,
            o1 = out(reg) _,
            o2 = out(reg) _,
            o3 = out(reg) _,
            o4 = out(reg) _,
            o5 = out(reg) _,
            o6 = out(reg) _,
            o7 = out(reg) _,
            vsr0 = in(reg) page.byte_add(offset_of!(VcpuPage, vsr)),
            vsr32 = in(reg) page.byte_add(offset_of!(VcpuPage, vsr) + 32 * 16),
            options(nostack),
        );
    }
}

/// Clears VSR 0–63, VSCR and FPSCR, so that the next guest finds nothing of the last.
///
/// # Safety
/// [`super::facility::open`] was called.
#[inline(always)]
pub unsafe fn clear() {
    // SAFETY: the caller's promise; the firmware itself uses none of these registers.
    unsafe {
        asm!(
            ".set n, 0",
            ".rept 64",
            "xxlxor n, n, n",
            ".set n, n + 1",
            ".endr",
            "mtvscr 0",
            "mtfsf 0xff, 0, 1, 0",
            options(nostack),
        );
    }
}

/// Copies VSR 0–63 to themselves, doubleword by doubleword (`xvcpsgndp`).
///
/// # Safety
/// [`super::facility::open`] was called.
#[inline(never)]
pub unsafe fn normalize() {
    // SAFETY: the caller's promise; no value changes.
    unsafe {
        asm!(
            ".set n, 0",
            ".rept 64",
            "xvcpsgndp n, n, n",
            ".set n, n + 1",
            ".endr",
            options(nostack),
        );
    }
}

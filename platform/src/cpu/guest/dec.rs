//! The guest's decrementer: a time in its page, ticks in the thread.
use crate::cpu::decrementer::{expiry_tb, is_as_set, is_inexact, shown_tb, ticks_until};
use asm::{op, spr};
use hcalls::VcpuPage;

/// Sets DEC for the guest on this thread, whose page says when it expires. DEC shows that time, as near
/// as its 32 bits can ([`ticks_until`]).
///
/// # Safety
/// As [`super::load_always`].
#[inline(always)]
pub unsafe fn set_dec(page: *mut VcpuPage, now_tb: u64) {
    // SAFETY: the caller's promise; DEC is the guest's.
    unsafe {
        let expires_tb = (*page).sprs.dec_expires_tb.get();
        let ticks = ticks_until(expires_tb, now_tb);
        spr::write::<{ spr::DEC }>(ticks);
        let mut shows_tb = expires_tb;
        if is_inexact(ticks) {
            // An expired one never moves forward, not even by what the write above has taken.
            let (dec, now_tb) = dec_and_time();
            shows_tb = shown_tb(dec, now_tb);
        }
        (*op::area()).dec_shows_tb = shows_tb;
    }
}

/// Notes in the page when the guest's decrementer expires: what the page says already, unless the guest
/// has set DEC since [`set_dec`].
///
/// # Safety
/// As [`super::load_always`].
#[inline(always)]
pub unsafe fn note_dec(page: *mut VcpuPage) {
    // SAFETY: the caller's promise.
    unsafe {
        let set_tb = (*op::area()).dec_shows_tb;
        let dec = spr::read::<{ spr::DEC }>();
        if !is_as_set(shown_tb(dec, op::time_tb()), set_tb) {
            // Not by how long an interruption between the two has taken.
            let (dec, now_tb) = dec_and_time();
            let expires_tb = &mut (*page).sprs.dec_expires_tb;
            let shown_tb = shown_tb(dec, now_tb);
            expires_tb.set(expiry_tb(expires_tb.get(), set_tb, shown_tb, now_tb));
        }
    }
}

/// How long reading DEC twice may take for the time base between to belong to it: 1 µs.
const TOGETHER_TB: u32 = 512;

/// DEC and the time base, read together.
#[inline(always)]
fn dec_and_time() -> (u64, u64) {
    loop {
        let (dec, now_tb) = (spr::read::<{ spr::DEC }>(), op::time_tb());
        if (dec as u32).wrapping_sub(spr::read::<{ spr::DEC }>() as u32) < TOGETHER_TB {
            return (dec, now_tb);
        }
    }
}

//! The world switch: what a core's thread 0 changes between its host and the vcore.
//!
//! Core-wide registers (HRMOR, HID0, LPIDR, SDR1, RMOR, PCR, HDEC, VTB, time base, DPDES) are the runner's to
//! switch, before it wakes any sibling and after all of them nap again (L1).
use crate::cpu::decrementer::{hdec_ticks_until, shown_tb, ticks_until};
use crate::cpu::registers::{KEPT, kept_registers};
use crate::cpu::space::AddressSpace;
use asm::{BASE, op, spr};

/// The largest positive value of HDEC.
const HDEC_FAR: u64 = 0x7fff_ffff;

/// A host's registers that a guest on the same thread would change.
#[derive(Debug)]
pub struct Host {
    hid0: u64,
    hrmor: u64,
    lpcr: u64,
    space: AddressSpace,
    hfscr: u64,
    hsprg0: u64,
    hsprg1: u64,
    dec_expires_tb: u64,
    hdec_expires_tb: u64,
    msr: u64,
    pcr: u64,
    ctrl: u64,
    /// `sprs` are the host's, who needs them back.
    keeps_sprs: bool,
    sprs: KeptSprs,
}

/// Aligned, so that two can be stored at once.
#[derive(Debug)]
#[repr(align(16))]
struct KeptSprs([u64; KEPT]);

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// No host's.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            hid0: 0,
            hrmor: 0,
            lpcr: 0,
            space: AddressSpace::new(),
            hfscr: 0,
            hsprg0: 0,
            hsprg1: 0,
            dec_expires_tb: 0,
            hdec_expires_tb: 0,
            msr: 0,
            pcr: 0,
            ctrl: 0,
            keeps_sprs: false,
            sprs: KeptSprs([0; KEPT]),
        }
    }

    /// As it was given to the last [`Host::leave`].
    #[inline(always)]
    #[must_use]
    pub fn keeps_sprs(&self) -> bool {
        self.keeps_sprs
    }

    /// World in: this core's threads are the firmware's now, interrupts reach its vectors, and guests
    /// will reach their partition's memory (`guests`). Returns the time base.
    ///
    /// # Safety
    /// This is thread 0 of a core whose other threads nap for the firmware; r13 is its area.
    /// [`Host::back`] must follow, when all of them nap again.
    #[inline(always)]
    pub unsafe fn leave(
        &mut self,
        guests: &AddressSpace,
        deadline_tb: u64,
        vtb: u64,
        keeps_sprs: bool,
    ) -> u64 {
        macro_rules! save {
            ($sprs:ident, $a:ident + $b:ident, $field:ident [$index:literal]; $place:literal) => {
                spr::store_two::<{ spr::$a }, { spr::$b }, { 8 * $place }>($sprs);
            };
            ($sprs:ident, $spr:ident, $field:ident; $place:literal) => {
                $sprs.add($place).write(spr::read::<{ spr::$spr }>());
            };
        }
        self.keeps_sprs = keeps_sprs;
        if keeps_sprs {
            let sprs = self.sprs.0.as_mut_ptr();
            // SAFETY: there are places for all.
            unsafe {
                kept_registers!(save, sprs);
            }
        }
        self.pcr = spr::read::<{ spr::PCR }>();
        self.ctrl = spr::read::<{ spr::CTRL_READ }>();
        let now_tb = op::time_tb();
        self.dec_expires_tb = shown_tb(spr::read::<{ spr::DEC }>(), now_tb);
        self.hdec_expires_tb = shown_tb(spr::read::<{ spr::HDEC }>(), now_tb);
        self.hid0 = spr::read::<{ spr::HID0 }>();
        self.hrmor = spr::read::<{ spr::HRMOR }>();
        self.lpcr = spr::read::<{ spr::LPCR }>();
        self.space = AddressSpace::current();
        self.hfscr = spr::read::<{ spr::HFSCR }>();
        self.hsprg0 = spr::read::<{ spr::HSPRG0 }>();
        self.hsprg1 = spr::read::<{ spr::HSPRG1 }>();
        self.msr = op::msr();
        // SAFETY: the caller's promise. Code, stack and data are reached past HRMOR throughout.
        unsafe {
            if self.hid0 & spr::HID0_HILE != 0 {
                write_hid0(self.hid0 & !spr::HID0_HILE);
            }
            spr::write::<{ spr::HSPRG0 }>(op::area() as u64);
            spr::write::<{ spr::HRMOR }>(BASE);
            op::isync();
            // Also forgets what was translated under the host's HRMOR.
            guests.switch();
            spr::write::<{ spr::PCR }>(0);
            spr::write::<{ spr::VTB }>(vtb);
            let ticks = hdec_ticks_until(deadline_tb, now_tb);
            if (ticks as i64) < 0 {
                past_deadline();
            }
            spr::write::<{ spr::HDEC }>(ticks);
        }
        now_tb
    }

    /// World out; returns the vcore's virtual time base.
    ///
    /// # Safety
    /// All siblings nap, and none of them will be called before the next [`Host::leave`].
    #[inline(always)]
    pub unsafe fn back(&self) -> u64 {
        let vtb = spr::read::<{ spr::VTB }>();
        // SAFETY: the caller's promise; every register gets the value that it had.
        unsafe {
            spr::write::<{ spr::DAWRX }>(0);
            spr::write::<{ spr::CIABR }>(0);
            macro_rules! load {
                ($sprs:ident, $a:ident + $b:ident, $field:ident [$index:literal]; $place:literal) => {
                    spr::load_two::<{ spr::$a }, { spr::$b }, { 8 * $place }>($sprs);
                };
                ($sprs:ident, $spr:ident, $field:ident; $place:literal) => {
                    spr::write::<{ spr::$spr }>($sprs.add($place).read());
                };
            }
            if self.keeps_sprs {
                let sprs = self.sprs.0.as_ptr();
                kept_registers!(load, sprs);
            }
            spr::write::<{ spr::PCR }>(self.pcr);
            spr::write::<{ spr::CTRL_WRITE }>(self.ctrl);
            let now_tb = op::time_tb();
            spr::write::<{ spr::DEC }>(ticks_until(self.dec_expires_tb, now_tb));
            spr::write::<{ spr::HDEC }>(ticks_until(self.hdec_expires_tb, now_tb));
            spr::write::<{ spr::HFSCR }>(self.hfscr);
            spr::write::<{ spr::LPCR }>(self.lpcr);
            self.space.switch();
            spr::write::<{ spr::HSPRG0 }>(self.hsprg0);
            spr::write::<{ spr::HSPRG1 }>(self.hsprg1);
            spr::write::<{ spr::HRMOR }>(self.hrmor);
            if self.hid0 & spr::HID0_HILE != 0 {
                write_hid0(self.hid0);
            }
            op::set_msr(self.msr);
            op::slbia();
        }
        vtb
    }
}

/// The deadline of a run that begins is past. Falling below 0 is what makes an interrupt, and HDEC is there
/// already if a system reset has struck a thread when the last run was over.
#[cold]
fn past_deadline() {
    // SAFETY: interrupts guests only, and none is on this core yet.
    unsafe { spr::write::<{ spr::HDEC }>(HDEC_FAR) };
}

/// Half of what the lower 24 bits of the time base count to, which a write to TBU40 leaves alone.
const TB_LOWER_HALF: u64 = 1 << 23;

/// Puts this core's time base forward by `offset_tb`, a multiple of 2^24; backward by its negative.
///
/// # Safety
/// Nothing on this core counts on the time base's going on.
pub unsafe fn shift_time(offset_tb: u64) {
    let (first_dec, first_tb) = dec_and_time();
    let shifted_tb = first_tb.wrapping_add(offset_tb);
    let mut wanted_tb = shifted_tb;
    loop {
        // SAFETY: the caller's promise.
        unsafe { spr::write::<{ spr::TBU40 }>(wanted_tb) };
        // Meanwhile the lower bits have gone on counting and may have carried into the upper ones,
        // more than once where an emulator's thread has to wait (Power ISA 2.07 Book III-S 7.2.1). The
        // decrementer counts at the same rate, and knows.
        let (dec, now_tb) = dec_and_time();
        wanted_tb = shifted_tb.wrapping_add(u64::from(first_dec.wrapping_sub(dec)));
        if (wanted_tb.wrapping_sub(now_tb) as i64).unsigned_abs() < TB_LOWER_HALF {
            return;
        }
    }
}

/// The decrementer and the time base, read at the same time.
fn dec_and_time() -> (u32, u64) {
    let read = || spr::read::<{ spr::DEC }>() as u32;
    loop {
        let (dec, now_tb) = (read(), op::time_tb());
        if dec.wrapping_sub(read()) < (TB_LOWER_HALF / 2) as u32 {
            return (dec, now_tb);
        }
    }
}

/// Rings the doorbells of the threads in this mask, on this core.
///
/// # Safety
/// Whoever is in a guest there expects them.
pub unsafe fn set_doorbells(threads: u64) {
    // SAFETY: the caller's promise.
    unsafe { spr::write::<{ spr::DPDES }>(threads) }
}

/// Whose doorbells were rung on this core and not heard; they are silent then.
///
/// # Safety
/// No guest is on the core.
pub unsafe fn take_doorbells() -> u64 {
    let threads = spr::read::<{ spr::DPDES }>();
    // SAFETY: the caller's promise.
    unsafe { spr::write::<{ spr::DPDES }>(0) }
    threads
}

/// Has this core's interrupts to the hypervisor taken little-endian, or big-endian.
///
/// # Safety
/// No other thread of the core is woken, or interrupted in the firmware, before the matching
/// change back.
pub unsafe fn set_hile(on: bool) {
    let hid0 = spr::read::<{ spr::HID0 }>();
    if (hid0 & spr::HID0_HILE != 0) != on {
        // SAFETY: the caller's promise.
        unsafe { write_hid0(hid0 ^ spr::HID0_HILE) };
    }
}

/// Asks for the service processor's attention, in the one way that every machine has: QEMU ends then,
/// with success. The caller should stop if this returns.
pub fn call_attention() {
    // SAFETY: the bit changes what one instruction does, which nobody else executes.
    unsafe { write_hid0(spr::read::<{ spr::HID0 }>() | spr::HID0_ATTN) };
    op::attn();
}

/// # Safety
/// `value` is HID0 with only HILE or ATTN changed.
unsafe fn write_hid0(value: u64) {
    op::sync();
    // SAFETY: the caller's promise. The reads are part of the sequence that the processor needs
    // (POWER8 User's Manual, "Synchronization Requirements").
    unsafe { spr::write::<{ spr::HID0 }>(value) };
    for _ in 0..6 {
        let _ = spr::read::<{ spr::HID0 }>();
    }
    op::isync();
}

/// Brings every thread of this core that is in a guest out of it, by the decrementer they share.
///
/// The value goes up before it goes below 0: a decrementer that is negative already, because the
/// deadline has just come, is no news to a thread whose own interrupt is still on its way, and the
/// write would put that one off.
#[inline(always)]
pub fn expire_hdec() {
    // SAFETY: interrupts guests only; hypervisor state doesn't take it with EE off.
    unsafe {
        spr::write::<{ spr::HDEC }>(HDEC_FAR);
        spr::write::<{ spr::HDEC }>(u64::MAX);
    }
}

/// Does `work` while this core's interrupts reach the firmware's vectors. It may have HDEC expire.
///
/// # Safety
/// This is thread 0 of a core whose other threads are the firmware's, and r13 is its area.
pub unsafe fn with_firmware_vectors<T>(work: impl FnOnce() -> T) -> T {
    let (hid0, hrmor) = (spr::read::<{ spr::HID0 }>(), spr::read::<{ spr::HRMOR }>());
    let hsprg0 = spr::read::<{ spr::HSPRG0 }>();
    let hdec_expires_tb = shown_tb(spr::read::<{ spr::HDEC }>(), op::time_tb());
    // SAFETY: the caller's promise; everything is put back below.
    unsafe {
        if hid0 & spr::HID0_HILE != 0 {
            write_hid0(hid0 & !spr::HID0_HILE);
        }
        spr::write::<{ spr::HSPRG0 }>(op::area() as u64);
        set_hrmor(BASE);
    }
    let result = work();
    // SAFETY: as above.
    unsafe {
        set_hrmor(hrmor);
        spr::write::<{ spr::HDEC }>(ticks_until(hdec_expires_tb, op::time_tb()));
        spr::write::<{ spr::HSPRG0 }>(hsprg0);
        if hid0 & spr::HID0_HILE != 0 {
            write_hid0(hid0);
        }
    }
    result
}

/// # Safety
/// What runs on this core's threads doesn't depend on the old value.
unsafe fn set_hrmor(value: u64) {
    op::isync();
    // SAFETY: the caller's promise. Writing LPIDR, even its own value, forgets translations.
    unsafe {
        spr::write::<{ spr::HRMOR }>(value);
        op::isync();
        spr::write::<{ spr::LPIDR }>(spr::read::<{ spr::LPIDR }>());
        op::isync();
    }
}

//! External interrupts for guests: delivered as soon as the guest has them enabled.
//!
//! The host asks by `pending` in the vcpu page (a level). With MSR\[EE\] on, the interrupt is made
//! at entry. With it off, LPCR\[MER\] brings it later; QEMU keeps that bit without acting on it,
//! so there the core's HDEC ticks until the guest has enabled interrupts.
use super::seat::Seat;
use crate::smt::cores::POLLING;
use asm::{msr, op, spr};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use hcalls::VcpuPage;
use hcalls::page::PENDING_EXTERNAL;
use hcalls::partition::{LPCR_AIL_3, LPCR_ILE};
use platform::cpu::decrementer::hdec_ticks_until;
use platform::cpu::thread::Thread;
use platform::cpu::{guest, world};

/// How often a thread looks whether its guest has enabled interrupts: 20 µs.
const POLL_TB: u64 = 10_240;
/// Where externals are taken with LPCR\[AIL\] = 3 and relocation on (Power ISA 2.07 Book III-S 2.2).
const RELOCATED: u64 = 0xc000_0000_0000_4000;
const VECTOR: u64 = 0x500;
/// From LPCR\[ILE\] to MSR\[LE\].
const ILE_TO_LE: u32 = LPCR_ILE.trailing_zeros();
const _: () = assert!(msr::LE == 1);

static MEDIATED: AtomicBool = AtomicBool::new(false);

/// Says whether the machine acts on LPCR\[MER\].
pub fn set_mediated(works: bool) {
    MEDIATED.store(works, Relaxed);
}

/// The host wants an external interrupt in the guest.
#[inline(always)]
pub(super) fn pending(page: *mut VcpuPage) -> bool {
    // SAFETY: a vcpu page, of a vcpu that is in a run; the host may write its line at any time.
    let pending = unsafe {
        (&raw const (*page).host.pending)
            .cast::<u64>()
            .read_volatile()
    };
    u64::from_be(pending) & PENDING_EXTERNAL != 0
}

/// A run's first entry with an interrupt pending: it comes now, or gets a way to come later. The
/// guest's registers are in this thread, but for pc and MSR.
#[inline(never)]
pub(super) fn enter(thread: &'static Thread, page: *mut VcpuPage) -> ! {
    deliver_pending(thread, page);
    // SAFETY: the page's guest is in this thread.
    unsafe { guest::enter(page) }
}

/// Before each further entry: makes the interrupt if it is pending and the guest has it enabled.
#[inline(always)]
pub(super) fn deliver(seat: Seat, page: *mut VcpuPage) {
    if pending(page) {
        deliver_pending(seat.thread, page);
    }
}

#[inline(never)]
fn deliver_pending(thread: &'static Thread, page: *mut VcpuPage) {
    let seat = Seat::of(thread);
    end_mediation(seat);
    // SAFETY: this thread's page; its guest isn't running, so SRR0 and SRR1 are only its own.
    unsafe {
        let old = (*page).msr.get() & !msr::SRR1_CAUSE;
        if old & msr::EE == 0 {
            return wait_for_guest(seat);
        }
        let lpcr = seat.vcore.rules.lpcr.load(Relaxed);
        make(&mut *page, lpcr, VECTOR, 0);
    }
    seat.core
        .run
        .at_leaving
        .fetch_and(!(1 << seat.ptid), Relaxed);
}

/// The guest takes an interrupt of its own, by LPCR\[AIL, ILE\], when it goes on. `cause`: of SRR1's bits
/// those that tell why.
///
/// # Safety
/// The page's guest has left this thread by an interrupt with HSRR0 and HSRR1, or hasn't entered yet: SRR0
/// and SRR1 are its own.
#[inline(always)]
pub(super) unsafe fn make(vcpu: &mut VcpuPage, lpcr: u64, vector: u64, cause: u64) {
    let old = vcpu.msr.get() & !msr::SRR1_CAUSE;
    let relocate = msr::IR | msr::DR;
    let relocated = lpcr & LPCR_AIL_3 == LPCR_AIL_3 && old & relocate == relocate;
    // SAFETY: the caller's promise.
    unsafe {
        spr::write::<{ spr::SRR0 }>(vcpu.pc.get());
        spr::write::<{ spr::SRR1 }>(old | cause);
    }
    let little = (lpcr & LPCR_ILE) >> ILE_TO_LE;
    let (relocation, base) = if relocated {
        (relocate, RELOCATED)
    } else {
        (0, 0)
    };
    vcpu.msr.set(msr::SF | msr::ME | little | relocation);
    vcpu.pc.set(base + vector);
}

/// LPCR\[MER\] has done its work, or the host has taken back what it was for: as long as it is on, the guest comes
/// to the hypervisor's 0x500 whenever it has interrupts enabled (Power ISA 2.07 Book III-S 6.5.7).
#[inline(always)]
pub(super) fn end_mediation(seat: Seat) {
    if MEDIATED.load(Relaxed) {
        let lpcr = seat.vcore.rules.lpcr.load(Relaxed);
        // SAFETY: the guest's own LPCR.
        unsafe { spr::write::<{ spr::LPCR }>(lpcr) }
    }
}

/// The guest has interrupts off: a way for it to come when they are on.
fn wait_for_guest(seat: Seat) {
    let me = 1 << seat.ptid;
    if MEDIATED.load(Relaxed) {
        let lpcr = seat.vcore.rules.lpcr.load(Relaxed);
        // SAFETY: the guest's own LPCR, with the bit that this interrupt wants.
        unsafe { spr::write::<{ spr::LPCR }>(lpcr | spr::lpcr::MER) }
    } else if seat.core.run.at_leaving.fetch_or(me, Relaxed) & me == 0 {
        arm_hdec(
            &seat,
            seat.core.run.deadline_tb.load(Relaxed),
            op::time_tb(),
        );
    }
}

/// Sets the core's HDEC to the end of the run, or to the next look at a waiting guest.
pub fn arm_hdec(seat: &Seat, deadline_tb: u64, now_tb: u64) {
    let ticks = hdec_ticks_until(deadline_tb, now_tb);
    let polling = seat.core.run.at_leaving.load(Relaxed) & POLLING != 0;
    let soon = if polling && ticks as u32 as i32 > POLL_TB as i32 {
        POLL_TB
    } else {
        ticks
    };
    // SAFETY: HDEC interrupts guests alone, and they re-enter until their deadline.
    unsafe { spr::write::<{ spr::HDEC }>(soon) }
    // A sibling that began to leave meanwhile has made HDEC negative, and so has one that was struck; then
    // it has to be so again.
    if seat.vcore.entry.leaving_after_barrier() || seat.core.run.struck.load(Relaxed) {
        world::expire_hdec();
    }
}

//! Hypercalls served without leaving the vcore (L3): H_CEDE, H_PROD, H_CONFER.
use super::interrupts;
use super::seat::Seat;
use crate::smt::cores::Core;
use crate::trace;
use asm::{msr, nap, op, spr};
use core::sync::atomic::Ordering::Relaxed;
use hcalls::exit::ExitReason;
use hcalls::trace::Event;
use hcalls::{VcpuPage, papr};
use platform::cpu::decrementer::ticks_until;
use platform::cpu::guest::pmu;
use platform::cpu::thread::Thread;
use platform::cpu::xics::XISR_IPI;
use platform::cpu::{guest, thread};
use vcore::entry::{Cede, Prod};
use zerocopy::big_endian::U64;

/// Leave the guest and let the host see to it.
const LEAVE: u64 = 0;
/// Back into the guest.
const GO_ON: u64 = 1;
/// [`Event::Nap`]'s argument.
const IN_CEDE: u32 = 1;

/// From assembly: a guest's `sc 1` with a number from 0xe0 to 0xe8 in GPR3. Answers [`GO_ON`] or
/// [`LEAVE`].
///
/// Only hands on, so that no call pays for what another one needs.
#[expect(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "only assembly, or what stands for it, calls it"
)]
pub extern "C-unwind" fn serve(page: *mut VcpuPage) -> u64 {
    // SAFETY: assembly passes the page of the guest that this thread has just left.
    let vcpu = unsafe { &mut *page };
    if vcpu.msr.get() & msr::PR != 0 {
        return LEAVE;
    }
    if pmu::counts() {
        return serve_uncounted(vcpu);
    }
    answer(vcpu)
}

/// The guest's counters count for the guest, and not what the firmware does for it.
#[inline(never)]
fn serve_uncounted(vcpu: &mut VcpuPage) -> u64 {
    pmu::uncounted(|| answer(vcpu))
}

#[inline(always)]
fn answer(vcpu: &mut VcpuPage) -> u64 {
    match vcpu.gpr[3].get() {
        papr::H_CEDE => cede(vcpu),
        papr::H_PROD => prod(vcpu),
        papr::H_CONFER => confer(vcpu),
        _ => LEAVE,
    }
}

#[inline(always)]
fn succeed(vcpu: &mut VcpuPage) -> u64 {
    vcpu.gpr[3].set(papr::H_SUCCESS);
    count(&mut vcpu.firmware.served);
    GO_ON
}

#[inline(always)]
fn count(counter: &mut U64) {
    counter.set(counter.get().wrapping_add(1));
}

/// The slot of the vcpu with that id, if it is one of this vcore's.
#[inline(always)]
fn sibling(seat: &Seat, id: u64) -> Option<usize> {
    let slot = id.wrapping_sub(seat.vcore.first_id());
    (slot < seat.vcore.rules.width.load(Relaxed)).then_some(slot as usize)
}

/// H_PROD of a vcpu of this vcore that is in the guest or has ceded; others the host has to see to.
#[inline(never)]
fn prod(vcpu: &mut VcpuPage) -> u64 {
    let seat = Seat::of(thread::current());
    let Some(slot) = sibling(&seat, vcpu.gpr[4].get()) else {
        return LEAVE;
    };
    let letter = super::seat::letter(seat.vcore, slot);
    let Some(ptid) = seat.core.run.seating.find(letter) else {
        return LEAVE;
    };
    match seat.vcore.entry.prod(ptid) {
        Prod::Wake => wake(seat.core, ptid, vcpu),
        Prod::Noted => succeed(vcpu),
        Prod::NotHere => LEAVE,
    }
}

/// It has ceded.
#[inline(never)]
fn wake(core: &Core, ptid: usize, vcpu: &mut VcpuPage) -> u64 {
    core.call(ptid);
    succeed(vcpu)
}

/// H_CONFER: all vcpus of the vcore that can run have a thread of their own, so yielding to one of
/// them, or to anyone, is a matter of this thread's priority. Another vcore's is the host's to run.
fn confer(vcpu: &mut VcpuPage) -> u64 {
    let target = vcpu.gpr[4].get();
    if target != papr::ANYONE && sibling(&Seat::of(thread::current()), target).is_none() {
        return LEAVE;
    }
    guest::keeping_priority(|| {
        op::relax();
        op::unrelax();
    });
    count(&mut vcpu.firmware.yields);
    succeed(vcpu)
}

#[inline(never)]
fn cede(vcpu: &mut VcpuPage) -> u64 {
    let seat = Seat::of(thread::current());
    let msr = vcpu.msr.get() | msr::EE;
    vcpu.msr.set(msr);
    vcpu.gpr[3].set(papr::H_SUCCESS);
    count(&mut vcpu.firmware.yields);
    let leaves = match seat.vcore.entry.cede(seat.ptid) {
        Cede::Prodded | Cede::Called => None,
        Cede::AllCeded | Cede::Leaving => Some(ExitReason::Ceded),
        Cede::Nap => guest::keeping_priority(|| doze(seat.thread, vcpu)),
    };
    if let Some(reason) = leaves {
        vcpu.firmware.reason.set(reason as u32);
        return LEAVE;
    }
    count(&mut vcpu.firmware.served);
    interrupts::deliver(seat, vcpu);
    GO_ON
}

/// Naps until somebody prods, an interrupt comes or the run ends; in that case, why to leave.
#[inline(never)]
fn doze(thread: &'static Thread, vcpu: &mut VcpuPage) -> Option<ExitReason> {
    let seat = &Seat::of(thread);
    let since_tb = op::time_tb();
    let deadline_tb = seat.core.run.deadline_tb.load(Relaxed);
    let mut struck = false;
    // SAFETY: the page is this thread's. DEC is the guest's, and is set right again below; HDEC doesn't wake a nap (L4), so
    // DEC stands in for it. HRMOR is the firmware's and HILE off all through a run.
    unsafe {
        guest::note_dec(vcpu);
        let until = |until_tb| ticks_until(until_tb, since_tb) as i64;
        let ticks = until(vcpu.sprs.dec_expires_tb.get()).min(until(deadline_tb));
        spr::write::<{ spr::DEC }>(ticks as u64);
        if !interrupts::pending(vcpu) {
            trace::note(Event::Nap, || (seat.whom(), IN_CEDE));
            let srr1 = guest::without_run_latch(|| nap::nap());
            struck = msr::woken_by_reset(srr1);
            trace::note(Event::Wake, || (seat.whom(), trace::cause(srr1)));
        }
        let now_tb = op::time_tb();
        guest::set_dec(vcpu, now_tb);
        vcpu.firmware.ceded_tb.set(
            vcpu.firmware
                .ceded_tb
                .get()
                .wrapping_add(now_tb.wrapping_sub(since_tb)),
        );
    }
    let (ptid, entry) = (seat.ptid, &seat.vcore.entry);
    if entry.uncede(ptid) {
        seat.take_call();
    }
    // A prod ends the H_CEDE even if the vcore is leaving: the vcpu is runnable then. So does an
    // interrupt that waits for the guest.
    let awake = entry.take_prod(ptid) || interrupts::pending(vcpu);
    let wanted = host_interrupt(seat);
    let over = op::time_tb().wrapping_sub(deadline_tb) as i64 >= 0;
    match over || entry.snapshot().leaving() {
        true if awake => Some(ExitReason::Pulled),
        true => Some(ExitReason::Ceded),
        false if struck => Some(ExitReason::SystemReset),
        false => wanted.then_some(ExitReason::External),
    }
}

/// Something wants the host: the runner leaves it unread (L6). A call to this thread is taken.
fn host_interrupt(seat: &Seat) -> bool {
    let (thread, entry) = (seat.thread, &seat.vcore.entry);
    let (presented, called) = entry.polled(thread.ptid(), || thread.icp.poll());
    if called {
        seat.take_call();
    }
    match presented {
        0 => false,
        // A secondary's can only be a late one of the firmware's.
        XISR_IPI => !called && thread.ptid() == 0,
        _ => true,
    }
}

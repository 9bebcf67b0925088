//! Out of a guest: why, the siblings out, too, and the guest's registers to its page.
//!
//! Every way out ends in [`Seat::report`]. The two most frequent ones make no call that returns, so
//! that the compiler saves no registers that nobody needs any more; what is rarely owed is done in
//! functions that don't return either.
use super::interrupts;
use super::seat::Seat;
use crate::smt::cores::{POLLING, TRACED};
use crate::trace;
use asm::{msr, op, spr};
use core::sync::atomic::Ordering::Relaxed;
use hcalls::VcpuPage;
use hcalls::exit::ExitReason;
use hcalls::machine_check::Place;
use hcalls::page::FirmwareLine;
use hcalls::run::FIRST_SLOT_SHIFT;
use hcalls::trace::Event;
use platform::cpu::guest::{self, More, denormal, machine_check};
use platform::cpu::thread::{self, Thread};
use platform::cpu::world;
use platform::cpu::xics::XISR_IPI;
use vcore::entry::Leave;
use vcore::{Slots, full_barrier};

/// The vector of the hypervisor decrementer.
const HDEC: u64 = 0x980;
const SYSTEM_RESET: u64 = 0x100;
const MACHINE_CHECK: u64 = 0x200;
const EXTERNAL: u64 = 0x500;
/// An instruction that POWER8 leaves to the hypervisor.
const SOFT_PATCH: u64 = 0x1500;
/// The vector of `sc 1`.
const HYPERCALL: u64 = 0xc00;

/// From assembly: a guest has left.
pub extern "C-unwind" fn left(vector: u64, page: *mut VcpuPage) -> ! {
    let left_tb = op::time_tb();
    let thread = thread::current();
    let seat = Seat::of(thread);
    let reason = match vector {
        HDEC if seat.vcore.entry.is_leaving() => ExitReason::Pulled,
        HYPERCALL if told(page) == ExitReason::None as u32 => ExitReason::Hypercall,
        _ => left_otherwise(thread, page, vector, left_tb),
    };
    seat.depart(page, vector, reason, left_tb)
}

/// The reason that serving a hypercall has found for leaving; none if it wasn't served.
#[inline(always)]
fn told(page: *mut VcpuPage) -> u32 {
    // SAFETY: this thread's page.
    unsafe { (*page).firmware.reason.get() }
}

/// Less frequent reasons, or none at all: then back in.
#[inline(never)]
fn left_otherwise(thread: &'static Thread, page: *mut VcpuPage, vector: u64, left_tb: u64) -> ! {
    let seat = Seat::of(thread);
    let Some(reason) = guest::keeping_priority(|| seat.reason(page, vector)) else {
        if vector == EXTERNAL {
            interrupts::end_mediation(seat);
        }
        interrupts::deliver(seat, page);
        trace::note(Event::Resume, || (seat.whom(), 0));
        // SAFETY: the page's guest is still in this thread.
        unsafe { guest::enter(page) }
    };
    // Struck elsewhere than in its guest, it has left by another one.
    let vector = match reason {
        ExitReason::SystemReset => SYSTEM_RESET,
        _ => vector,
    };
    // SAFETY: this thread's page, just out of the guest.
    note_fault(unsafe { &mut (*page).firmware }, vector);
    if vector == MACHINE_CHECK {
        clear_up(seat, page);
    }
    seat.depart(page, vector, reason, left_tb)
}

/// A departure with siblings to be brought out (B30), a prod to be kept or an IPI to be taken.
#[inline(never)]
fn depart_owing(
    thread: &'static Thread,
    page: *mut VcpuPage,
    vector: u64,
    mut reason: ExitReason,
    left_tb: u64,
    leave: Leave,
) -> ! {
    let seat = Seat::of(thread);
    if leave.first() {
        seat.note_first(reason);
        seat.bring_others_out(leave);
    }
    if leave.prodded() {
        reason = keep_prod(page, reason);
    }
    // It was called for what waits for its guest, just when it ceded.
    if leave.called() && reason == ExitReason::Ceded && interrupts::pending(page) {
        reason = ExitReason::Pulled;
    }
    // SAFETY: this thread's page, just out of the guest.
    unsafe {
        note_exit(page, vector, reason, left_tb);
        let more = guest::save(page);
        guest::save_more(page, more);
    }
    if leave.called() {
        seat.take_call();
    }
    seat.conclude(page, reason)
}

/// A departure with registers left to be saved.
#[inline(never)]
fn depart_with_more(
    thread: &'static Thread,
    page: *mut VcpuPage,
    reason: ExitReason,
    more: More,
) -> ! {
    let seat = Seat::of(thread);
    // SAFETY: this thread's page; `save` has asked for it.
    unsafe { guest::save_more(page, more) }
    seat.conclude(page, reason)
}

/// A departure from a core with vcpus that wait for their guests to enable interrupts, or in a run
/// that is traced.
#[inline(never)]
fn depart_watched(thread: &'static Thread, page: *mut VcpuPage, reason: ExitReason) -> ! {
    let seat = Seat::of(thread);
    let owed = seat.core.run.at_leaving.load(Relaxed);
    if owed & POLLING != 0 {
        let me = 1 << seat.ptid;
        seat.core.run.at_leaving.fetch_and(!me, Relaxed);
    }
    if owed & TRACED != 0 {
        seat.trace_left(reason);
    }
    seat.report(page)
}

impl Seat {
    fn reason(self, page: *mut VcpuPage, vector: u64) -> Option<ExitReason> {
        Some(match vector {
            HDEC => return self.hdec(page),
            HYPERCALL => ExitReason::try_from(told(page)).unwrap_or(ExitReason::Unexpected),
            EXTERNAL => return self.external(),
            0xe80 => return None,
            SOFT_PATCH => return assist(page),
            0xe00 => ExitReason::DataStorage,
            0xe20 => ExitReason::InstructionStorage,
            0xe40 => ExitReason::EmulationAssist,
            0x700 => ExitReason::Program,
            0xf80 => ExitReason::FacilityUnavailable,
            MACHINE_CHECK => ExitReason::MachineCheck,
            0xe60 => ExitReason::Maintenance,
            SYSTEM_RESET => ExitReason::SystemReset,
            _ => ExitReason::Unexpected,
        })
    }

    /// The hypervisor decrementer, when no sibling has left: a thread of this core has been struck in the
    /// firmware, the time is up, or it is an old one.
    fn hdec(self, page: *mut VcpuPage) -> Option<ExitReason> {
        if self.core.run.struck.load(Relaxed) {
            return Some(ExitReason::SystemReset);
        }
        let now_tb = op::time_tb();
        let deadline_tb = self.core.run.deadline_tb.load(Relaxed);
        if deadline_tb.wrapping_sub(now_tb) as i64 <= 0 {
            return Some(ExitReason::Deadline);
        }
        interrupts::arm_hdec(&self, deadline_tb, now_tb);
        // Lest the guest's own wraps that has expired, or expires that has not.
        // SAFETY: this thread's page, whose guest is in this thread.
        unsafe {
            guest::note_dec(page);
            guest::set_dec(page, now_tb);
        }
        self.pulled()
    }

    fn pulled(self) -> Option<ExitReason> {
        let leaving = self.vcore.entry.snapshot().leaving();
        leaving.then_some(ExitReason::Pulled)
    }

    /// An external interrupt: an IPI from a kicker or a late one, or one of the host's, which stays
    /// unread: on thread 0 that is every one but a kicker's (L6).
    fn external(self) -> Option<ExitReason> {
        let entry = &self.vcore.entry;
        let poll = || self.thread.icp.poll();
        let (presented, called) = entry.polled(self.ptid, poll);
        if called {
            self.take_call();
            let reason = match self.core.run.interrupted.load(Relaxed) {
                false => ExitReason::Kick,
                true => ExitReason::External,
            };
            return Some(reason).filter(|_| entry.snapshot().leaving());
        }
        match presented {
            0 => {}
            XISR_IPI if self.ptid != 0 => {
                self.thread.icp.take_ipi();
                trace::note(Event::Taken, || (self.whom(), 0));
            }
            _ => return Some(ExitReason::External),
        }
        self.pulled()
    }

    /// Sets the exit bit, and sees to what that brings.
    #[inline(always)]
    fn depart(self, page: *mut VcpuPage, vector: u64, reason: ExitReason, left_tb: u64) -> ! {
        let ptid = self.ptid;
        let leave = self.vcore.entry.leave(ptid);
        if leave.owes() {
            depart_owing(self.thread, page, vector, reason, left_tb, leave)
        }
        if leave.first() {
            self.note_first(reason);
        }
        // SAFETY: this thread's page, just out of the guest.
        let more = unsafe {
            note_exit(page, vector, reason, left_tb);
            guest::save(page)
        };
        if more.any() {
            depart_with_more(self.thread, page, reason, more)
        }
        self.conclude(page, reason)
    }

    /// The registers are in the page, and no IPI is on its way.
    #[inline(always)]
    fn conclude(self, page: *mut VcpuPage, reason: ExitReason) -> ! {
        if reason != ExitReason::Pulled {
            self.tell(reason);
        }
        if self.core.run.at_leaving.load(Relaxed) != 0 {
            depart_watched(self.thread, page, reason)
        }
        self.report(page)
    }

    fn bring_others_out(&self, leave: Leave) {
        if leave.in_guest() != 0 {
            let pulled = u32::from(leave.in_guest());
            trace::note(Event::Pull, || (self.whom(), pulled));
            full_barrier();
            world::expire_hdec();
        }
        if leave.ceded() {
            for ptid in Slots(self.vcore.entry.wake_ceded()) {
                self.core.call(ptid);
            }
        }
    }

    #[inline(always)]
    fn note_first(&self, reason: ExitReason) {
        let first = (self.slot as u64) << FIRST_SLOT_SHIFT | reason as u64;
        self.core.run.first.store(first, Relaxed);
    }
}

/// Back into the guest, if a denormal operand was all.
#[inline(never)]
fn assist(page: *mut VcpuPage) -> Option<ExitReason> {
    // SAFETY: this thread's page, just out of the guest, whose registers are still in the thread.
    match unsafe { denormal::assist(page) } {
        true => None,
        false => Some(ExitReason::Unexpected),
    }
}

/// What the machine check was about is made good, before this core is used again.
#[inline(never)]
fn clear_up(seat: Seat, page: *mut VcpuPage) {
    // SAFETY: this thread's page, just out of the guest, whose registers are still in the thread.
    unsafe {
        let place = Place::of((*page).msr.get(), (*page).firmware.fault.get());
        machine_check::clear_up(page, place, seat.has_segments());
    }
}

/// A prod that no H_CEDE has used up is kept for the next one. If the vcpu has just ceded, it was
/// prodded after it had looked: that ends the H_CEDE all the same, and the vcpu stays queued.
fn keep_prod(page: *mut VcpuPage, reason: ExitReason) -> ExitReason {
    if reason == ExitReason::Ceded {
        return ExitReason::Pulled;
    }
    // SAFETY: the caller's page.
    unsafe { (*page).firmware.prodded.set(1) };
    reason
}

/// What of an interrupt's registers the host is told, and a clean MSR to go on with.
///
/// # Safety
/// `page` is this thread's, just out of the guest.
#[inline(always)]
unsafe fn note_exit(page: *mut VcpuPage, vector: u64, reason: ExitReason, left_tb: u64) {
    // SAFETY: the caller's promise.
    let (firmware, pc, guest_msr) =
        unsafe { (&mut (*page).firmware, (*page).pc.get(), &mut (*page).msr) };
    firmware.trap.set(vector as u32);
    firmware.reason.set(reason as u32);
    firmware.srr0.set(pc);
    firmware.srr1.set(guest_msr.get());
    guest_msr.set(guest_msr.get() & !msr::SRR1_CAUSE);
    let in_guest_tb = left_tb.wrapping_sub(firmware.entered_tb.get());
    firmware.left_tb.set(left_tb);
    let total_tb = firmware.in_guest_tb.get().wrapping_add(in_guest_tb);
    firmware.in_guest_tb.set(total_tb);
    firmware.entries.set(firmware.entries.get().wrapping_add(1));
}

/// Registers that tell more of the rarer interrupts.
#[inline(never)]
fn note_fault(firmware: &mut FirmwareLine, vector: u64) {
    match vector {
        0xe00 | 0xe20 | 0xe40 => {
            firmware.hdar.set(spr::read::<{ spr::HDAR }>());
            firmware.hdsisr.set(spr::read::<{ spr::HDSISR }>() as u32);
            firmware.heir.set(spr::read::<{ spr::HEIR }>() as u32);
        }
        0xe60 => {
            let hmer = spr::read::<{ spr::HMER }>();
            firmware.fault.set(hmer);
            // SAFETY: the conditions that were read are told; clearing them ends the interrupt. Others that
            // have come since, which a write of their ones leaves alone, make the next one.
            unsafe { spr::write::<{ spr::HMER }>(!hmer) };
        }
        0xf80 => firmware.fault.set(spr::read::<{ spr::HFSCR }>() >> 56),
        MACHINE_CHECK => {
            firmware.fault.set(spr::read::<{ spr::DSISR }>());
            // SAFETY: the interrupt has turned machine checks off; the next one, in the firmware,
            // is to be told of, too.
            unsafe { op::set_msr(op::msr() | msr::ME) };
        }
        _ => {}
    }
}

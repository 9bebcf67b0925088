//! One thread's part of a run: into the guest, out again, and word of it.
use super::cores::Core;
use super::inject;
use super::objects::Vcore;
use crate::opal::cpu;
use crate::vcore::entry::Leave;
use crate::vcore::{Mask, Slots, full_barrier};
use asm::{msr, op, spr};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use hcalls::VcpuPage;
use hcalls::exit::ExitReason;
use hcalls::page::{FirmwareLine, OWNED};
use hcalls::run::CoreState;
use platform::guest::{self, Partition};
use platform::thread::Thread;
use platform::xics::XISR_IPI;
use platform::{real, world};

/// The vector of the hypervisor decrementer, by which most threads come out.
const HDEC: u64 = 0x980;

/// The vcore's address is a multiple of 128, so the slot fits below it.
const SLOT_MASK: u64 = 7;

/// A thread at work for a vcpu.
#[derive(Clone, Copy)]
pub struct Seat {
    pub thread: &'static Thread,
    pub core: &'static Core,
    pub vcore: &'static Vcore,
    pub slot: usize,
}

/// A mailbox's content that calls a thread to run `slot` of `vcore`.
#[inline(always)]
pub fn letter(vcore: &'static Vcore, slot: usize) -> u64 {
    core::ptr::from_ref(vcore) as u64 | slot as u64
}

impl Seat {
    /// Reads a letter that isn't 0.
    #[inline(always)]
    pub fn from_letter(thread: &'static Thread, core: &'static Core, letter: u64) -> Self {
        // SAFETY: letters are written by `letter` alone, from a vcore of the static table.
        let vcore = unsafe { &*((letter & !SLOT_MASK) as *const Vcore) };
        Self {
            thread,
            core,
            vcore,
            slot: (letter & SLOT_MASK) as usize,
        }
    }

    /// The vcpu's page. The firmware's while the vcore runs.
    #[inline(always)]
    pub fn page(&self) -> *mut VcpuPage {
        real::ptr(self.vcore.pages[self.slot].load(Relaxed)).cast()
    }

    /// Into the guest, if the run still lets this thread in; [`left`] goes on.
    #[inline(always)]
    pub fn run(self) -> ! {
        let page = self.page();
        if self.arrive(page) {
            // SAFETY: `arrive` has loaded the page's guest.
            unsafe { guest::enter(page) }
        }
        self.came_too_late(page)
    }

    #[cold]
    fn came_too_late(self, page: *mut VcpuPage) -> ! {
        self.report(page, false);
        self.done()
    }

    /// This thread has reported: a secondary naps, the runner sees to the rest of the run.
    #[inline(always)]
    fn done(&self) -> ! {
        if self.thread.ptid() == 0 {
            super::run::finish(self.thread, self.core)
        }
        platform::thread::idle()
    }

    /// Makes the page ready and enters the run; false when it has come too late: then it must not
    /// enter the guest, and its trap stays 0 (B27).
    #[inline(always)]
    fn arrive(&self, page: *mut VcpuPage) -> bool {
        let ptid = self.thread.ptid();
        // SAFETY: the run owns the page from `begin` on, and this thread is its only user.
        let firmware = unsafe { &mut (*page).firmware };
        firmware.owner.set(OWNED | u64::from(self.thread.pir));
        firmware.trap.set(0);
        firmware.reason.set(ExitReason::None as u32);
        if !self.vcore.entry.enter(ptid) {
            // A prod that came meanwhile is kept; none comes any more.
            if self.vcore.entry.snapshot().prodded() & 1 << ptid != 0 {
                firmware.prodded.set(1);
            }
            return false;
        }
        if firmware.prodded.get() != 0 {
            firmware.prodded.set(0);
            self.vcore.entry.note_prod(ptid);
        }
        self.load(page);
        true
    }

    /// The guest's registers into this thread; the time from which it counts as in the guest.
    #[inline(always)]
    fn load(&self, page: *mut VcpuPage) {
        let key = self.vcore.keys[self.slot].load(Relaxed);
        if self.core.untouched.load(Relaxed) == 0 || !guest::held(key) {
            self.load_all(page);
        } else if self.thread.ptid() == 0 {
            // SAFETY: the page is this run's, and this thread's in it; the thread holds the rest.
            unsafe { guest::load_after_host(page, &self.partition()) }
        }
        let lpcr = self.vcore.rules.lpcr.load(Relaxed);
        // SAFETY: as above; `load_all` or an earlier run has loaded the others.
        let now_tb = unsafe { guest::load_always(page, lpcr) };
        // SAFETY: this thread's page.
        unsafe { (*page).firmware.entered_tb.set(now_tb) };
        inject::begin(self, page);
    }

    #[inline(never)]
    fn load_all(self, page: *mut VcpuPage) {
        let key = self.vcore.keys[self.slot].load(Relaxed);
        let fp_clean = self.thread.ptid() != 0 || self.core.fp_clean.load(Relaxed) != 0;
        // SAFETY: the page is this run's, and this thread's in it; a runner has saved its host's
        // registers, a secondary has none.
        unsafe { guest::load_all(page, &self.partition(), key, fp_clean) }
    }

    #[inline(always)]
    fn partition(&self) -> Partition {
        let rules = &self.vcore.rules;
        Partition {
            lpid: rules.lpid.load(Relaxed),
            rmor: rules.rmor.load(Relaxed),
            sdr1: rules.sdr1.load(Relaxed),
        }
    }

    /// Out of the guest: the others out, too, the guest's registers to its page, and the report.
    #[inline(always)]
    fn depart(&self, page: *mut VcpuPage, vector: u64, reason: ExitReason) {
        let leave = self.begin_to_leave(reason);
        let reason = if leave.prodded {
            keep_prod(page, reason)
        } else {
            reason
        };
        // SAFETY: this thread's page, just out of the guest.
        unsafe {
            note_exit(page, vector, reason);
            guest::save(page);
        }
        self.core.reasons.set(self.thread.ptid(), reason);
        if self.core.polling.load(Relaxed) != 0 {
            self.core
                .polling
                .fetch_and(!(1 << self.thread.ptid()), Relaxed);
        }
        self.report(page, leave.called);
    }

    /// The last that this thread does in the run; `called`: an IPI to it is on its way, which it
    /// takes first.
    #[inline(always)]
    fn report(&self, page: *mut VcpuPage, called: bool) {
        if called {
            self.take_call();
        }
        // SAFETY: this thread's page until the report.
        unsafe { (*page).firmware.owner.set(0) };
        self.vcore.entry.report(self.thread.ptid());
    }

    /// Why the thread came out, or none to go back in.
    #[inline(always)]
    fn reason(&self, page: *mut VcpuPage, vector: u64) -> Option<ExitReason> {
        if vector == HDEC {
            return match self.vcore.entry.snapshot().leaving() {
                true => Some(ExitReason::Pulled),
                false => self.hdec(),
            };
        }
        self.other_reason(page, vector)
    }

    #[inline(never)]
    fn other_reason(self, page: *mut VcpuPage, vector: u64) -> Option<ExitReason> {
        Some(match vector {
            0xc00 => {
                // SAFETY: this thread's page.
                let told = unsafe { (*page).firmware.reason.get() };
                match told == ExitReason::None as u32 {
                    true => ExitReason::Hypercall,
                    false => ExitReason::try_from(told).unwrap_or(ExitReason::Unexpected),
                }
            }
            0x500 => return self.external(),
            0xe80 => return None,
            0xe00 => ExitReason::DataStorage,
            0xe20 => ExitReason::InstructionStorage,
            0xe40 => ExitReason::EmulationAssist,
            0x700 => ExitReason::Program,
            0xf80 => ExitReason::FacilityUnavailable,
            0x200 => ExitReason::MachineCheck,
            0xe60 => ExitReason::Maintenance,
            0x100 => ExitReason::SystemReset,
            _ => ExitReason::Unexpected,
        })
    }

    /// The hypervisor decrementer, with no sibling that has left: the time is up, or it is an old
    /// one.
    #[inline(never)]
    fn hdec(self) -> Option<ExitReason> {
        let now_tb = op::time_tb();
        let deadline_tb = self.core.deadline_tb.load(Relaxed);
        if deadline_tb.wrapping_sub(now_tb) as i64 <= 0 {
            return Some(ExitReason::Deadline);
        }
        inject::arm_hdec(&self, deadline_tb, now_tb);
        self.vcore
            .entry
            .snapshot()
            .leaving()
            .then_some(ExitReason::Pulled)
    }

    /// An external interrupt: an IPI from a kicker or a late one, or a device of the host's.
    #[inline(never)]
    fn external(self) -> Option<ExitReason> {
        let ptid = self.thread.ptid();
        let entry = &self.vcore.entry;
        let (presented, called) = entry.polled(ptid, || self.thread.icp.poll());
        if called {
            self.take_call();
            return Some(ExitReason::Kick).filter(|_| entry.snapshot().leaving());
        }
        match presented {
            0 => {}
            XISR_IPI => {
                self.thread.icp.take_ipi();
            }
            _ => return Some(ExitReason::External),
        }
        entry.snapshot().leaving().then_some(ExitReason::Pulled)
    }

    /// Takes the IPI that somebody has sent, or is about to send, to this thread.
    #[inline(never)]
    pub fn take_call(self) {
        while !self.thread.icp.ipi_sent() {
            op::relax();
        }
        op::unrelax();
        self.thread.icp.take_ipi();
        self.vcore.entry.answered(self.thread.ptid());
    }

    /// Sets the exit bit; the first brings the others out (B30).
    #[inline(always)]
    fn begin_to_leave(&self, reason: ExitReason) -> Leave {
        let leave = self.vcore.entry.leave(self.thread.ptid());
        if leave.first {
            let first = (self.slot as u32) << 8 | reason as u32;
            self.core.first.store(first, Relaxed);
            self.pull(leave.in_guest, leave.wake);
        }
        leave
    }

    #[inline(never)]
    fn pull(self, in_guest: Mask, wake: Mask) {
        if in_guest != 0 {
            full_barrier();
            world::expire_hdec();
        }
        for ptid in Slots(wake) {
            self.core.icp(ptid).send_ipi();
        }
    }
}

/// A prod that no H_CEDE has used up is kept for the next one. If the vcpu has just ceded, it was
/// prodded after it had looked: that ends the H_CEDE all the same, and the vcpu stays queued.
#[cold]
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
unsafe fn note_exit(page: *mut VcpuPage, vector: u64, reason: ExitReason) {
    // SAFETY: the caller's promise.
    let (firmware, pc, guest_msr) =
        unsafe { (&mut (*page).firmware, (*page).pc.get(), &mut (*page).msr) };
    firmware.trap.set(vector as u32);
    firmware.reason.set(reason as u32);
    firmware.srr0.set(pc);
    firmware.srr1.set(guest_msr.get());
    guest_msr.set(guest_msr.get() & !msr::SRR1_CAUSE);
    if !matches!(vector, HDEC | 0xc00) {
        note_fault(firmware, vector);
    }
    let left_tb = op::time_tb();
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
            firmware.fault.set(spr::read::<{ spr::HMER }>());
            // SAFETY: the maintenance conditions are told; clearing them ends the interrupt.
            unsafe { spr::write::<{ spr::HMER }>(0) };
        }
        0xf80 => firmware.fault.set(spr::read::<{ spr::HFSCR }>() >> 56),
        0x200 => {
            firmware.fault.set(spr::read::<{ spr::DSISR }>());
            // SAFETY: the interrupt has turned machine checks off; the next one, in the firmware,
            // is to be told of, too.
            unsafe { op::set_msr(op::msr() | msr::ME) };
        }
        _ => {}
    }
}

/// From assembly: a guest has left.
pub(crate) extern "C" fn left(vector: u64, page: *mut VcpuPage) -> ! {
    let thread = platform::thread::current();
    let core = super::cores::of(thread);
    let seat = Seat::from_letter(thread, core, core.seating.seat(thread.ptid()));
    let Some(reason) = seat.reason(page, vector) else {
        inject::deliver(&seat, page);
        // SAFETY: the page's guest is still in this thread.
        unsafe { guest::enter(page) }
    };
    seat.depart(page, vector, reason);
    seat.done()
}

/// A secondary out of its nap: somebody has called it, or nobody.
pub extern "C" fn woken(_srr1: u64) -> ! {
    let thread = platform::thread::current();
    let core = super::cores::of(thread);
    thread.icp.take_ipi();
    let letter = core.seating.take_letter(thread.ptid());
    if letter == 0 {
        called_for_else(thread, core)
    }
    Seat::from_letter(thread, core, letter).run()
}

#[inline(never)]
fn called_for_else(thread: &'static Thread, core: &'static Core) -> ! {
    if thread.ptid() == 0 && core.host_starts[0].load(Acquire) != 0 {
        cpu::start_if_asked(core, thread);
    } else if core.state() == CoreState::Released {
        cpu::park(core, thread);
    } else {
        core.spurious.fetch_add(1, Relaxed);
    }
    platform::thread::idle()
}

/// A thread out of its first nap, into which it went at reset.
pub extern "C" fn first_woken(_srr1: u64) -> ! {
    let thread = platform::thread::current();
    platform::thread::settle();
    thread.icp.take_ipi();
    platform::thread::wakes_in(woken);
    super::cores::of(thread)
        .awake
        .fetch_or(1 << thread.ptid(), Release);
    platform::thread::idle()
}

const _: () = assert!(align_of::<Vcore>() as u64 > SLOT_MASK);

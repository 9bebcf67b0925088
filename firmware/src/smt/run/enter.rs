//! A thread's way into its guest: out of its nap, called or not, and the registers of its vcpu.
use super::interrupts;
use super::seat::Seat;
use crate::smt::cores::{self, Core, ENTRY_TRACED, TRACED, UNTOUCHED};
use crate::smt::host_threads;
use crate::smt::objects::next_key;
use crate::trace::{self, Whom};
use asm::{op, spr};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use hcalls::VcpuPage;
use hcalls::exit::ExitReason;
use hcalls::page::OWNED;
use hcalls::trace::Event;
use platform::cpu::guest::{self, Partition};
use platform::cpu::thread::{self, Thread};

impl Seat {
    /// Into the guest, if the run still lets this thread in; [`super::leave::left`] goes on. `runner`: this
    /// is thread 0. What rarely happens finds the seat anew: handed over, it would be stored each time.
    #[inline(always)]
    pub fn run(self, runner: bool) -> ! {
        let page = self.page();
        if !self.arrive(page) {
            came_too_late(self.thread, page)
        }
        let key = self.vcore.keys[self.slot].load(Relaxed);
        if self.core.run.untouched.load(Relaxed) != UNTOUCHED || !guest::held(key) {
            if self.core.run.untouched.load(Relaxed) & ENTRY_TRACED != 0 {
                enter_traced(self.thread, page)
            }
            enter_anew(self.thread, page)
        }
        self.enter_again(page, runner)
    }

    /// The run isn't open yet: somebody else's IPI has woken the thread, and its own follows. The letter
    /// is for then.
    fn came_too_early(self) -> ! {
        let ptid = self.ptid;
        self.core.run.seating.put_back(ptid);
        self.core.spurious.fetch_add(1, Relaxed);
        trace::note(Event::Nap, || (Whom::NOBODY, 0));
        thread::idle()
    }

    /// With registers that this thread holds but for those that a run keeps for the host.
    #[inline(always)]
    fn enter_again(self, page: *mut VcpuPage, runner: bool) -> ! {
        if runner {
            let hosts_sprs = self.core.run.hosts_sprs.load(Relaxed);
            self.core.run.hosts_sprs.store(false, Relaxed);
            // SAFETY: the page is this run's, and this thread's in it; the thread holds the rest.
            unsafe { guest::load_after_host(page, &self.partition(), hosts_sprs) }
        }
        self.enter(page)
    }

    #[inline(always)]
    fn enter_with_all(self, page: *mut VcpuPage) -> ! {
        // A thread that has held this vcpu before does so no more.
        let key = next_key(self.vcore.keys[self.slot].load(Relaxed));
        self.vcore.keys[self.slot].store(key, Relaxed);
        let was_hosts = self.ptid == 0;
        let fp_clean = !was_hosts || self.core.run.fp_clean.load(Relaxed);
        // SAFETY: the page is this run's, and this thread's in it; a runner has saved its host's
        // registers, a secondary has none.
        unsafe {
            guest::load_all(page, self.has_segments(), key, was_hosts, fp_clean);
            let partition = self.partition();
            guest::load_after_host(page, &partition, true);
            if !was_hosts {
                partition.space.copy();
            }
        }
        if was_hosts {
            self.core.run.hosts_sprs.store(false, Relaxed);
        }
        self.enter(page)
    }

    #[inline(always)]
    fn enter(self, page: *mut VcpuPage) -> ! {
        let lpcr = self.vcore.rules.lpcr.load(Relaxed);
        // SAFETY: the page is this thread's; the other registers are loaded.
        let now_tb = unsafe { guest::load_always(page, lpcr) };
        // SAFETY: this thread's page.
        unsafe { (*page).firmware.entered_tb.set(now_tb) };
        if interrupts::pending(page) {
            interrupts::enter(self.thread, page)
        }
        // SAFETY: the page's guest is in this thread.
        unsafe { guest::enter(page) }
    }

    #[inline(always)]
    fn partition(&self) -> Partition {
        let rules = &self.vcore.rules;
        Partition {
            space: rules.space(),
            hfscr: rules.hfscr.load(Relaxed),
            segments: self.has_segments(),
        }
    }

    /// Makes the page ready and enters the run; false when it has come too late (B27).
    #[inline(always)]
    fn arrive(&self, page: *mut VcpuPage) -> bool {
        let ptid = self.ptid;
        // SAFETY: the run owns the page from `begin` on, and this thread is its only user.
        let firmware = unsafe { &mut (*page).firmware };
        firmware.owner.set(OWNED | u64::from(self.thread.pir));
        firmware.trap.set(0);
        firmware.reason.set(ExitReason::None as u32);
        if !self.vcore.entry.enter(ptid) {
            return false;
        }
        if firmware.prodded.get() != 0 {
            firmware.prodded.set(0);
            self.vcore.entry.note_prod(ptid);
        }
        true
    }
}

/// With registers that this thread doesn't hold yet, or that the host has changed.
#[inline(never)]
fn enter_anew(thread: &'static Thread, page: *mut VcpuPage) -> ! {
    Seat::of(thread).enter_with_all(page)
}

/// In a traced run, with or without them.
#[inline(never)]
fn enter_traced(thread: &'static Thread, page: *mut VcpuPage) -> ! {
    let seat = Seat::of(thread);
    trace::note(Event::Enter, || {
        let generation = seat.vcore.entry.snapshot().generation();
        (seat.whom(), u32::from(generation))
    });
    let key = seat.vcore.keys[seat.slot].load(Relaxed);
    if seat.core.run.untouched.load(Relaxed) & UNTOUCHED != 0 && guest::held(key) {
        seat.enter_again(page, seat.ptid == 0)
    }
    enter_anew(thread, page)
}

/// It has come too late: it must not enter the guest, and its trap stays 0 (B27).
#[cold]
#[inline(never)]
fn came_too_late(thread: &'static Thread, page: *mut VcpuPage) -> ! {
    let seat = Seat::of(thread);
    let (entry, me) = (&seat.vcore.entry, 1 << seat.ptid);
    if entry.snapshot().outstanding() & me == 0 {
        seat.came_too_early()
    }
    seat.tell(ExitReason::None);
    if entry.snapshot().prodded() & me != 0 {
        // SAFETY: the run owns the page, and this thread is its only user. A prod that came
        // meanwhile is kept; none comes any more.
        unsafe { (*page).firmware.prodded.set(1) }
    }
    if seat.core.run.at_leaving.load(Relaxed) & TRACED != 0 {
        seat.trace_left(ExitReason::None);
    }
    seat.report(page)
}

/// A secondary out of its nap: somebody has called it, or nobody.
pub extern "C-unwind" fn woken(_srr1: u64) -> ! {
    let thread = thread::current();
    let core = cores::of(thread);
    if !thread.icp.take_presented_ipi() {
        woken_otherwise(thread, core)
    }
    let letter = core.run.seating.take_letter_behind_barrier(thread.ptid());
    if letter == 0 {
        called_for_else(thread, core)
    }
    // Thread 0's letters are taken by the runner.
    Seat::from_letter(thread, core, letter).run(false)
}

/// No IPI was presented. If none was sent, something else has woken the thread; with a letter there its IPI is
/// on its way, which must not come when the thread is in its next nap, since that may end in the host's vectors.
#[inline(never)]
fn woken_otherwise(thread: &'static Thread, core: &'static Core) -> ! {
    let called = thread.icp.take_ipi();
    let letter = core.run.seating.take_letter_behind_barrier(thread.ptid());
    if letter == 0 {
        called_for_else(thread, core)
    }
    if !called {
        while !thread.icp.take_ipi() {
            op::relax();
        }
        op::unrelax();
    }
    Seat::from_letter(thread, core, letter).run(false)
}

#[inline(never)]
fn called_for_else(thread: &'static Thread, core: &'static Core) -> ! {
    if thread.ptid() == 0 && core.holders.host_starts[0].load(Acquire) != 0 {
        host_threads::start_if_asked(core, thread);
    } else if core.holders.parks.load(Acquire) {
        host_threads::park(core, thread);
    } else {
        core.spurious.fetch_add(1, Relaxed);
        // A maintenance condition wakes threads, too, and would for as long as it is there. The
        // host's threads have their own, and are told.
        // SAFETY: writing clears what is 0 in the value: what was there, and nothing that comes now.
        unsafe { spr::write::<{ spr::HMER }>(!spr::read::<{ spr::HMER }>()) };
    }
    trace::note(Event::Nap, || (Whom::NOBODY, 0));
    thread::idle()
}

/// A thread out of its first nap, into which it went at reset.
pub extern "C-unwind" fn first_woken(_srr1: u64) -> ! {
    let thread = thread::current();
    thread::settle();
    if thread.ptid() == 0 {
        thread::settle_core();
    }
    thread.icp.take_ipi();
    thread::wakes_in(woken);
    cores::of(thread)
        .holders
        .awake
        .fetch_or(1 << thread.ptid(), Release);
    thread::idle()
}

//! One thread's part of a run: called, into the guest, and, after [`super::leave`], its report.
use super::cores::{Core, ENTRY_TRACED, TRACED, UNTOUCHED};
use super::objects::{Vcore, next_key};
use super::running::OWES_IPI;
use super::{hosts, inject};
use crate::trace::{self, Whom};
use asm::{op, spr};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use hcalls::VcpuPage;
use hcalls::exit::ExitReason;
use hcalls::page::OWNED;
use hcalls::trace::Event;
use platform::cpu::guest::{self, Partition};
use platform::cpu::thread::Thread;
use platform::memory::real;

/// The vcore's address is a multiple of 128, so the slot fits below it.
const SLOT_MASK: u64 = 7;

/// The slot of a letter's vcpu.
#[inline(always)]
pub fn slot_of(letter: u64) -> usize {
    (letter & SLOT_MASK) as usize
}

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
    /// Its vcpu, as the trace names it.
    pub fn whom(&self) -> Whom {
        Whom::vcpu(self.vcore.handle(), self.slot)
    }

    /// The present seat of a thread that is in a run.
    #[inline(always)]
    pub fn of(thread: &'static Thread) -> Self {
        let core = super::cores::of(thread);
        Self::from_letter(thread, core, core.seating.seat(thread.ptid()))
    }

    /// Reads a letter that isn't 0.
    #[inline(always)]
    pub fn from_letter(thread: &'static Thread, core: &'static Core, letter: u64) -> Self {
        // SAFETY: letters are written by `letter` alone, from a vcore of the static table.
        let vcore = unsafe { &*((letter & !SLOT_MASK) as *const Vcore) };
        Self {
            thread,
            core,
            vcore,
            slot: slot_of(letter),
        }
    }

    /// The vcpu's page. The firmware's while the vcore runs.
    #[inline(always)]
    pub fn page(&self) -> *mut VcpuPage {
        real::ptr(self.vcore.pages[self.slot].load(Relaxed)).cast()
    }

    /// Into the guest, if the run still lets this thread in; [`super::leave::left`] goes on.
    #[inline(always)]
    pub fn run(self) -> ! {
        let page = self.page();
        if !self.arrive(page) {
            self.came_too_late(page)
        }
        let key = self.vcore.keys[self.slot].load(Relaxed);
        if self.core.untouched.load(Relaxed) != UNTOUCHED || !guest::held(key) {
            self.enter_otherwise(page)
        }
        self.enter_again(page)
    }

    /// It has come too late: it must not enter the guest, and its trap stays 0 (B27).
    #[cold]
    fn came_too_late(self, page: *mut VcpuPage) -> ! {
        if self.vcore.entry.snapshot().outstanding() & 1 << self.thread.ptid() == 0 {
            self.came_too_early()
        }
        self.tell(ExitReason::None);
        if self.vcore.entry.snapshot().prodded() & 1 << self.thread.ptid() != 0 {
            // SAFETY: the run owns the page, and this thread is its only user. A prod that came
            // meanwhile is kept; none comes any more.
            unsafe { (*page).firmware.prodded.set(1) }
        }
        if self.core.at_leaving.load(Relaxed) & TRACED != 0 {
            self.trace_left(ExitReason::None);
        }
        self.report(page)
    }

    /// The run isn't open yet: somebody else's IPI has woken the thread, and its own follows. The letter
    /// is for then.
    fn came_too_early(self) -> ! {
        let ptid = self.thread.ptid();
        self.core.seating.put_back(ptid);
        self.core.spurious.fetch_add(1, Relaxed);
        trace::note(Event::Nap, || (Whom::NOBODY, 0));
        platform::cpu::thread::idle()
    }

    /// With registers that this thread holds but for those that a run keeps for the host.
    #[inline(always)]
    fn enter_again(self, page: *mut VcpuPage) -> ! {
        if self.thread.ptid() == 0 {
            let hosts_sprs = self.core.hosts_sprs.load(Relaxed) != 0;
            self.core.hosts_sprs.store(0, Relaxed);
            // SAFETY: the page is this run's, and this thread's in it; the thread holds the rest.
            unsafe { guest::load_after_host(page, &self.partition(), hosts_sprs) }
        }
        self.enter(page)
    }

    /// With registers that this thread doesn't hold yet, or that the host has changed; or traced.
    #[inline(never)]
    fn enter_otherwise(self, page: *mut VcpuPage) -> ! {
        let key = self.vcore.keys[self.slot].load(Relaxed);
        let untouched = self.core.untouched.load(Relaxed);
        if untouched & ENTRY_TRACED != 0 {
            let generation = u32::from(self.vcore.entry.snapshot().generation());
            trace::note(Event::Enter, || (self.whom(), generation));
        }
        if untouched & UNTOUCHED != 0 && guest::held(key) {
            self.enter_again(page)
        }
        self.enter_anew(page)
    }

    #[inline(always)]
    fn enter_anew(self, page: *mut VcpuPage) -> ! {
        // A thread that has held this vcpu before does so no more.
        let key = next_key(self.vcore.keys[self.slot].load(Relaxed));
        self.vcore.keys[self.slot].store(key, Relaxed);
        let was_hosts = self.thread.ptid() == 0;
        let fp_clean = !was_hosts || self.core.fp_clean.load(Relaxed) != 0;
        // SAFETY: the page is this run's, and this thread's in it; a runner has saved its host's
        // registers, a secondary has none.
        unsafe { guest::load_all(page, &self.partition(), key, was_hosts, fp_clean) };
        if was_hosts {
            self.core.hosts_sprs.store(0, Relaxed);
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
        if inject::pending(page) {
            inject::enter(self, page)
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

    #[inline(always)]
    pub fn has_segments(&self) -> bool {
        self.vcore.rules.segments.load(Relaxed) != 0
    }

    /// Makes the page ready and enters the run; false when it has come too late (B27).
    #[inline(always)]
    fn arrive(&self, page: *mut VcpuPage) -> bool {
        let ptid = self.thread.ptid();
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

    /// Takes the IPI that somebody has sent, or is about to send, to this thread.
    #[inline(never)]
    pub fn take_call(self) {
        let ptid = self.thread.ptid();
        while !self.is_answerable() {
            op::relax();
        }
        op::unrelax();
        trace::note(Event::Taken, || (self.whom(), 0));
        self.vcore.entry.answered(ptid);
    }

    /// A call has come and is taken now. Thread 0's presenter is the host's: a sibling rings its
    /// doorbell instead, and an IPI that is taken there may have been the host's as well.
    fn is_answerable(&self) -> bool {
        let runners = self.thread.ptid() == 0;
        if runners && self.core.rung.swap(0, Acquire) != 0 {
            op::silence_thread_0();
            return true;
        }
        let sent = self.thread.icp.take_ipi();
        if sent && runners {
            // SAFETY: this is the core's thread 0, and no reference to the record is in use.
            unsafe { self.core.running.get().afterwards |= OWES_IPI };
        }
        sent
    }

    /// Tells why the vcpu came out, if it wasn't pulled.
    #[inline(always)]
    pub fn tell(&self, reason: ExitReason) {
        self.core.fates.tell(self.slot, reason);
        self.vcore.counters.exits[reason as usize].fetch_add(1, Relaxed);
    }

    /// Records that the vcpu is out, and, for a secondary, the nap that follows. Changes nothing else.
    #[inline(always)]
    pub fn trace_left(&self, reason: ExitReason) {
        let naps = self.thread.ptid() != 0;
        trace_left(self.whom(), reason, naps);
    }

    /// The last that this thread does in the run. All IPIs to it have been taken.
    #[inline(always)]
    pub(super) fn report(self, page: *mut VcpuPage) -> ! {
        // SAFETY: this thread's page until the report.
        unsafe { (*page).firmware.owner.set(0) };
        self.vcore.entry.report(self.thread.ptid());
        if self.thread.ptid() == 0 {
            super::run::finish(self.thread, self.core)
        }
        platform::cpu::thread::idle()
    }
}

#[cold]
#[inline(never)]
fn trace_left(whom: Whom, reason: ExitReason, naps: bool) {
    trace::note(Event::Left, || (whom, reason as u32));
    if naps {
        trace::note(Event::Nap, || (Whom::NOBODY, 0));
    }
}

/// A secondary out of its nap: somebody has called it, or nobody.
pub extern "C-unwind" fn woken(_srr1: u64) -> ! {
    let thread = platform::cpu::thread::current();
    let core = super::cores::of(thread);
    let called = thread.icp.take_ipi();
    let letter = core.seating.take_letter(thread.ptid());
    if letter == 0 {
        called_for_else(thread, core)
    }
    if !called {
        run_when_called(thread, core, letter)
    }
    Seat::from_letter(thread, core, letter).run()
}

/// Something else has woken the thread, and a letter is there: its IPI is on its way. It must not come
/// when the thread is in its next nap, which may end in the host's vectors.
#[inline(never)]
fn run_when_called(thread: &'static Thread, core: &'static Core, letter: u64) -> ! {
    while !thread.icp.take_ipi() {
        op::relax();
    }
    op::unrelax();
    Seat::from_letter(thread, core, letter).run()
}

#[inline(never)]
fn called_for_else(thread: &'static Thread, core: &'static Core) -> ! {
    if thread.ptid() == 0 && core.host_starts[0].load(Acquire) != 0 {
        hosts::start_if_asked(core, thread);
    } else if core.parks.load(Acquire) != 0 {
        hosts::park(core, thread);
    } else {
        core.spurious.fetch_add(1, Relaxed);
        // A maintenance condition wakes threads, too, and would for as long as it is there. The
        // host's threads have their own, and are told.
        // SAFETY: writing clears what is 0 in the value: what was there, and nothing that comes now.
        unsafe { spr::write::<{ spr::HMER }>(!spr::read::<{ spr::HMER }>()) };
    }
    trace::note(Event::Nap, || (Whom::NOBODY, 0));
    platform::cpu::thread::idle()
}

/// A thread out of its first nap, into which it went at reset.
pub extern "C-unwind" fn first_woken(_srr1: u64) -> ! {
    let thread = platform::cpu::thread::current();
    platform::cpu::thread::settle();
    if thread.ptid() == 0 {
        platform::cpu::thread::settle_core();
    }
    thread.icp.take_ipi();
    platform::cpu::thread::wakes_in(woken);
    super::cores::of(thread)
        .awake
        .fetch_or(1 << thread.ptid(), Release);
    platform::cpu::thread::idle()
}

const _: () = assert!(align_of::<Vcore>() as u64 > SLOT_MASK);

//! A thread at work for a vcpu: who it is, and what it tells of it.
use crate::smt::cores::record::OWES_IPI;
use crate::smt::cores::{self, Core};
use crate::smt::objects::Vcore;
use crate::trace::{self, Whom};
use asm::op;
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use hcalls::VcpuPage;
use hcalls::exit::ExitReason;
use hcalls::trace::Event;
use platform::cpu::thread::Thread;
use platform::memory::real;

/// The vcore's address is a multiple of 128, so the slot fits below it.
const SLOT_MASK: u64 = 7;

const _: () = assert!(align_of::<Vcore>() as u64 > SLOT_MASK);

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
    /// The thread's number in its core.
    pub ptid: usize,
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
        let core = cores::of(thread);
        Self::from_letter(thread, core, core.run.seating.seat(thread.ptid()))
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
            ptid: thread.ptid(),
        }
    }

    /// The vcpu's page. The firmware's while the vcore runs.
    #[inline(always)]
    pub fn page(&self) -> *mut VcpuPage {
        real::ptr(self.vcore.pages[self.slot].load(Relaxed)).cast()
    }

    #[inline(always)]
    pub fn has_segments(&self) -> bool {
        self.vcore.rules.segments.load(Relaxed)
    }

    /// Takes the IPI that somebody has sent, or is about to send, to this thread.
    #[inline(never)]
    pub fn take_call(self) {
        let ptid = self.ptid;
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
        let runners = self.ptid == 0;
        if runners && self.core.run.rung.swap(false, Acquire) {
            op::silence_thread_0();
            return true;
        }
        let sent = self.thread.icp.take_ipi();
        if sent && runners {
            // SAFETY: this is the core's thread 0, and no reference to the record is in use.
            unsafe { self.core.run.record.get().afterwards |= OWES_IPI };
        }
        sent
    }

    /// Tells why the vcpu came out, if it wasn't pulled.
    #[inline(always)]
    pub fn tell(&self, reason: ExitReason) {
        self.core.run.outcomes.tell(self.slot, reason);
        self.vcore.counters.exits[reason as usize].fetch_add(1, Relaxed);
    }

    /// Records that the vcpu is out, and, for a secondary, the nap that follows. Changes nothing else.
    #[inline(always)]
    pub fn trace_left(&self, reason: ExitReason) {
        let left = (Event::Left, self.whom(), reason as u32);
        match self.ptid {
            0 => trace::note_all(|| [left]),
            _ => trace::note_all(|| [left, (Event::Nap, Whom::NOBODY, 0)]),
        }
    }
}

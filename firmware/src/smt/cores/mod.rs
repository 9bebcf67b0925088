//! What the firmware keeps of each core: which threads it is ([`Identity`]), who has them
//! ([`Holders`]), and the run that they are in ([`PresentRun`]).
use crate::trace::{self, Whom};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use hcalls::run::CoreState;
use hcalls::trace::Event;
use platform::cpu::xics::Icp;
use vcore::{Mask, Slots};

mod holders;
mod identity;
pub mod outcomes;
mod present_run;
pub mod record;

use holders::Holders;
use identity::Identity;
pub use present_run::{ENTRY_TRACED, NOBODY, POLLING, PresentRun, TRACED, UNTOUCHED};

/// Most cores that the firmware can run on; as many as a tree may list.
pub const MAX_CORES: usize = platform::tree::MAX_CORES;

/// One core. The mailboxes of its run are one cache line, the rest another.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Core {
    pub run: PresentRun,
    pub holders: Holders,
    /// Wake-ups that nobody had asked for.
    pub spurious: AtomicU64,
    identity: Identity,
}

impl Core {
    /// All zero, so that the image needs no room for cores.
    const fn new() -> Self {
        Self {
            run: PresentRun::new(),
            holders: Holders::new(),
            spurious: AtomicU64::new(0),
            identity: Identity::new(),
        }
    }

    #[inline(always)]
    pub fn state(&self) -> CoreState {
        self.holders.state()
    }

    pub fn set_state(&self, state: CoreState) {
        self.holders.set_state(state);
    }

    /// PIR of thread 0.
    #[inline(always)]
    pub fn pir(&self) -> u32 {
        self.identity.pir.load(Ordering::Relaxed)
    }

    /// How many threads it has.
    #[inline(always)]
    pub fn threads(&self) -> u32 {
        self.identity.threads.load(Ordering::Relaxed)
    }

    /// PIR of thread `ptid`.
    pub fn pir_of(&self, ptid: usize) -> u32 {
        self.pir() + ptid as u32
    }

    /// One bit per thread of the core.
    #[inline(always)]
    pub fn thread_mask(&self) -> u8 {
        (u16::MAX >> (16 - self.threads())) as u8
    }

    /// The interrupt presenter of thread `ptid`.
    #[inline(always)]
    pub fn icp(&self, ptid: usize) -> Icp {
        self.identity.icp(ptid)
    }

    /// Takes back the IPIs of threads that haven't answered them: the core's vectors will be the host's,
    /// and nobody may wake there.
    pub fn call_off(&self, threads: Mask) {
        Slots(threads).for_each(|ptid| self.icp(ptid).withdraw_ipi());
    }

    /// Sends thread `ptid` an IPI.
    #[inline(always)]
    pub fn send_ipi(&self, ptid: usize) {
        trace::note(Event::Call, || (Whom::NOBODY, self.pir_of(ptid)));
        self.icp(ptid).send_ipi();
    }

    /// Calls a thread of this core that has ceded, whose `called` was set. Thread 0's presenter is
    /// the host's, so that one has its doorbell rung.
    pub fn call(&self, ptid: usize) {
        if ptid != 0 {
            return self.send_ipi(ptid);
        }
        trace::note(Event::Call, || (Whom::NOBODY, self.pir_of(0)));
        self.run.rung.store(true, Ordering::Relaxed);
        asm::op::ring_thread_0();
    }
}

static CORES: [Core; MAX_CORES] = [const { Core::new() }; MAX_CORES];
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Notes a core, in the machine's order: its first PIR and the real addresses of its threads'
/// ICPs. The boot thread does this, once for each.
pub fn register(pir: u32, icps: &[u64]) -> &'static Core {
    let index = COUNT.fetch_add(1, Ordering::Relaxed) as usize;
    let core = &CORES[index];
    core.identity.set(pir, icps);
    core.run.hosts_sprs.store(true, Ordering::Relaxed);
    core.run.first.store(NOBODY, Ordering::Relaxed);
    core
}

/// The core of a thread.
#[inline(always)]
pub fn of(thread: &platform::cpu::thread::Thread) -> &'static Core {
    // SAFETY: every thread is made with the address of an element of `CORES`.
    unsafe { &*(thread.core as *const Core) }
}

/// The core at an address that is not 0, as the field `core` of a vcore has it.
#[inline(always)]
pub fn at(address: u64) -> Option<&'static Core> {
    // SAFETY: a vcore's `core` is 0 or the address of an element of `CORES`.
    unsafe { (address as *const Core).as_ref() }
}

/// All cores.
pub fn all() -> &'static [Core] {
    &CORES[..COUNT.load(Ordering::Relaxed) as usize]
}

/// The core whose threads begin at `pir`.
pub fn by_pir(pir: u32) -> Option<&'static Core> {
    all().iter().find(|core| core.pir() == pir)
}

/// Whether the host has, or can have at any time, the thread with that interrupt server number.
pub fn is_hosts(server: u32) -> bool {
    all().iter().any(|core| {
        let ptid = server.wrapping_sub(core.pir());
        ptid == 0 || ptid < core.threads() && core.state() == CoreState::Released
    })
}

/// PIRs of all threads.
pub fn pirs() -> impl Iterator<Item = u32> {
    all().iter().flat_map(|core| {
        let first = core.pir();
        first..first + core.threads()
    })
}

/// Whether there is a thread with that interrupt server number.
pub fn exists(server: u64) -> bool {
    pirs().any(|pir| u64::from(pir) == server)
}

#[cfg(test)]
mod cores_tests;

//! What the firmware keeps of each core: who has its threads, and what they are to do.
use super::fates::Fates;
use super::objects::{MAX_PARTITIONS, partition_index};
use crate::trace::{self, Whom};
use crate::vcore::{Mask, Seating, Slots};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use hcalls::MAX_THREADS;
use hcalls::run::{CoreState, FIRST_SLOT_SHIFT};
use hcalls::trace::Event;
use platform::cpu::xics::Icp;

use super::running::RunnersOwn;

/// Most cores that the firmware can run on; as many as a tree may list.
pub const MAX_CORES: usize = platform::tree::MAX_CORES;

/// In [`Core::at_leaving`].
pub const POLLING: u16 = 0xff;
pub const TRACED: u16 = 1 << 8;
/// In [`Core::untouched`].
pub const UNTOUCHED: u8 = 1;
pub const ENTRY_TRACED: u8 = 2;

/// No thread left first yet.
pub const NOBODY: u64 = u64::MAX << FIRST_SLOT_SHIFT;

/// One core. Its mailboxes are one cache line, the rest another.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Core {
    /// Who is called to run which vcpu. A letter is the vcore's address with the slot below it.
    pub seating: Seating,
    /// By ptid: where the host wants the thread to start (`smt::hosts`); 0 for nowhere.
    pub host_starts: [AtomicU64; MAX_THREADS],
    /// What became of the vcpus of the present run.
    pub fates: Fates,
    /// A [`CoreState`].
    state: AtomicU8,
    /// What threads that leave have to see to, if it isn't 0. [`POLLING`]: one bit per ptid that waits
    /// for its guest to enable interrupts, where the machine has no mediated external exception: the
    /// core's HDEC then ticks. [`TRACED`]: the run is traced.
    pub at_leaving: AtomicU16,
    /// 1: a sibling has rung thread 0's doorbell, or is about to.
    pub rung: AtomicU8,
    /// 1: an interrupt of the host's ends the present run.
    pub interrupted: AtomicU8,
    /// 1: a system reset has struck a thread in the firmware, and no run has told of it yet.
    pub struck: AtomicU8,
    /// 1: the host vouches for the vcpu pages of this run (`RUN_UNTOUCHED`). In a traced run
    /// [`ENTRY_TRACED`] is added.
    pub untouched: AtomicU8,
    /// The host vouches for its floating-point registers (`RUN_FP_CLEAN`).
    pub fp_clean: AtomicU8,
    /// Thread 0 has the host's values in the registers that a run without `RUN_SPRS_LOST` keeps for
    /// it: a guest's have to be loaded.
    pub hosts_sprs: AtomicU8,
    /// Who left first and why, as VCORE_RUN answers it.
    pub first: AtomicU64,
    /// When the present run is to end.
    pub deadline_tb: AtomicU64,
    /// One bit per ptid that the host runs on.
    pub with_host: AtomicU8,
    /// One bit per thread that has answered its first call and naps for the firmware.
    pub awake: AtomicU8,
    /// 1: secondaries without work wait for the host awake, as a nap would end in its vectors.
    pub parks: AtomicU8,
    /// One bit per thread that does so.
    pub parked: AtomicU8,
    /// 1: CORE_CLAIM is taking the secondaries back, and none of them can be started.
    pub claiming: AtomicU8,
    /// The vcore that a fenced core still owes an answer for: its address, or 0.
    pub owing: AtomicU64,
    /// By partition's index: the handle of the partition that was here last. What the core has
    /// translated for an older one of the same LPID is forgotten when another comes.
    partitions: [AtomicU64; MAX_PARTITIONS],
    /// The registers that the threads share are the host's: it has been given one of them.
    is_hosts: AtomicBool,
    /// Wake-ups that nobody had asked for.
    pub spurious: AtomicU64,
    pub running: RunnersOwn,
    pub pir: AtomicU32,
    pub threads: AtomicU32,
    /// By ptid: real address of the thread's ICP.
    icps: [AtomicU64; MAX_THREADS],
}

impl Core {
    /// All zero, so that the image needs no room for cores.
    const fn new() -> Self {
        Self {
            seating: Seating::new(),
            host_starts: [const { AtomicU64::new(0) }; MAX_THREADS],
            fates: Fates::new(),
            state: AtomicU8::new(CoreState::Held as u8),
            at_leaving: AtomicU16::new(0),
            rung: AtomicU8::new(0),
            interrupted: AtomicU8::new(0),
            struck: AtomicU8::new(0),
            untouched: AtomicU8::new(0),
            fp_clean: AtomicU8::new(0),
            hosts_sprs: AtomicU8::new(0),
            first: AtomicU64::new(0),
            deadline_tb: AtomicU64::new(0),
            with_host: AtomicU8::new(0),
            awake: AtomicU8::new(0),
            parks: AtomicU8::new(0),
            parked: AtomicU8::new(0),
            claiming: AtomicU8::new(0),
            owing: AtomicU64::new(0),
            partitions: [const { AtomicU64::new(0) }; MAX_PARTITIONS],
            is_hosts: AtomicBool::new(false),
            spurious: AtomicU64::new(0),
            running: RunnersOwn::new(),
            pir: AtomicU32::new(0),
            threads: AtomicU32::new(0),
            icps: [const { AtomicU64::new(0) }; MAX_THREADS],
        }
    }

    #[inline(always)]
    pub fn state(&self) -> CoreState {
        match self.state.load(Ordering::Acquire) {
            0 => CoreState::Held,
            1 => CoreState::Released,
            _ => CoreState::Fenced,
        }
    }

    pub fn set_state(&self, state: CoreState) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// The interrupt presenter of thread `ptid`.
    #[inline(always)]
    pub fn icp(&self, ptid: usize) -> Icp {
        // SAFETY: `register` has put the address there, from the device tree.
        unsafe { Icp::new(self.icps[ptid].load(Ordering::Relaxed)) }
    }

    /// Whether this partition has not been on the core yet, or not since the host had all threads; from
    /// now on it has. For the core's runner.
    #[inline(always)]
    pub fn is_new(&self, partition: u64) -> bool {
        let last = &self.partitions[partition_index(partition)];
        let new = last.load(Ordering::Relaxed) != partition;
        if new {
            last.store(partition, Ordering::Relaxed);
        }
        new
    }

    /// The host has had the core's threads, and used what LPIDs it liked.
    pub fn forget_partitions(&self) {
        self.partitions
            .iter()
            .for_each(|last| last.store(0, Ordering::Relaxed));
    }

    /// The host is given a thread. True: the first, with which the registers that all share become its.
    pub fn begins_for_host(&self) -> bool {
        !self.is_hosts.swap(true, Ordering::AcqRel)
    }

    /// The host has given back the only thread that it had.
    pub fn ends_for_host(&self) {
        self.is_hosts.store(false, Ordering::Release);
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
        self.rung.store(1, Ordering::Relaxed);
        asm::op::ring_thread_0();
    }

    /// PIR of thread `ptid`.
    pub fn pir_of(&self, ptid: usize) -> u32 {
        self.pir.load(Ordering::Relaxed) + ptid as u32
    }

    /// One bit per thread of the core.
    #[inline(always)]
    pub fn thread_mask(&self) -> u8 {
        (u16::MAX >> (16 - self.threads.load(Ordering::Relaxed))) as u8
    }
}

static CORES: [Core; MAX_CORES] = [const { Core::new() }; MAX_CORES];
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Notes a core, in the machine's order: its first PIR and the real addresses of its threads'
/// ICPs. The boot thread does this, once for each.
pub fn register(pir: u32, icps: &[u64]) -> &'static Core {
    let index = COUNT.fetch_add(1, Ordering::Relaxed) as usize;
    CORES[index].pir.store(pir, Ordering::Relaxed);
    CORES[index]
        .threads
        .store(icps.len() as u32, Ordering::Relaxed);
    CORES[index].hosts_sprs.store(1, Ordering::Relaxed);
    CORES[index].first.store(NOBODY, Ordering::Relaxed);
    for (place, icp) in CORES[index].icps.iter().zip(icps) {
        place.store(*icp, Ordering::Relaxed);
    }
    &CORES[index]
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
    all()
        .iter()
        .find(|core| core.pir.load(Ordering::Relaxed) == pir)
}

/// Whether the host has, or can have at any time, the thread with that interrupt server number.
pub fn is_hosts(server: u32) -> bool {
    all().iter().any(|core| {
        let ptid = server.wrapping_sub(core.pir.load(Ordering::Relaxed));
        ptid == 0
            || ptid < core.threads.load(Ordering::Relaxed) && core.state() == CoreState::Released
    })
}

/// PIRs of all threads.
pub fn pirs() -> impl Iterator<Item = u32> {
    all().iter().flat_map(|core| {
        let first = core.pir.load(Ordering::Relaxed);
        first..first + core.threads.load(Ordering::Relaxed)
    })
}

/// Whether there is a thread with that interrupt server number.
pub fn exists(server: u64) -> bool {
    pirs().any(|pir| u64::from(pir) == server)
}

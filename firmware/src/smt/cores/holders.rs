//! Who has a core's threads: the firmware, which naps or runs guests on them, or the host.
use crate::smt::objects::{MAX_PARTITIONS, partition_index};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use hcalls::MAX_THREADS;
use hcalls::run::CoreState;
use vcore::sync::{AtomicBool, AtomicU8, AtomicU64};

#[derive(Debug)]
pub struct Holders {
    /// A [`CoreState`].
    state: AtomicU8,
    /// One bit per thread that has answered its first call and naps for the firmware.
    pub awake: AtomicU8,
    /// Secondaries without work wait for the host awake, as a nap would end in its vectors.
    pub parks: AtomicBool,
    /// One bit per thread that does so.
    pub parked: AtomicU8,
    /// CORE_CLAIM is taking the secondaries back, and none of them can be started.
    pub claiming: AtomicBool,
    /// One bit per ptid that the host runs on.
    pub with_host: AtomicU8,
    /// The registers that the threads share are the host's: it has been given one of them.
    is_hosts: AtomicBool,
    /// By ptid: where the host wants the thread to start (`smt::host_threads`); 0 for nowhere.
    pub host_starts: [AtomicU64; MAX_THREADS],
    /// The vcore that a fenced core still owes an answer for: its address, or 0.
    pub owing: AtomicU64,
    /// By partition's index: the handle of the partition that was here last. What the core has
    /// translated for an older one of the same LPID is forgotten when another comes.
    partitions: [AtomicU64; MAX_PARTITIONS],
}

impl Holders {
    pub(super) const fn new() -> Self {
        Self {
            state: AtomicU8::new(CoreState::Held as u8),
            awake: AtomicU8::new(0),
            parks: AtomicBool::new(false),
            parked: AtomicU8::new(0),
            claiming: AtomicBool::new(false),
            with_host: AtomicU8::new(0),
            is_hosts: AtomicBool::new(false),
            host_starts: [const { AtomicU64::new(0) }; MAX_THREADS],
            owing: AtomicU64::new(0),
            partitions: [const { AtomicU64::new(0) }; MAX_PARTITIONS],
        }
    }

    #[inline(always)]
    pub fn state(&self) -> CoreState {
        match self.state.load(Acquire) {
            0 => CoreState::Held,
            1 => CoreState::Released,
            _ => CoreState::Fenced,
        }
    }

    pub fn set_state(&self, state: CoreState) {
        self.state.store(state as u8, Release);
    }

    /// Whether this partition has not been on the core yet, or not since the host had all threads; from
    /// now on it has. For the core's runner.
    #[inline(always)]
    pub fn is_new(&self, partition: u64) -> bool {
        let last = &self.partitions[partition_index(partition)];
        let new = last.load(Relaxed) != partition;
        if new {
            last.store(partition, Relaxed);
        }
        new
    }

    /// This partition has another page table, perhaps.
    pub fn forget_partition(&self, partition: u64) {
        self.partitions[partition_index(partition)].store(0, Relaxed);
    }

    /// The host has had the core's threads, and used what LPIDs it liked.
    pub fn forget_partitions(&self) {
        self.partitions
            .iter()
            .for_each(|last| last.store(0, Relaxed));
    }

    /// The host is given a thread. True: the first, with which the registers that all share become its.
    pub fn begins_for_host(&self) -> bool {
        !self.is_hosts.swap(true, AcqRel)
    }

    /// The host has given back the only thread that it had.
    pub fn ends_for_host(&self) {
        self.is_hosts.store(false, Release);
    }
}

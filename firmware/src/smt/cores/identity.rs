//! Which hardware threads a core is. Written once, while the machine boots.
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use hcalls::MAX_THREADS;
use platform::cpu::xics::Icp;

#[derive(Debug)]
pub struct Identity {
    /// Of thread 0; the others' follow.
    pub pir: AtomicU32,
    pub threads: AtomicU32,
    /// By ptid: real address of the thread's ICP.
    icps: [AtomicU64; MAX_THREADS],
}

impl Identity {
    pub(super) const fn new() -> Self {
        Self {
            pir: AtomicU32::new(0),
            threads: AtomicU32::new(0),
            icps: [const { AtomicU64::new(0) }; MAX_THREADS],
        }
    }

    /// `icps` are the real addresses of the threads' ICPs.
    pub fn set(&self, pir: u32, icps: &[u64]) {
        self.pir.store(pir, Relaxed);
        self.threads.store(icps.len() as u32, Relaxed);
        for (place, icp) in self.icps.iter().zip(icps) {
            place.store(*icp, Relaxed);
        }
    }

    /// The interrupt presenter of thread `ptid`.
    #[inline(always)]
    pub fn icp(&self, ptid: usize) -> Icp {
        // SAFETY: `set` has put the address there, from the device tree.
        unsafe { Icp::new(self.icps[ptid].load(Relaxed)) }
    }
}

//! A machine for tests of calls: RAM that is the test's own, and one core whose interrupt
//! presenters are memory.
extern crate std;
use super::{check, cores};
use asm::sim::random::Random;
use hcalls::VcpuPage;
use platform::memory::region::Region;
use platform::memory::{MemoryMap, Owner};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::vec;
use std::vec::Vec;

/// RAM from `base`, a multiple of [`PARTITION_BYTES`]: three partitions' memory, of which the
/// firmware has the last.
pub const PARTITION_BYTES: u64 = 64 << 20;
const RAM_BYTES: u64 = 3 * PARTITION_BYTES;
/// Where calls find what they read and write, at the beginning of the RAM.
const POOL_PAGES: u64 = 48;
pub const PAGE_BYTES: u64 = 4096;
/// Bytes of an ICP that are used.
const ICP_BYTES: usize = 16;
const MFRR: usize = 12;
const NO_IPI: u8 = 0xff;
pub const THREADS: usize = 8;
pub const PIR: u32 = 8;

/// There is one for all tests, since the firmware has one.
pub struct FakeMachine {
    pub base: u64,
    icps: u64,
    pub core: &'static cores::Core,
}

static MACHINE: OnceLock<Mutex<FakeMachine>> = OnceLock::new();

/// The machine, for one test at a time. A test that failed doesn't spoil it for others.
pub fn machine() -> MutexGuard<'static, FakeMachine> {
    let machine = MACHINE.get_or_init(|| Mutex::new(FakeMachine::new()));
    machine
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl FakeMachine {
    fn new() -> Self {
        // Untouched zeros cost nothing.
        let ram: &'static mut [u8] = vec![0; (RAM_BYTES + PARTITION_BYTES) as usize].leak();
        let base =
            platform::memory::real::address(ram.as_mut_ptr()).next_multiple_of(PARTITION_BYTES);
        let region = |start, len| Region::new(start, len).unwrap();
        let mut map = MemoryMap::new(&[region(base, RAM_BYTES)]);
        let firmware = region(base + 2 * PARTITION_BYTES, PARTITION_BYTES);
        map.reserve(firmware, Owner::Firmware, "the firmware")
            .unwrap();
        check::set_machine(map, THREADS, false);
        let icps: &'static mut [u8] = vec![NO_IPI; THREADS * ICP_BYTES].leak();
        let icps = platform::memory::real::address(icps.as_mut_ptr());
        let pages: Vec<u64> = (0..THREADS)
            .map(|n| icps + (n * ICP_BYTES) as u64)
            .collect();
        let core = cores::register(PIR, &pages);
        Self { base, icps, core }
    }

    /// Address of thread `ptid`'s MFRR.
    pub fn mfrr(&self, ptid: usize) -> u64 {
        self.icps + (ptid * ICP_BYTES + MFRR) as u64
    }

    /// Page `index` of the pool.
    pub fn page(&self, index: u64) -> u64 {
        self.base + index % POOL_PAGES * PAGE_BYTES
    }

    /// A page as a host may hand it over: what is the firmware's in it can be anything.
    pub fn vcpu_page() -> VcpuPage {
        let mut page = VcpuPage::new();
        page.firmware.served.set(u64::MAX - 1);
        page
    }

    /// A pool of vcpu pages as VCPU_CREATE wants them.
    pub fn fill_pool(&self) {
        for index in 0..POOL_PAGES {
            self.write(self.page(index), Self::vcpu_page());
        }
    }

    pub fn write<T>(&self, real: u64, value: T) {
        assert!(self.in_pool(real, size_of::<T>()));
        // SAFETY: inside the pool, which is this machine's and aligned for all that is written.
        unsafe { platform::memory::real::ptr(real).cast::<T>().write(value) }
    }

    pub fn read<T: Copy>(&self, real: u64) -> T {
        assert!(self.in_pool(real, size_of::<T>()));
        // SAFETY: as above, and all its bytes are written.
        unsafe { platform::memory::real::ptr(real).cast::<T>().read() }
    }

    fn in_pool(&self, real: u64, len_bytes: usize) -> bool {
        let end = self.base + POOL_PAGES * PAGE_BYTES;
        real >= self.base && real + len_bytes as u64 <= end
    }

    /// What the pool holds.
    pub fn pool(&self) -> Vec<u8> {
        let len_bytes = (POOL_PAGES * PAGE_BYTES) as usize;
        // SAFETY: this machine's RAM, which nobody else has.
        unsafe {
            core::slice::from_raw_parts(platform::memory::real::ptr(self.base), len_bytes).to_vec()
        }
    }

    /// Threads to which an IPI was sent since this was asked last.
    pub fn take_ipis(&self) -> u8 {
        let mut sent = 0;
        for ptid in 0..THREADS {
            let mfrr = platform::memory::real::ptr(self.mfrr(ptid));
            // SAFETY: the ICPs are this machine's.
            unsafe {
                if mfrr.read_volatile() != NO_IPI {
                    sent |= 1 << ptid;
                }
                mfrr.write_volatile(NO_IPI);
            }
        }
        sent
    }

    /// An address at which `len_bytes` of the host's RAM are not.
    pub fn bad_address(&self, random: &Random, len_bytes: u64) -> u64 {
        let end = self.base + RAM_BYTES;
        let firmware = end - PARTITION_BYTES;
        let addresses = [
            0,
            8,
            PAGE_BYTES,
            self.base - PAGE_BYTES,
            self.base + 1,
            self.base + 4,
            firmware,
            firmware + 5 * PAGE_BYTES,
            firmware - len_bytes + 8,
            end - PAGE_BYTES,
            end,
            self.base | 1 << 60,
            self.base | 1 << 63,
            u64::MAX,
            u64::MAX - 7,
            u64::MAX - PAGE_BYTES + 1,
            0xc << 60,
        ];
        random.pick(&addresses)
    }
}

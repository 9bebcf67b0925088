//! Statistics of all vcores and cores, in the layout of [`hcalls::vcore_table`]: for hosts that show
//! the firmware's memory to their users and have no handle to ask SMT_STATS with.
use super::cores;
use super::objects::{self, MAX_VCORES, PARTITIONS};
use alloc::alloc::{Layout, alloc_zeroed};
use asm::op;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use core::sync::atomic::fence;
use hcalls::VcpuPage;
use hcalls::page::FirmwareLine;
use hcalls::stats::VcoreStats;
use hcalls::vcore_table::{Core, Header, MAGIC, VERSION, Vcore, Vcpu};
use platform::cpu::lock::Lock;
use platform::memory::real;
use platform::memory::region::Region;
use vcore::Slots;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// A tenth of a second, in ticks of the time base.
const PERIOD_TB: u64 = 51_200_000;

/// The block, for who holds the lock.
struct Block {
    header: *mut Header,
    vcores: *mut Vcore,
    cores: *mut Core,
}

// SAFETY: memory of the firmware's that is written by who holds the lock.
unsafe impl Send for Block {}

static BLOCK: Lock<Option<Block>> = Lock::new(None);
/// When it is to be brought up to date again.
static DUE_TB: AtomicU64 = AtomicU64::new(0);

/// Makes the block; none if there is no memory for it.
pub fn init() -> Option<Region> {
    let cores = cores::all().len();
    let vcores_bytes = MAX_VCORES * size_of::<Vcore>();
    let len_bytes = size_of::<Header>() + vcores_bytes + cores * size_of::<Core>();
    let layout = Layout::from_size_align(len_bytes, 128).ok()?;
    // SAFETY: the layout's size isn't 0.
    let start = unsafe { alloc_zeroed(layout) };
    if start.is_null() {
        return None;
    }
    let block = Block {
        header: start.cast(),
        vcores: start.wrapping_add(size_of::<Header>()).cast(),
        cores: start
            .wrapping_add(size_of::<Header>() + vcores_bytes)
            .cast(),
    };
    // SAFETY: the beginning of the memory just taken.
    unsafe { block.header.write_volatile(first_header(cores)) };
    *BLOCK.lock() = Some(block);
    Region::new(real::address(start), len_bytes as u64)
}

fn first_header(cores: usize) -> Header {
    let mut header = Header::new_zeroed();
    header.magic.set(MAGIC);
    header.version.set(VERSION);
    header.header_bytes.set(size_of::<Header>() as u32);
    header.vcores.set(MAX_VCORES as u32);
    header.vcore_bytes.set(size_of::<Vcore>() as u32);
    header.cores.set(cores as u32);
    header.core_bytes.set(size_of::<Core>() as u32);
    header.tb_hz.set(hcalls::trace::TB_HZ);
    header
}

/// Brings it up to date if it's time to.
#[inline(always)]
pub fn look() {
    let (now_tb, due_tb) = (op::time_tb(), DUE_TB.load(Relaxed));
    if now_tb >= due_tb {
        update(now_tb, due_tb);
    }
}

#[cold]
#[inline(never)]
fn update(now_tb: u64, due_tb: u64) {
    let next_tb = now_tb.wrapping_add(PERIOD_TB);
    // Of several threads that come at once one does it.
    let mine = DUE_TB.compare_exchange(due_tb, next_tb, AcqRel, Relaxed);
    if let (Ok(_), Some(block)) = (mine, &*BLOCK.lock()) {
        block.update(now_tb);
    }
}

impl Block {
    fn update(&self, now_tb: u64) {
        // Pages and places stay as they are meanwhile.
        let _partitions = PARTITIONS.lock();
        // SAFETY: the block is ours alone to write; hosts only read it, and see by `updates` whether
        // they have read half of this.
        unsafe {
            let mut header = self.header.read_volatile();
            header.updates.set(header.updates.get().wrapping_add(1));
            self.header.write_volatile(header);
            fence(Release);
            for (place, vcore) in objects::places().enumerate() {
                let place = self.vcores.add(place);
                if vcore.handle() != 0 || (*place).handle.get() != 0 {
                    place.write_volatile(of_vcore(vcore));
                }
            }
            for (place, core) in cores::all().iter().enumerate() {
                self.cores.add(place).write_volatile(of_core(core));
            }
            fence(Release);
            header.updates.set(header.updates.get().wrapping_add(1));
            header.updated_tb.set(now_tb);
            self.header.write_volatile(header);
        }
    }
}

fn of_vcore(vcore: &objects::Vcore) -> Vcore {
    let mut told = Vcore::new_zeroed();
    if vcore.handle() == 0 {
        return told;
    }
    told.handle.set(vcore.handle());
    told.lpid.set(vcore.rules.lpid.load(Relaxed) as u32);
    told.width.set(vcore.rules.width.load(Relaxed) as u32);
    told.first_id.set(vcore.first_id());
    // The machine is big-endian, as the layout is.
    let stats = vcore.stats(false);
    if let Ok(stats) = VcoreStats::read_from_bytes(stats.as_bytes()) {
        told.stats = stats;
    }
    for slot in Slots(vcore.roster.snapshot().present()) {
        told.vcpus[slot] = of_page(vcore.pages[slot].load(Relaxed));
    }
    told
}

fn of_page(page: u64) -> Vcpu {
    let mut told = Vcpu::new_zeroed();
    let page = real::ptr(page).cast::<VcpuPage>();
    // SAFETY: the host's RAM, checked when the vcpu was made, which is there still; the host and the
    // vcpu's thread may write at any time.
    let line: FirmwareLine = unsafe { (&raw const (*page).firmware).read_volatile() };
    told.present.set(1);
    told.reason = line.reason;
    told.entries = line.entries;
    told.in_guest_tb = line.in_guest_tb;
    told.ceded_tb = line.ceded_tb;
    told.served = line.served;
    told.yields = line.yields;
    told
}

fn of_core(core: &cores::Core) -> Core {
    let mut told = Core::new_zeroed();
    told.pir.set(core.pir_of(0));
    told.state.set(core.state() as u32);
    told.spurious.set(core.spurious.load(Relaxed));
    told
}

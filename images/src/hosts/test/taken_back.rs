//! Memory that one core takes back while another one runs the guest that uses it.
use core::sync::atomic::{AtomicU64, Ordering};

use hcalls::exit::ExitReason;
use hcalls::memory::PAGE_CHANGED;
use images::behaviour::exits::COUNT_OUTSIDE;
use images::host_runtime::calls;
use images::host_runtime::hpt::PAGE_BYTES;
use images::host_runtime::sync::Lock;

use crate::check::{Outcome, accepted, same};
use crate::cores::{self, Errand};
use crate::faults::{OUTSIDE, RELOCATION, start_all};
use crate::lab::{self, Lab};
use crate::page_tables::{self, PLAIN, enters};
use crate::watch;

const VCPUS: usize = 8;
/// The page that is taken, by the guest's real addresses.
const TAKEN: core::ops::Range<u64> = PAGE_BYTES..2 * PAGE_BYTES;

/// For the other core: where the guest counts, and the map's words for that memory.
static COUNTERS: AtomicU64 = AtomicU64::new(0);
static WORDS: Lock<Option<&'static mut [[u8; 8]]>> = Lock::new(None);
/// How far the guest had come when the memory was the host's again.
static COUNTED: [AtomicU64; VCPUS] = [const { AtomicU64::new(0) }; VCPUS];

fn counter(vcpu: usize) -> u64 {
    let at = COUNTERS.load(Ordering::Acquire) as usize + 8 * vcpu;
    let at = core::ptr::with_exposed_provenance::<u64>(at);
    // SAFETY: the guest's memory, which is RAM, and which the guest writes meanwhile.
    u64::from_be(unsafe { at.read_volatile() })
}

/// Eight vcpus count in a page, each by a translation of its own thread's, while another core takes the page back:
/// from the call's return on nobody counts any more, and each comes out with an access that didn't happen.
/// M4.
pub fn taken_while_used(lab: &mut Lab) -> Outcome {
    let mut guest = page_tables::guest(lab)?;
    let words = page_tables::serve(lab, &guest)?;
    enters(&mut guest, PLAIN | PAGE_BYTES)?;
    COUNTERS.store(guest.memory_range().start + PAGE_BYTES, Ordering::Release);
    *WORDS.lock() = Some(words);
    start_all(&mut guest, [[COUNT_OUTSIDE, 0]; 2], RELOCATION);
    cores::send(lab, &guest, take)?;
    let run = lab::run(&mut guest, 0xff)?;
    cores::answer()?;
    same("reason", run.first_reason, ExitReason::DataStorage)?;
    let page = guest.page(run.first_slot as usize);
    let place = page.firmware.hdar.get() & !0xff;
    same("address", place, OUTSIDE)?;
    for (vcpu, counted) in COUNTED.iter().enumerate() {
        same("counted", counter(vcpu), counted.load(Ordering::Acquire))?;
    }
    lab.clear();
    Ok(())
}

/// On the other core.
fn take(errand: &Errand) -> Outcome {
    watch::wait("some vcpu never counted", || {
        (0..VCPUS).all(|vcpu| counter(vcpu) > 1)
    })?;
    let words = WORDS.lock().take().ok_or("no words")?;
    let shift = PAGE_BYTES.trailing_zeros() - 8;
    let own = &mut words[(TAKEN.start >> shift) as usize..(TAKEN.end >> shift) as usize];
    own.fill([0; 8]);
    accepted(
        "PARTITION_UNMAP",
        calls::partition_unmap(errand.partition, TAKEN),
    )?;
    for (vcpu, counted) in COUNTED.iter().enumerate() {
        counted.store(counter(vcpu), Ordering::Release);
    }
    let changed = own
        .iter()
        .all(|word| u64::from_be_bytes(*word) == PAGE_CHANGED);
    ensure!(changed, "the map doesn't tell of what was written");
    Ok(())
}

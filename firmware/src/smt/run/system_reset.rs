//! A system reset that strikes a thread in the firmware while its core runs guests (L8).
use crate::smt::cores::{self, Core};
use core::sync::atomic::Ordering::Relaxed;
use hcalls::exit::ExitReason;
use hcalls::run::FIRST_SLOT_SHIFT;
use platform::cpu::{thread, world};

/// From assembly, in the middle of anything: the thread goes on where it was. The core's guests come out,
/// as if one of them had been struck.
pub extern "C" fn struck() {
    let core = cores::of(thread::current());
    core.run.struck.store(true, Relaxed);
    world::expire_hdec();
}

/// At the end of a run: the host is told, whatever else has ended it.
#[cold]
pub fn tell(core: &Core) {
    core.run.struck.store(false, Relaxed);
    let slot = core.run.first.load(Relaxed) >> FIRST_SLOT_SHIFT << FIRST_SLOT_SHIFT;
    core.run
        .first
        .store(slot | ExitReason::SystemReset as u64, Relaxed);
}

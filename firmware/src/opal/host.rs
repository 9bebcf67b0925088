//! A host begins, and a host ends: how its interrupts are taken, and what becomes of its guests.
use super::answer::{Answer, DONE};
use super::{dump, event_bits, flash, message, quiesce};
use crate::smt::calls;
use crate::smt::cores;
use crate::smt::objects::{self, PARTITIONS};
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use platform::cpu::thread;
use platform::lpc::bmc;
use skiboot_compat::cpu::{REINIT_HILE_BIG_ENDIAN, REINIT_HILE_LITTLE_ENDIAN, REINIT_MMU_HASH};
use skiboot_compat::status::Status;

/// OPAL_REINIT_CPUS: what to set up differently. WRONG_STATE: another thread is the host's, and
/// can have interrupts at any time.
pub fn reinit_cpus(flags: u64) -> Answer {
    let hile = flags & (REINIT_HILE_BIG_ENDIAN | REINIT_HILE_LITTLE_ENDIAN);
    if hile.count_ones() > 1 {
        return Err(Status::Parameter);
    }
    if flags & !(hile | REINIT_MMU_HASH) != 0 {
        return Err(Status::Unsupported);
    }
    if !is_alone() {
        return Err(Status::WrongState);
    }
    // A host that begins has no guests. What an earlier one, which went down without a word, has
    // left behind is nobody's.
    end_guests();
    forget_host();
    if hile != 0 {
        thread::set_host_hile(hile == REINIT_HILE_LITTLE_ENDIAN);
    }
    DONE
}

/// What an earlier host has asked for and not fetched, or has forbidden, isn't the next one's.
fn forget_host() {
    bmc::forget_hosts();
    dump::forget();
    flash::forget();
    message::forget();
    quiesce::resume();
    event_bits::forget();
}

/// Whether the calling thread is the only one that the host has.
fn is_alone() -> bool {
    let with_host = cores::all()
        .iter()
        .map(|core| core.holders.with_host.load(Acquire).count_ones());
    with_host.sum::<u32>() <= 1
}

/// OPAL_SYNC_HOST_REBOOT: the host is about to start another kernel, or to go down. BUSY: a vcore
/// is on its way out; ask again.
pub fn sync_reboot() -> Answer {
    match end_guests() {
        true => DONE,
        false => Err(Status::Busy),
    }
}

/// Brings every vcore out and ends all partitions. False: some still run, and have been asked to
/// come out. What a fenced core never gave back stays as it is.
pub fn end_guests() -> bool {
    let running = |vcore: &&objects::Vcore| vcore.roster.snapshot().running();
    for vcore in objects::all().filter(running) {
        calls::bring_out_all(vcore);
    }
    PARTITIONS.lock().destroy_all_but(|vcore| {
        let address = core::ptr::from_ref(vcore) as u64;
        let mut owing = cores::all()
            .iter()
            .map(|core| core.holders.owing.load(Relaxed));
        owing.any(|owed| owed == address)
    })
}

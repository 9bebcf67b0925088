//! Keeping other threads out of the firmware, for a host that is about to do something drastic.
use super::answer::{Answer, DONE};
use crate::smt::cores;
use asm::op;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicU64, fence};
use platform::cpu::thread;
use skiboot_compat::cpu::{
    QUIESCE_ALL, QUIESCE_HOLD, QUIESCE_LOCK_BREAK, QUIESCE_REJECT, QUIESCE_RESUME,
    QUIESCE_RESUME_FAST_REBOOT,
};
use skiboot_compat::status::Status;

/// How long threads may take to leave the firmware: 1 s.
const PATIENCE_TB: u64 = hcalls::trace::TB_HZ;

/// 0: nobody is kept out. Otherwise what kind, and above it the PIR of who has asked.
static QUIESCED: AtomicU64 = AtomicU64::new(0);
const PIR_SHIFT: u32 = 8;
const KIND_MASK: u64 = (1 << PIR_SHIFT) - 1;

/// Whether anybody is kept out.
#[inline(always)]
pub fn is_on() -> bool {
    // The entry has noted that this thread is in a call: whoever quiesces sees that, or is seen here.
    op::sync();
    QUIESCED.load(Relaxed) != 0
}

/// Whether a call of this thread's may go on; waits while calls are held.
pub fn admits() -> bool {
    loop {
        match QUIESCED.load(Acquire) {
            0 => return true,
            quiesced if quiesced >> PIR_SHIFT == u64::from(thread::pir()) => return true,
            quiesced if quiesced & KIND_MASK == QUIESCE_REJECT => return false,
            _ => thread::waiting_at_entry(|| {
                while QUIESCED.load(Acquire) & KIND_MASK == QUIESCE_HOLD {
                    op::relax();
                }
                op::unrelax();
            }),
        }
    }
}

/// OPAL_QUIESCE: what to do, and with whom: a server number, or all ones for all other threads.
/// PARTIAL: a thread didn't leave the firmware in time. BUSY: another thread has asked before.
pub fn quiesce(kind: u64, server: u64) -> Answer {
    let me = u64::from(thread::pir());
    if server != QUIESCE_ALL && !cores::exists(server) {
        return Err(Status::Parameter);
    }
    match kind {
        QUIESCE_HOLD | QUIESCE_REJECT | QUIESCE_LOCK_BREAK => {
            // Locks aren't broken: who holds one leaves the firmware, or is told as PARTIAL.
            let wanted = match kind {
                QUIESCE_REJECT => QUIESCE_REJECT,
                _ => QUIESCE_HOLD,
            };
            let begun = QUIESCED.compare_exchange(0, me << PIR_SHIFT | wanted, AcqRel, Acquire);
            match begun {
                Ok(_) => wait_for_others(server),
                Err(other) if other >> PIR_SHIFT == me => wait_for_others(server),
                Err(_) => Err(Status::Busy),
            }
        }
        QUIESCE_RESUME | QUIESCE_RESUME_FAST_REBOOT => {
            resume();
            DONE
        }
        _ => Err(Status::Parameter),
    }
}

/// Nobody is kept out any more.
pub fn resume() {
    QUIESCED.store(0, Release);
}

/// Waits until the others have left; those that come are held back by now.
fn wait_for_others(server: u64) -> Answer {
    fence(SeqCst);
    let me = thread::pir();
    let others = cores::pirs().filter(|&pir| pir != me);
    let mut others = others.filter(|&pir| server == QUIESCE_ALL || u64::from(pir) == server);
    let limit_tb = op::time_tb() + PATIENCE_TB;
    let left = others.all(|pir| {
        while thread::is_in_call(pir) {
            if op::time_tb() > limit_tb {
                return false;
            }
            op::relax();
        }
        true
    });
    op::unrelax();
    match left {
        true => DONE,
        false => Err(Status::Partial),
    }
}

//! What became of each vcpu of a run, as its threads tell the runner.
use core::sync::atomic::Ordering::Relaxed;
use hcalls::exit::ExitReason;
use vcore::Mask;
use vcore::sync::AtomicU32;

/// One bit per slot and kind of fate. Who was pulled out after a sibling, as most are, has none.
#[derive(Debug)]
pub struct Outcomes(AtomicU32);

/// Kinds of fate: where their bits begin.
const EXITED: u32 = 0;
const DID_NOT_RUN: u32 = 8;
const CEDED: u32 = 16;
const STAYED: u32 = 24;

/// The fates of a run that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told(u32);

impl Outcomes {
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Before a run.
    #[inline(always)]
    pub fn clear(&self) {
        self.0.store(0, Relaxed);
    }

    /// A thread tells why its vcpu came out; not for [`ExitReason::Pulled`].
    #[inline(always)]
    pub fn tell(&self, slot: usize, reason: ExitReason) {
        let kind = match reason {
            ExitReason::None => DID_NOT_RUN,
            ExitReason::Ceded => CEDED,
            _ if stays_queued(reason) => STAYED,
            _ => EXITED,
        };
        self.0.fetch_or(1 << (kind + slot as u32), Relaxed);
    }

    /// Once all threads have reported.
    #[inline(always)]
    pub fn told(&self) -> Told {
        Told(self.0.load(Relaxed))
    }
}

impl Told {
    /// Came out with something for the host.
    pub fn exited(self) -> Mask {
        (self.0 >> EXITED) as Mask
    }
    /// Was called, and came too late to enter.
    pub fn did_not_run(self) -> Mask {
        (self.0 >> DID_NOT_RUN) as Mask
    }
    /// Was in H_CEDE.
    pub fn ceded(self) -> Mask {
        (self.0 >> CEDED) as Mask
    }
    /// How many have told anything.
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }
}

/// Came out with nothing for the host to do for it: runs again with the next request (B36).
#[inline(always)]
pub fn stays_queued(reason: ExitReason) -> bool {
    matches!(
        reason,
        ExitReason::Pulled | ExitReason::Deadline | ExitReason::External | ExitReason::Kick
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_kind() {
        let fates = Outcomes::new();
        fates.tell(0, ExitReason::Hypercall);
        fates.tell(7, ExitReason::MachineCheck);
        fates.tell(1, ExitReason::None);
        fates.tell(2, ExitReason::Ceded);
        fates.tell(3, ExitReason::Deadline);
        let told = fates.told();
        assert_eq!(told.exited(), 0x81);
        assert_eq!(told.did_not_run(), 0x02);
        assert_eq!(told.ceded(), 0x04);
        assert_eq!(told.count(), 5);
        fates.clear();
        assert_eq!(fates.told().count(), 0);
    }

    /// As docs/calls/vcore-run.md has it: who stays in the queue, who leaves it, who is blocked.
    #[test]
    fn every_reason_of_every_slot_is_in_one_mask() {
        for reason in (0..16).map(|number| ExitReason::try_from(number).unwrap()) {
            for slot in 0..8 {
                let fates = Outcomes::new();
                fates.tell(slot, reason);
                let (told, it) = (fates.told(), 1 << slot);
                let masks = [told.exited(), told.did_not_run(), told.ceded()];
                let wanted = match reason as u32 {
                    0 => [0, it, 0],
                    2 | 3 | 12 | 14 => [0, 0, 0],
                    13 => [0, 0, it],
                    _ => [it, 0, 0],
                };
                assert_eq!((masks, told.count()), (wanted, 1), "{reason:?}");
            }
        }
    }
}

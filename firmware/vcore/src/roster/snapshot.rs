//! The roster's word as it was at one moment, and its queue.

use super::super::Generation;
use super::super::bits::{Field, Mask, Slots};

pub(crate) const PRESENT: Field = Field(0);
pub(crate) const RUNNABLE: Field = Field(8);
pub(crate) const BLOCKED: Field = Field(16);
pub(crate) const KICKED: Field = Field(24);
pub(crate) const ORDER_SHIFT: u32 = 32;
const ORDER_BITS: u64 = 0xff_ffff;
pub(super) const JOINING_ONE: u64 = 1 << 56;
pub(super) const JOINING: u64 = 0xf << 56;
pub(super) const RUNNING: u64 = 1 << 60;
pub(super) const DEAD: u64 = 1 << 61;
pub(super) const GENERATION_SHIFT: u32 = 62;

/// The word as it was at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot(pub(crate) u64);

impl Snapshot {
    pub fn present(self) -> Mask {
        PRESENT.get(self.0)
    }
    pub fn runnable(self) -> Mask {
        RUNNABLE.get(self.0)
    }
    pub fn blocked(self) -> Mask {
        BLOCKED.get(self.0)
    }
    pub fn kicked(self) -> Mask {
        KICKED.get(self.0)
    }
    pub fn running(self) -> bool {
        self.0 & RUNNING != 0
    }
    pub fn generation(self) -> Generation {
        (self.0 >> GENERATION_SHIFT) as Generation
    }
    /// How many vcpus are in the queue.
    pub fn queue_len(self) -> usize {
        self.runnable().count_ones() as usize
    }
    /// The slots of the queue, first come first.
    #[inline(always)]
    pub fn queue(self) -> impl Iterator<Item = usize> {
        let mut order = self.0 >> ORDER_SHIFT;
        (0..self.queue_len()).map(move |_| {
            let slot = order & 7;
            order >>= 3;
            slot as usize
        })
    }
    pub(super) fn complete(self) -> bool {
        self.runnable() | self.blocked() == self.present() && self.runnable() != 0
    }

    /// Appends the vcpus of `mask` that aren't queued yet, lowest slot first.
    #[inline(always)]
    pub(super) fn enqueue(self, mask: Mask) -> Self {
        let mut word = BLOCKED.clear(self.0, mask);
        let mut place = ORDER_SHIFT + 3 * self.runnable().count_ones();
        for slot in Slots(mask & !self.runnable()) {
            word |= (slot as u64) << place;
            place += 3;
        }
        Self(RUNNABLE.set(word, mask))
    }

    /// Takes the vcpus of `mask` out of the queue; those behind move up (B18).
    pub(super) fn dequeue(self, mask: Mask) -> Self {
        if mask & self.runnable() == 0 {
            return self;
        }
        let word = RUNNABLE.clear(self.0, mask) & !(ORDER_BITS << ORDER_SHIFT);
        if RUNNABLE.get(word) == 0 {
            return Self(word);
        }
        let order = self.0 >> ORDER_SHIFT & ORDER_BITS;
        let order = Slots(mask & self.runnable()).fold(order, without);
        Self(word | order << ORDER_SHIFT)
    }
}

/// The order without a slot that is in it. Its place is found in all places at once: each bit of
/// `other` says that a place has another slot. Places behind the queue's end are 0, and come after.
#[inline(always)]
fn without(order: u64, slot: usize) -> u64 {
    const EACH: u64 = 0o1111_1111;
    let differs = order ^ (slot as u64 * EACH);
    let other = (differs | differs >> 1 | differs >> 2) & EACH;
    let place = (other ^ EACH).trailing_zeros();
    let before = (1 << place) - 1;
    order & before | order >> 3 & !before
}

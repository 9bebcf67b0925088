//! Fields of a word.

/// One bit per ptid or per slot.
pub type Mask = u8;

/// An 8-bit field of a word, `shift` bits up.
#[derive(Clone, Copy)]
pub(super) struct Field(pub u32);

impl Field {
    pub const fn get(self, word: u64) -> Mask {
        (word >> self.0) as Mask
    }
    pub const fn set(self, word: u64, mask: Mask) -> u64 {
        word | (mask as u64) << self.0
    }
    pub const fn clear(self, word: u64, mask: Mask) -> u64 {
        word & !((mask as u64) << self.0)
    }
}

/// The bits of a mask, lowest first.
#[derive(Clone, Copy, Debug)]
pub struct Slots(pub Mask);

impl Iterator for Slots {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let lowest = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(lowest)
    }
}

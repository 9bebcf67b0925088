//! Ranges of real addresses.
use core::fmt;

/// A range of real addresses: never empty, never past the end of the address space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Region {
    start: u64,
    len: u64,
}

impl Region {
    /// `len` bytes from `start`; None if that is nothing or wraps.
    #[must_use]
    pub const fn new(start: u64, len: u64) -> Option<Self> {
        match start.checked_add(len) {
            Some(_) if len > 0 => Some(Self { start, len }),
            _ => None,
        }
    }

    /// From `start` to before `end`.
    #[must_use]
    pub const fn between(start: u64, end: u64) -> Option<Self> {
        match end.checked_sub(start) {
            Some(len) => Self::new(start, len),
            None => None,
        }
    }

    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        self.len
    }

    /// The first address behind.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.start + self.len
    }

    #[must_use]
    pub const fn contains(&self, other: &Self) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }

    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Region {
    /// First and last address.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:#x}..={:#x}", self.start, self.end() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_wrapping_ranges_do_not_exist() {
        assert_eq!(Region::new(5, 0), None);
        assert_eq!(Region::new(u64::MAX, 2), None);
        assert_eq!(Region::between(7, 7), None);
        assert_eq!(Region::between(8, 7), None);
        assert!(Region::new(u64::MAX, 0).is_none());
    }

    #[test]
    fn neighbours_do_not_overlap() {
        let left = Region::new(0x1000, 0x1000).unwrap();
        let right = Region::between(0x2000, 0x3000).unwrap();
        assert!(!left.overlaps(&right) && !right.overlaps(&left));
        let across = Region::new(0x1fff, 2).unwrap();
        assert!(left.overlaps(&across) && across.overlaps(&right));
        assert!(!left.contains(&across));
        assert!(left.contains(&Region::new(0x1fff, 1).unwrap()));
    }
}

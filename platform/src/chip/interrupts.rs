//! The machine's interrupt sources by global number, whatever device raises them.
//!
//! A device is added once, while the machine boots: a range of numbers in [`Sources`], and a variant
//! of [`Device`] that says how one of its sources is routed.
use super::psi::Psi;
use crate::chip::pci::Phb3;
use alloc::vec::Vec;
use spin::Once;

/// Priority of an interrupt that is off.
pub const MASKED: u8 = 0xff;

/// Whom a source interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Interrupt server number, shifted left by two: the low bits are a link that nobody uses.
    pub server: u16,
    /// 0 is the most favoured; [`MASKED`] is none.
    pub priority: u8,
}

/// What raises interrupts.
#[derive(Clone, Copy, Debug)]
pub enum Device {
    Psi(Psi),
    Phb3(&'static Phb3),
}

/// One interrupt source.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    pub device: Device,
    /// Its number within the device.
    pub number: usize,
}

impl Source {
    /// Whom it interrupts.
    #[inline]
    #[must_use]
    pub fn route(&self) -> Route {
        match self.device {
            Device::Psi(bridge) => bridge.route(self.number),
            Device::Phb3(bridge) => bridge.route(self.number as u32),
        }
    }

    /// Says whom it interrupts.
    #[inline]
    pub fn set_route(&self, route: Route) {
        match self.device {
            Device::Psi(bridge) => bridge.set_route(self.number, route),
            Device::Phb3(bridge) => bridge.set_route(self.number as u32, route),
        }
    }
}

/// A device's sources, which have numbers in a row.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u64,
    count: u64,
    device: Device,
}

/// All sources.
#[derive(Debug, Default)]
pub struct Sources(Vec<Range>);

impl Sources {
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Gives a device's `count` sources the numbers from `first` on. False: one is taken.
    #[must_use]
    pub fn add(&mut self, first: u32, count: usize, device: Device) -> bool {
        let (first, count) = (u64::from(first), count as u64);
        let is_apart =
            |other: &Range| first + count <= other.first || other.first + other.count <= first;
        let is_free = self.0.iter().all(is_apart);
        if is_free {
            self.0.push(Range {
                first,
                count,
                device,
            });
        }
        is_free
    }

    /// The source with a global number.
    #[inline]
    #[must_use]
    pub fn find(&self, isn: u64) -> Option<Source> {
        self.0.iter().find_map(|range| {
            let number = isn.wrapping_sub(range.first);
            (number < range.count).then_some(Source {
                device: range.device,
                number: number as usize,
            })
        })
    }
}

static SOURCES: Once<Sources> = Once::new();

/// From now on the host can have these.
pub fn publish(sources: Sources) {
    SOURCES.call_once(|| sources);
}

/// The source with a global number, if the host can have it.
#[inline]
#[must_use]
pub fn find(isn: u64) -> Option<Source> {
    SOURCES.get()?.find(isn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::xscom::Xscom;

    /// A device that is never touched here.
    fn device() -> Device {
        // SAFETY: no register is read or written.
        Device::Psi(unsafe { Psi::at(Xscom::new(0), 0) })
    }

    #[test]
    fn sources_are_found_by_number() {
        let mut sources = Sources::new();
        assert!(sources.add(0x10, 6, device()));
        assert!(sources.add(0x1800, 0x800, device()));
        let number = |isn| sources.find(isn).map(|source| source.number);
        for (isn, found) in [
            (0xf, None),
            (0x10, Some(0)),
            (0x15, Some(5)),
            (0x16, None),
            (0x17ff, None),
            (0x1800, Some(0)),
            (0x1fff, Some(0x7ff)),
            (0x2000, None),
            (1 << 32 | 0x10, None),
            (u64::MAX, None),
        ] {
            assert_eq!(number(isn), found, "{isn:#x}");
        }
    }

    #[test]
    fn no_number_is_given_twice() {
        let mut sources = Sources::new();
        assert!(sources.add(0x10, 6, device()));
        for (first, count) in [(0x10, 6), (0x15, 1), (0xf, 2), (0, 0x100), (0x12, 1)] {
            assert!(!sources.add(first, count, device()), "{first:#x}");
        }
        assert!(sources.add(0x16, 1, device()) && sources.add(0xf, 1, device()));
    }
}

//! What real memory there is and who has it.
pub mod mmio;
pub mod real;
pub mod region;
pub mod zero;

use crate::memory::region::Region;
use alloc::vec::Vec;
use thiserror::Error;

/// Most separate reservations; more than any boot makes.
pub const MAX_RESERVED: usize = 64;

/// Who a reserved range belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The firmware: the host must keep out, for ever.
    Firmware,
    /// Something handed to the host: its own image, initial RAM disk, tree.
    Host,
}

/// A reserved range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    pub region: Region,
    pub owner: Owner,
    pub name: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MemoryError {
    #[error("{name} at {region} is not in RAM")]
    NotRam { name: &'static str, region: Region },
    #[error("{name} at {region} meets {other} at {other_region}")]
    Conflict {
        name: &'static str,
        region: Region,
        other: &'static str,
        other_region: Region,
    },
    #[error("no room to note where {name} is")]
    Full { name: &'static str },
}

/// RAM, and what of it is reserved.
#[derive(Clone, Debug)]
pub struct MemoryMap {
    /// In order of address, neighbours joined.
    ram: Vec<Region>,
    /// In order of address, none overlapping.
    reserved: Vec<Reserved>,
    /// What hosts may name: RAM without the firmware's reservations, in order of address. Calls ask for it often.
    hosts: Vec<Region>,
}

impl MemoryMap {
    /// A map with nothing reserved. `ram` is in order of address and doesn't overlap, as
    /// [`crate::tree::Machine`] has it.
    #[must_use]
    pub fn new(ram: &[Region]) -> Self {
        let mut joined: Vec<Region> = Vec::with_capacity(ram.len());
        for &region in ram {
            let whole = joined
                .last()
                .filter(|last| last.end() == region.start())
                .and_then(|last| Region::between(last.start(), region.end()));
            match (whole, joined.last_mut()) {
                (Some(whole), Some(last)) => *last = whole,
                _ => joined.push(region),
            }
        }
        Self {
            hosts: joined.clone(),
            ram: joined,
            reserved: Vec::new(),
        }
    }

    /// RAM, in order of address, neighbours joined.
    #[must_use]
    pub fn ram(&self) -> &[Region] {
        &self.ram
    }

    /// What is reserved, in order of address.
    #[must_use]
    pub fn reserved(&self) -> &[Reserved] {
        &self.reserved
    }

    /// What the host must keep out of.
    pub fn firmware(&self) -> impl Iterator<Item = &Reserved> {
        self.reserved
            .iter()
            .filter(|reserved| reserved.owner == Owner::Firmware)
    }

    /// Whether all of `region` is RAM, whoever has it.
    #[must_use]
    pub fn is_ram(&self, region: &Region) -> bool {
        self.ram.iter().any(|ram| ram.contains(region))
    }

    /// Whether a host may name this memory in a call: RAM, and nothing of the firmware's.
    #[must_use]
    pub fn is_host_ram(&self, address: u64, len_bytes: u64) -> bool {
        Region::new(address, len_bytes)
            .is_some_and(|region| self.hosts.iter().any(|hosts| hosts.contains(&region)))
    }

    /// Takes `region`, which lies in one piece of RAM, from what hosts may name.
    fn take_from_hosts(&mut self, region: Region) {
        let met = |hosts: &Region| hosts.overlaps(&region);
        while let Some(place) = self.hosts.iter().position(met) {
            let whole = self.hosts.remove(place);
            let below = Region::between(whole.start(), region.start());
            let above = Region::between(region.end(), whole.end());
            let left = [below, above].into_iter().flatten();
            self.hosts.splice(place..place, left);
        }
    }

    /// What hosts may name, the largest piece first.
    #[must_use]
    pub fn host_spans(&self) -> Vec<Region> {
        let mut spans = self.hosts.clone();
        spans.sort_by_key(|span| core::cmp::Reverse(span.len_bytes()));
        spans
    }

    /// The reservation that `region` would meet.
    #[must_use]
    pub fn conflict(&self, region: &Region) -> Option<&Reserved> {
        self.reserved
            .iter()
            .find(|reserved| reserved.region.overlaps(region))
    }

    /// Whether `region` could be reserved.
    ///
    /// # Errors
    /// It is not all RAM, or meets another reservation.
    pub fn check(&self, region: Region, name: &'static str) -> Result<(), MemoryError> {
        if !self.is_ram(&region) {
            return Err(MemoryError::NotRam { name, region });
        }
        match self.conflict(&region) {
            Some(reserved) => Err(MemoryError::Conflict {
                name,
                region,
                other: reserved.name,
                other_region: reserved.region,
            }),
            None => Ok(()),
        }
    }

    /// Notes that `region` belongs to `owner`.
    ///
    /// # Errors
    /// As [`MemoryMap::check`], or there are too many reservations. Nothing changes then.
    pub fn reserve(
        &mut self,
        region: Region,
        owner: Owner,
        name: &'static str,
    ) -> Result<(), MemoryError> {
        self.check(region, name)?;
        if self.reserved.len() == MAX_RESERVED {
            return Err(MemoryError::Full { name });
        }
        let place = self
            .reserved
            .partition_point(|reserved| reserved.region < region);
        self.reserved.insert(
            place,
            Reserved {
                region,
                owner,
                name,
            },
        );
        if owner == Owner::Firmware {
            self.take_from_hosts(region);
        }
        Ok(())
    }

    /// The highest free range of `len_bytes` that starts at a multiple of `align` (a power of
    /// two). It isn't reserved yet.
    #[must_use]
    pub fn find_free(&self, len_bytes: u64, align: u64) -> Option<Region> {
        let ceilings = self
            .ram
            .iter()
            .map(Region::end)
            .chain(self.reserved.iter().map(|reserved| reserved.region.start()));
        ceilings
            .filter_map(|ceiling| {
                let start = ceiling.checked_sub(len_bytes)? & !(align - 1);
                Region::new(start, len_bytes)
            })
            .filter(|region| self.is_ram(region) && self.conflict(region).is_none())
            .max()
    }

    /// The longest free range from `start` on, at most `max_len` bytes.
    #[must_use]
    pub fn free_from(&self, start: u64, max_len: u64) -> Option<Region> {
        let first = Region::new(start, 1)?;
        let ram = self.ram.iter().find(|ram| ram.contains(&first))?;
        if self.conflict(&first).is_some() {
            return None;
        }
        let end = self
            .reserved
            .iter()
            .map(|reserved| reserved.region.start())
            .filter(|&reserved| reserved > start)
            .chain([ram.end(), start.saturating_add(max_len)])
            .min()?;
        Region::between(start, end)
    }
}

#[cfg(test)]
mod tests;

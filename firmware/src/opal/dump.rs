//! Regions of the host's memory that are worth a look after a crash. The firmware makes no dumps: its log says
//! where they are, for who looks into the memory of a dead machine.
use super::answer::{Answer, DONE};
use crate::smt::check;
use platform::cpu::lock::Lock;
use skiboot_compat::dump::{HOST_FIRST, HOST_LAST};
use skiboot_compat::status::Status;

/// Linux registers one, its log.
const MOST: usize = 8;

/// A region by the host's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Registered {
    id: u32,
    start: u64,
    len_bytes: u64,
}

/// Those that are registered.
#[derive(Debug)]
struct Regions([Option<Registered>; MOST]);

impl Regions {
    const fn new() -> Self {
        Self([None; MOST])
    }

    /// In the place of one with the same number.
    fn register(&mut self, region: Registered) -> Result<(), Status> {
        let same = self.place(region.id);
        let free = || self.0.iter().position(Option::is_none);
        let place = same.or_else(free).ok_or(Status::Resource)?;
        self.0[place] = Some(region);
        Ok(())
    }

    fn unregister(&mut self, id: u32) -> Result<(), Status> {
        let place = self.place(id).ok_or(Status::Parameter)?;
        self.0[place] = None;
        Ok(())
    }

    fn place(&self, id: u32) -> Option<usize> {
        let is_it = |region: &Option<Registered>| region.is_some_and(|it| it.id == id);
        self.0.iter().position(is_it)
    }
}

static REGIONS: Lock<Regions> = Lock::new(Regions::new());

/// OPAL_REGISTER_DUMP_REGION: number, address, length. RESOURCE: there are eight.
pub fn register(id: u64, start: u64, len_bytes: u64) -> Answer {
    let id = number(id)?;
    let start = check::host_ram(start, len_bytes.max(1), 1).filter(|_| len_bytes != 0);
    let region = Registered {
        id,
        start: start.ok_or(Status::Parameter)?,
        len_bytes,
    };
    REGIONS.lock().register(region)?;
    log::info!(
        "the host's region {id:#x} for dumps: {len_bytes:#x} bytes at {:#x}",
        region.start
    );
    DONE
}

/// OPAL_UNREGISTER_DUMP_REGION: number.
pub fn unregister(id: u64) -> Answer {
    REGIONS.lock().unregister(number(id)?)?;
    DONE
}

/// A new host has none.
pub fn forget() {
    *REGIONS.lock() = Regions::new();
}

/// Numbers are 32 bits wide; others than these are the firmware's.
fn number(id: u64) -> Result<u32, Status> {
    let id = id as u32;
    (HOST_FIRST..=HOST_LAST)
        .contains(&id)
        .then_some(id)
        .ok_or(Status::Parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(id: u32, start: u64) -> Registered {
        Registered {
            id,
            start,
            len_bytes: 1,
        }
    }

    #[test]
    fn regions_are_kept_by_number() {
        let mut regions = Regions::new();
        for id in 0..MOST as u32 {
            regions.register(region(id, 0)).unwrap();
        }
        assert_eq!(regions.register(region(0x80, 0)), Err(Status::Resource));
        regions.register(region(3, 7)).unwrap();
        assert_eq!(regions.0[3], Some(region(3, 7)));
        regions.unregister(3).unwrap();
        assert_eq!(regions.unregister(3), Err(Status::Parameter));
        regions.register(region(0x80, 0)).unwrap();
    }

    #[test]
    fn numbers_are_the_hosts() {
        assert_eq!(number(0x80), Ok(0x80));
        assert_eq!(number(0xff), Ok(0xff));
        for wrong in [0, 0x7f, 0x100, 0xffff_ffff] {
            assert_eq!(number(wrong), Err(Status::Parameter), "{wrong:#x}");
        }
    }
}

//! The PSI host bridge: a chip's interrupts that no PCI bridge raises, LPC's among them.
//!
//! Each of its sources has an XIVR, which names the thread to interrupt and the priority. All
//! registers are reached through XSCOM, counted from the bridge's own address.
use super::interrupts::{MASKED, Route};
use super::xscom::Xscom;
use crate::tree::LpcBus;
use asm::{ibm, ibm_field};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

/// Interrupts of the bridge, by number from [`FIRST_ISN`] on.
pub const SOURCES: usize = 6;
/// What the sources are called in the host's tree, in their order.
pub const SOURCE_NAMES: [&str; SOURCES] = ["fsp", "occ", "fsi", "lpchc", "local_err", "external"];
/// Global number of the first source.
pub const FIRST_ISN: u32 = 0x10;
/// The source of everything that hangs on the LPC bus: the UART, the BMC.
pub const EXTERNAL: usize = 5;

/// XIVRs by source.
const XIVRS: [u32; SOURCES] = [0x10, 0x16, 0x17, 0x18, 0x19, 0x1a];
const SERVER_SHIFT: u32 = 40;
const PRIORITY_SHIFT: u32 = 32;
const SOURCE_SHIFT: u32 = 29;
/// Which numbers the bridge's sources have, and that they go out.
const IRSN: u32 = 0x1b;
const IRSN_COMPARE_SHIFT: u32 = 45;
/// All bits of a number but those of the source within the bridge.
const IRSN_MASK: u64 = ibm_field(32, 47);
const IRSN_ENABLE: u64 = ibm(30) | ibm(31);

/// What each source's register says, as it does: reading one takes longer than all else that a call for it does.
type Routes = [AtomicU64; SOURCES];

static ROUTES: Routes = [const { AtomicU64::new(0) }; SOURCES];

/// The bridge.
#[derive(Clone, Copy, Debug)]
pub struct Psi {
    xscom: Xscom,
    pcba: u32,
    routes: &'static Routes,
}

impl Psi {
    /// The bridge of the chip with the machine's LPC bus, if the tree has one.
    ///
    /// # Safety
    /// `bus` is what the machine's tree says.
    #[must_use]
    pub unsafe fn of(bus: &LpcBus) -> Option<Self> {
        // SAFETY: the caller's promise.
        let xscom = unsafe { Xscom::new(bus.xscom_base) };
        bus.psi_pcba.map(|pcba| Self::at(xscom, pcba))
    }

    pub(crate) const fn at(xscom: Xscom, pcba: u32) -> Self {
        Self {
            xscom,
            pcba,
            routes: &ROUTES,
        }
    }

    /// Gives the sources their numbers and masks them all; `server` is a thread that exists.
    pub fn init(&self, server: u32) {
        let irsn = u64::from(FIRST_ISN) << IRSN_COMPARE_SHIFT | IRSN_MASK | IRSN_ENABLE;
        self.xscom.write(self.pcba + IRSN, irsn);
        for source in 0..SOURCES {
            let server = (server << 2) as u16;
            let priority = MASKED;
            self.set_route(source, Route { server, priority });
        }
    }

    /// Says whom a source interrupts.
    #[inline]
    pub fn set_route(&self, source: usize, route: Route) {
        let value = u64::from(route.server) << SERVER_SHIFT
            | u64::from(route.priority) << PRIORITY_SHIFT
            | (source as u64) << SOURCE_SHIFT;
        self.xscom.write(self.pcba + XIVRS[source], value);
        self.routes[source].store(value, Relaxed);
    }

    /// Whom a source interrupts, by what was said last.
    #[inline]
    #[must_use]
    pub fn route(&self, source: usize) -> Route {
        let value = self.routes[source].load(Relaxed);
        Route {
            server: (value >> SERVER_SHIFT) as u16,
            priority: (value >> PRIORITY_SHIFT) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::boxed::Box;

    /// Registers 0x10 to 0x1f in memory, each where XSCOM's spread addresses put it.
    fn bridge(registers: &mut [u64; 48]) -> Psi {
        let base = crate::memory::real::address(registers.as_mut_ptr());
        // SAFETY: `registers` outlives the bridge in each test, and all that is touched lies in it.
        let xscom = unsafe { Xscom::new(base) };
        let routes = Box::leak(Box::new([const { AtomicU64::new(0) }; SOURCES]));
        Psi {
            xscom,
            pcba: 0,
            routes,
        }
    }

    /// Where a register is: see [`Xscom`].
    fn place(register: u32) -> usize {
        ((register & !0xf) << 1 | (register & 0xf)) as usize
    }

    #[test]
    fn sources_get_their_numbers_and_are_masked() {
        let mut registers = [0; 48];
        let psi = bridge(&mut registers);
        psi.init(8);
        let route = Route {
            server: 8 << 2,
            priority: MASKED,
        };
        assert!((0..SOURCES).all(|source| psi.route(source) == route));
        let at = |register| u64::from_be(registers[place(register)]);
        assert_eq!(at(IRSN), 0x0002_0003_ffff_0000);
        assert_eq!(at(0x1a), 0x0000_20ff_a000_0000);
    }

    #[test]
    fn a_server_and_a_priority_come_back() {
        let mut registers = [0; 48];
        let psi = bridge(&mut registers);
        let route = Route {
            server: 0x88 << 2,
            priority: 5,
        };
        psi.set_route(EXTERNAL, route);
        assert_eq!(psi.route(EXTERNAL), route);
    }
}

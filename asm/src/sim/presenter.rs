//! Interrupt presentation controllers, at their real addresses: XIRR, CPPR, MFRR, and what is pending.
use super::hart::Hart;
use super::machine;
use super::schedule::{changed, point};
use core::cell::Cell;

/// Where the ICP of the thread with PIR 0 is, and how far apart they are.
pub const ICPS: u64 = 0x3_ffff_8000_0000;
const ICP_SHIFT: u32 = 12;
const POLL: u64 = 0;
const XIRR: u64 = 4;
const MFRR: u64 = 12;
/// No IPI wanted.
const NONE: u8 = 0xff;
const XISR_IPI: u32 = 2;
/// Bits of XISR below CPPR in XIRR.
const CPPR_SHIFT: u32 = 24;

/// One thread's.
#[derive(Debug)]
pub struct Presenter {
    cppr: Cell<u8>,
    mfrr: Cell<u8>,
    /// An IPI is presented from then on.
    ipi_from_tb: Cell<u64>,
    /// Source of a device's interrupt that waits, and its priority.
    device: Cell<Option<(u32, u8)>>,
}

impl Presenter {
    pub(super) const fn new() -> Self {
        Self {
            cppr: Cell::new(0),
            mfrr: Cell::new(NONE),
            ipi_from_tb: Cell::new(0),
            device: Cell::new(None),
        }
    }

    /// A device of the host's interrupts.
    pub fn raise(&self, source: u32, priority: u8) {
        self.device.set(Some((source, priority)));
        changed();
    }

    /// The host has served its device.
    pub fn lower(&self) {
        self.device.set(None);
    }

    /// The host takes an IPI that it was owed.
    pub fn take(&self) {
        self.mfrr.set(NONE);
    }

    /// An IPI has been sent and not been taken.
    pub fn ipi_sent(&self) -> bool {
        self.mfrr.get() != NONE
    }

    /// When an IPI that is on its way arrives.
    pub(super) fn arrives_tb(&self) -> Option<u64> {
        self.ipi_sent().then_some(self.ipi_from_tb.get())
    }

    /// What is presented at that time: source and priority. An IPI stands behind a device's interrupt of its priority.
    fn best(&self, now_tb: u64) -> Option<(u32, u8)> {
        let arrived = self.ipi_sent() && now_tb >= self.ipi_from_tb.get();
        let ipi = arrived.then(|| (XISR_IPI, self.mfrr.get()));
        let all = [self.device.get(), ipi].into_iter().flatten();
        all.filter(|(_, priority)| *priority < self.cppr.get())
            .min_by_key(|(_, priority)| *priority)
    }

    /// An external interrupt is presented to the thread.
    pub fn presents(&self, now_tb: u64) -> bool {
        self.best(now_tb).is_some()
    }

    fn xirr(&self, now_tb: u64) -> u64 {
        let source = self.best(now_tb).map_or(0, |(source, _)| source);
        u64::from(self.cppr.get()) << CPPR_SHIFT | u64::from(source)
    }

    fn accept(&self, now_tb: u64) -> u64 {
        let xirr = self.xirr(now_tb);
        if let Some((source, priority)) = self.best(now_tb) {
            self.cppr.set(priority);
            if source != XISR_IPI {
                self.device.set(None);
            }
        }
        xirr
    }

    fn send(&self, value: u8, hart: &Hart) {
        let machine = machine();
        if value != NONE && machine.loses_ipi(hart) {
            return;
        }
        self.ipi_from_tb.set(machine.now_tb() + machine.delay_tb());
        if self.mfrr.replace(value) != value {
            changed();
        }
    }
}

fn find<T>(address: u64, act: impl FnOnce(&Hart, u64) -> T) -> Option<T> {
    let pir = address.checked_sub(ICPS)? >> ICP_SHIFT;
    if !super::is_machine() {
        return None;
    }
    let machine = machine();
    let hart = machine.harts.iter().find(|hart| hart.pir == pir)?;
    point();
    Some(act(hart, address & ((1 << ICP_SHIFT) - 1)))
}

/// Reads a device's register; none if no device is there.
#[must_use]
pub fn load(address: u64) -> Option<u64> {
    find(address, |hart, register| {
        let (icp, now_tb) = (&hart.icp, machine().now_tb());
        match register {
            POLL => icp.xirr(now_tb),
            XIRR => icp.accept(now_tb),
            MFRR => u64::from(icp.mfrr.get()),
            _ => panic!("an ICP has no register at {register:#x}"),
        }
    })
}

/// Writes `bytes` bytes of a device's register; none if no device is there.
pub fn store(address: u64, bytes: usize, value: u64) -> Option<()> {
    find(address, |hart, register| match (register, bytes) {
        (XIRR, 1) => hart.icp.cppr.set(value as u8),
        (XIRR, 4) => hart.icp.cppr.set((value >> CPPR_SHIFT) as u8),
        (MFRR, 1) => hart.icp.send(value as u8, hart),
        _ => panic!("an ICP has no {bytes} bytes at {register:#x}"),
    })
}

//! One hardware thread: its registers, what wakes it and what interrupts its guest.
extern crate std;
use super::presenter::Presenter;
use super::schedule::{changed, wait};
use super::{Core, Machine, machine};
use crate::area::ThreadArea;
use crate::spr_numbers as spr;
use core::cell::Cell;
use std::vec::Vec;

/// Registers that a core's threads share.
const SHARED: [u16; 11] = [
    spr::SDR1,
    spr::DPDES,
    spr::HDEC,
    spr::RMOR,
    spr::HRMOR,
    spr::LPIDR,
    spr::PCR,
    spr::AMOR,
    spr::TFMR,
    spr::VTB,
    spr::HID0,
];
/// Numbers of special-purpose registers have ten bits.
const SPRS: usize = 1024;
/// The expiry of a decrementer that nobody has set.
const FAR_TB: u64 = 1 << 62;

pub(super) const SYSTEM_RESET: u64 = 0x100;
const EXTERNAL: u64 = 0x500;
const HDEC: u64 = 0x980;
const HV_DOORBELL: u64 = 0xe80;
/// SRR1\[42:45\]: what has woken a thread (Power ISA 2.07 Book III-S 6.5.1).
const BY_RESET: u64 = 0b0100 << 18;
const BY_EXTERNAL: u64 = 0b1000 << 18;
const BY_DECREMENTER: u64 = 0b0110 << 18;
const BY_HV_DOORBELL: u64 = 0b0011 << 18;
const BY_MAINTENANCE: u64 = 0b1010 << 18;

/// What the scheduler asks of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ready,
    /// Looks again when something has changed, or time has gone on, since then.
    Waits((u64, u64)),
    /// Inside [`super::nap::nap`].
    Naps,
    /// With nothing to come back to.
    NapsForGood,
    Over,
}

pub struct Hart {
    pub pir: u64,
    pub ptid: usize,
    /// Its place among the machine's.
    core: usize,
    pub icp: Presenter,
    pub(super) area: Cell<*mut ThreadArea>,
    pub(super) msr: Cell<u64>,
    pub(super) state: Cell<State>,
    sprs: Vec<Cell<u64>>,
    /// The vcpu page of the guest that it runs; 0 for none.
    pub(super) guest: Cell<usize>,
    /// It doesn't go on before then, whatever it does.
    late_until_tb: Cell<u64>,
    pub(super) reset: Cell<bool>,
    maintenance: Cell<bool>,
    /// It serves a system reset.
    struck: Cell<bool>,
    pub(super) has_program: Cell<bool>,
}

impl Hart {
    pub(super) fn new(core: usize, ptid: usize, pir: u64) -> Self {
        let sprs: Vec<Cell<u64>> = (0..SPRS).map(|_| Cell::new(0)).collect();
        sprs[usize::from(spr::PIR)].set(pir);
        sprs[usize::from(spr::DEC)].set(FAR_TB);
        Self {
            pir,
            ptid,
            core,
            icp: Presenter::new(),
            area: Cell::new(super::opal::area_of(pir as usize)),
            msr: Cell::new(0),
            state: Cell::new(State::NapsForGood),
            sprs,
            guest: Cell::new(0),
            late_until_tb: Cell::new(0),
            reset: Cell::new(false),
            maintenance: Cell::new(false),
            struck: Cell::new(false),
            has_program: Cell::new(false),
        }
    }

    /// No decrementer is about to expire, and the area is as it was made.
    pub(super) fn settle(&self) {
        self.set(spr::HDEC, FAR_TB);
        // SAFETY: the area is this thread's, and stays for good.
        let area = unsafe { &mut *self.area.get() };
        (area.holds, area.more, area.locks, area.dec_shows_tb) = (0, 0, 0, 0);
    }

    pub(super) fn naps_for_good(&self) -> bool {
        self.state.get() == State::NapsForGood
    }

    pub(super) fn is_of(&self, core: usize) -> bool {
        self.core == core
    }

    pub fn core(&self) -> &'static Core {
        &machine().cores[self.core]
    }

    fn register<T>(&self, number: u16, act: impl FnOnce(&Cell<u64>) -> T) -> T {
        let place = usize::from(number);
        match SHARED.contains(&number) {
            true => act(&self.core().sprs[place]),
            false => act(&self.sprs[place]),
        }
    }

    /// Expiry times as decrementers have them.
    pub(super) fn get(&self, number: u16) -> u64 {
        self.register(number, Cell::get)
    }

    pub(super) fn set(&self, number: u16, value: u64) {
        self.register(number, |place| place.set(value));
    }

    pub(super) fn now_tb(&self) -> u64 {
        machine().now_tb().wrapping_add(self.core().tb_offset.get())
    }

    /// Decrementer `number` is negative.
    pub(super) fn expired(&self, number: u16) -> bool {
        machine().now_tb() >= self.get(number)
    }

    /// When the next decrementer expires that it waits for.
    pub(super) fn next_event_tb(&self) -> Option<u64> {
        let now_tb = machine().now_tb();
        let in_guest = self.guest.get() != 0;
        let hdec = in_guest.then(|| self.get(spr::HDEC));
        let dec = (self.state.get() == State::Naps).then(|| self.get(spr::DEC));
        let late = Some(self.late_until_tb.get());
        let all = [hdec, dec, late, self.icp.arrives_tb()];
        all.into_iter().flatten().filter(|tb| *tb > now_tb).min()
    }

    /// The thread goes on in the firmware as late as that.
    pub fn delay_until(&self, time_tb: u64) {
        self.late_until_tb.set(time_tb);
    }

    /// A system reset strikes it, if the core's vectors are the firmware's.
    pub fn reset(&self) {
        if self.get(spr::HRMOR) == crate::BASE {
            self.reset.set(true);
            changed();
        }
    }

    /// A maintenance condition wakes it, if the core's vectors are the firmware's.
    pub fn disturb(&self) {
        let naps = self.state.get() == State::NapsForGood;
        if naps && self.get(spr::HRMOR) == crate::BASE {
            self.maintenance.set(true);
            changed();
        }
    }

    pub(super) fn is_ready(&self, machine: &Machine) -> bool {
        if machine.now_tb() < self.late_until_tb.get() && self.state.get() != State::Over {
            return false;
        }
        match self.state.get() {
            State::Ready => true,
            State::Waits(since) => machine.schedule.now() != since || self.interrupt().is_some(),
            State::Naps | State::NapsForGood => self.woken_by().is_some(),
            State::Over => false,
        }
    }

    pub(super) fn is_at_its_end(&self) -> bool {
        match self.state.get() {
            State::Over => true,
            State::NapsForGood => !self.has_program.get() && self.woken_by().is_none(),
            _ => false,
        }
    }

    pub(super) fn tell(&self) -> (u64, State, usize, bool) {
        let late = machine().now_tb() < self.late_until_tb.get();
        (self.pir, self.state.get(), self.guest.get(), late)
    }

    /// What ends its nap, as SRR1 tells it.
    fn woken_by(&self) -> Option<u64> {
        let lpcr = self.get(spr::LPCR);
        let lets = |bit: u64| lpcr & bit != 0;
        // One that wakes in a host's vectors naps again at once (`crate::nap::renap`).
        let firmwares = self.get(spr::HRMOR) == crate::BASE;
        if firmwares && self.reset.get() {
            return Some(BY_RESET);
        }
        if firmwares && self.maintenance.get() {
            return Some(BY_MAINTENANCE);
        }
        if lets(spr::lpcr::PECE_EXTERNAL) && self.icp.presents(machine().now_tb()) {
            return Some(BY_EXTERNAL);
        }
        if lets(spr::lpcr::PECE_HV_DOORBELL) && self.ptid == 0 && self.core().doorbell_0.get() {
            return Some(BY_HV_DOORBELL);
        }
        (lets(spr::lpcr::PECE_DECREMENTER) && self.expired(spr::DEC)).then_some(BY_DECREMENTER)
    }

    /// Naps; answers SRR1. Interrupts must find the firmware's vectors.
    pub(super) fn nap(&self, state: State) -> u64 {
        loop {
            self.check_vectors("naps");
            if let Some(cause) = self.woken_by() {
                self.reset.set(false);
                self.maintenance.set(false);
                self.state.set(State::Ready);
                return cause;
            }
            wait(state);
        }
    }

    pub(super) fn check_vectors(&self, does: &str) {
        let hile = self.get(spr::HID0) & spr::HID0_HILE != 0;
        // A secondary may nap under a host's vectors, but nothing may wake it there.
        let naps_only = does == "naps" && self.woken_by().is_none() && self.ptid != 0;
        let firmwares = self.get(spr::HRMOR) == crate::BASE && !hile;
        assert!(
            firmwares || naps_only,
            "thread {:#x} {does} or wakes in the host's vectors: {:x?}",
            self.pir,
            self.woken_by()
        );
    }

    /// What interrupts the guest on this thread.
    pub(super) fn interrupt(&self) -> Option<u64> {
        if self.guest.get() == 0 {
            return None;
        }
        if self.reset.replace(false) {
            self.reset.set(true);
            return Some(SYSTEM_RESET);
        }
        if self.expired(spr::HDEC) {
            return Some(HDEC);
        }
        if self.icp.presents(machine().now_tb()) {
            return Some(EXTERNAL);
        }
        let rung = self.ptid == 0 && self.core().doorbell_0.get();
        rung.then_some(HV_DOORBELL)
    }

    /// A system reset in the firmware, which goes on where it was.
    pub(super) fn strike_firmware(&self) {
        let napping = matches!(self.state.get(), State::Naps | State::NapsForGood);
        let executes = self.guest.get() == 0 && !napping && !self.struck.get();
        if !executes || !self.reset.get() {
            return;
        }
        self.reset.set(false);
        if self.get(spr::HRMOR) != crate::BASE {
            return;
        }
        self.struck.set(true);
        // SAFETY: the thread's area names it.
        let struck: extern "C" fn() =
            unsafe { core::mem::transmute((*self.area.get()).struck as *const ()) };
        struck();
        self.struck.set(false);
    }
}

//! On the build host: a machine that stands where the instructions are, so that what calls them runs
//! there as it is.
//!
//! A [`Machine`] has cores of hardware threads ([`hart`]), each of which takes its turns on one thread of
//! the build host's, as a seeded schedule says ([`schedule`]). Registers that POWER8 has once for a
//! core are its [`Core`]'s. Where assembly never returns, the thread unwinds to its life, which goes on as the
//! machine would: by the functions that the thread's area names. Time goes on by one tick with each
//! access to something shared, and in leaps when everybody waits.
extern crate std;
use crate::spr_numbers as spr;
use core::cell::{Cell, RefCell};
use std::boxed::Box;
use std::rc::Rc;
use std::vec::Vec;

pub mod atomic;
pub mod guest;
pub mod hart;
pub mod life;
pub mod nap;
pub mod op;
pub mod opal;
pub mod presenter;
pub mod random;
pub mod schedule;

use hart::{Hart, State};
use life::{Next, Step, go};
use random::Random;
use schedule::{Schedule, changed, point};

/// What a write to TBU40 leaves alone.
const TBU40_KEPT: u64 = (1 << 24) - 1;
/// Time, when a machine begins.
pub const FIRST_TB: u64 = 1 << 40;

/// What the threads of a core share.
#[derive(Debug)]
pub struct Core {
    sprs: Vec<Cell<u64>>,
    tb_offset: Cell<u64>,
    doorbell_0: Cell<bool>,
}

/// Faults of a machine, each once in so many times; 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// An IPI to a secondary that naps for good is lost. One that has ceded is in its guest: for such a thread,
    /// if it never comes, a host waits.
    pub lost_ipi: u64,
    /// An IPI arrives a while after it was sent.
    pub late_ipi: u64,
}

/// A guest's program: its vcpu page.
pub type Guest = Box<dyn Fn(*mut u8) -> Step>;
/// A host's program, on thread 0 of a core, by its place among the cores.
pub type Program = (usize, Box<dyn FnOnce()>);

/// The machine.
pub struct Machine {
    pub cores: Vec<Core>,
    pub harts: Vec<Hart>,
    pub faults: Cell<Faults>,
    schedule: Schedule,
    guest: Guest,
    time_tb: Cell<u64>,
}

std::thread_local! {
    static MACHINE: Cell<*const Machine> = const { Cell::new(core::ptr::null()) };
    static CURRENT: Cell<usize> = const { Cell::new(0) };
    /// Time, registers and area of a thread that is in no machine.
    static NOBODY_TB: Cell<u64> = const { Cell::new(FIRST_TB) };
    static NOBODY: RefCell<(Vec<u64>, u64, usize)> = const { RefCell::new((Vec::new(), 0, 0)) };
}

fn is_machine() -> bool {
    !MACHINE.get().is_null()
}

/// The machine that this thread is in.
#[must_use]
pub fn machine() -> &'static Machine {
    let machine = MACHINE.get();
    assert!(!machine.is_null(), "outside of a machine");
    // SAFETY: `run` has put it there, and takes it away before its end.
    unsafe { &*machine }
}

fn current() -> usize {
    CURRENT.get()
}

/// The hardware thread that goes on now.
#[must_use]
pub fn hart() -> &'static Hart {
    &machine().harts[current()]
}

impl Machine {
    /// Cores by the PIR of their first thread and their number of threads, whose areas are registered.
    #[must_use]
    pub fn new(seed: u64, cores: &[(u32, usize)], guest: Guest) -> Self {
        let threads = |(core, (pir, threads)): (usize, &(u32, usize))| {
            let (pir, threads) = (u64::from(*pir), *threads);
            (0..threads).map(move |ptid| Hart::new(core, ptid, pir + ptid as u64))
        };
        let harts: Vec<Hart> = cores.iter().enumerate().flat_map(threads).collect();
        let core = |_| Core {
            sprs: (0..1024).map(|_| Cell::new(0)).collect(),
            tb_offset: Cell::new(0),
            doorbell_0: Cell::new(false),
        };
        Self {
            cores: cores.iter().map(core).collect(),
            schedule: Schedule::new(seed, harts.len()),
            harts,
            faults: Cell::new(Faults::default()),
            guest,
            time_tb: Cell::new(FIRST_TB),
        }
    }

    /// Runs the hosts' programs to their ends; then no thread has anything left to do. `begin` makes each thread
    /// ready, on the thread itself.
    pub fn run(self, begin: fn(), programs: Vec<Program>) {
        let machine = Rc::new(self);
        let before = MACHINE.replace(Rc::as_ptr(&machine));
        assert!(before.is_null(), "a machine in a machine");
        let _leaves = Leaves;
        let mut programs: Vec<_> = programs.into_iter().map(Some).collect();
        let mut lives: Vec<Box<dyn FnOnce()>> = Vec::new();
        for (place, hart) in machine.harts.iter().enumerate() {
            CURRENT.set(place);
            hart.settle();
            begin();
            let own = programs.iter_mut().find(|program| {
                hart.ptid == 0 && program.as_ref().is_some_and(|(core, _)| hart.is_of(*core))
            });
            lives.push(match own.and_then(Option::take) {
                Some((_, program)) => {
                    hart.state.set(State::Ready);
                    Box::new(move || hart_now().host(program))
                }
                None => Box::new(|| hart_now().serve()),
            });
        }
        schedule::run(&machine, lives);
    }

    #[must_use]
    pub fn now_tb(&self) -> u64 {
        self.time_tb.get()
    }

    #[must_use]
    pub fn random(&self) -> &Random {
        &self.schedule.random
    }

    fn tick(&self) {
        self.time_tb.set(self.time_tb.get() + 1);
    }

    fn next_event_tb(&self) -> Option<u64> {
        self.harts.iter().filter_map(Hart::next_event_tb).min()
    }

    fn loses_ipi(&self, hart: &Hart) -> bool {
        let lost = self.faults.get().lost_ipi;
        lost != 0 && hart.ptid != 0 && hart.naps_for_good() && self.random().once_in(lost)
    }

    fn delay_tb(&self) -> u64 {
        let late = self.faults.get().late_ipi;
        match late != 0 && self.random().once_in(late) {
            true => self.random().below(1 << self.random().below(12)),
            false => 0,
        }
    }
}

/// In a coroutine: its own hart, which the scheduler has named.
fn hart_now() -> &'static Hart {
    hart()
}

/// The machine is gone, however it ends.
struct Leaves;

impl Drop for Leaves {
    fn drop(&mut self) {
        MACHINE.set(core::ptr::null());
    }
}

fn nobodys<T>(number: u16, act: impl FnOnce(&mut u64) -> T) -> T {
    NOBODY.with_borrow_mut(|(sprs, ..)| {
        sprs.resize(1024, 0);
        act(&mut sprs[usize::from(number)])
    })
}

fn time_tb() -> u64 {
    if is_machine() {
        machine().tick();
        return hart().now_tb();
    }
    NOBODY_TB.set(NOBODY_TB.get() + 1);
    NOBODY_TB.get()
}

/// Others may go on before an access to these.
fn is_seen_by_others(number: u16) -> bool {
    matches!(number, spr::HDEC | spr::HRMOR | spr::LPIDR | spr::DPDES)
}

/// Reads register `number` of the calling thread.
#[must_use]
pub fn read(number: u16) -> u64 {
    if number == spr::TB {
        return time_tb();
    }
    if !is_machine() {
        return nobodys(number, |value| *value);
    }
    if is_seen_by_others(number) {
        point();
    }
    let value = hart().get(number);
    match number {
        spr::DEC | spr::HDEC => u64::from(value.wrapping_sub(machine().now_tb()) as u32),
        _ => value,
    }
}

/// Writes register `number` of the calling thread.
pub fn write(number: u16, value: u64) {
    if !is_machine() {
        return nobodys(number, |place| *place = value);
    }
    if is_seen_by_others(number) {
        point();
    }
    let (hart, machine) = (hart(), machine());
    match number {
        spr::TBU40 => {
            let now_tb = hart.now_tb();
            let wanted_tb = value & !TBU40_KEPT | now_tb & TBU40_KEPT;
            let offset_tb = &hart.core().tb_offset;
            offset_tb.set(offset_tb.get().wrapping_add(wanted_tb.wrapping_sub(now_tb)));
        }
        spr::DEC | spr::HDEC => {
            let ticks = i64::from(value as i32);
            hart.set(number, machine.now_tb().wrapping_add_signed(ticks));
        }
        _ => hart.set(number, value),
    }
}

/// Calls the firmware as a host does with [`crate::opal::RUN_TOKEN`], and answers its status.
pub fn call_run(args: &mut [u64; 8]) -> i64 {
    hart().call_run(args)
}

/// In each loop that waits for others.
fn relax() {
    if !is_machine() {
        return std::thread::yield_now();
    }
    machine().tick();
    schedule::wait(State::Waits(machine().schedule.now()));
    hart().strike_firmware();
}

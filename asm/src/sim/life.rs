//! A hardware thread's life: a host's program, or naps, and guests between them.
extern crate std;
use super::hart::{Hart, SYSTEM_RESET, State};
use super::machine;
use super::schedule::{changed, point, wait};
use crate::area::offset;
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The vector of `sc 1`, and the numbers that the firmware serves without leaving.
const HYPERCALL: u64 = 0xc00;
const SERVED: core::ops::RangeInclusive<u64> = 0xe0..=0xe8;
/// Those of page faults.
const DATA_STORAGE: u64 = 0xe00;
const INSTRUCTION_STORAGE: u64 = 0xe20;

/// What a guest's program does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It goes on.
    Works,
    /// It has nothing to do until somebody else has done something.
    Waits,
    /// An interrupt of its own making.
    Leaves(u64),
}

/// Where a thread goes on whose stack nobody needs any more.
pub(super) enum Next {
    Nap,
    Guest(usize),
    Return(i64),
    Host(u64),
}

impl Hart {
    /// A secondary's life: naps, and does what it is called for.
    pub(super) fn serve(&self) {
        loop {
            let cause = self.nap(State::NapsForGood);
            self.check_vectors("wakes");
            // SAFETY: the thread's area names it.
            let woken: extern "C-unwind" fn(u64) -> ! =
                unsafe { core::mem::transmute((*self.area.get()).woken as *const ()) };
            match self.until_nap(unwound(|| woken(cause))) {
                Next::Nap => {}
                Next::Return(status) => panic!("a secondary returns {status} to a host"),
                Next::Host(pc) => panic!("a secondary starts a host at {pc:#x}"),
                Next::Guest(_) => unreachable!(),
            }
        }
    }

    /// A host's program, on a thread that is its own.
    pub(super) fn host(&self, program: impl FnOnce()) {
        self.has_program.set(true);
        self.state.set(State::Ready);
        program();
    }

    /// VCORE_RUN, by its token at the OPAL entry.
    pub(super) fn call_run(&self, args: &mut [u64; 8]) -> i64 {
        // SAFETY: the thread's area names it.
        let run: extern "C-unwind" fn(&mut [u64; 8]) -> i64 =
            unsafe { core::mem::transmute((*self.area.get()).run as *const ()) };
        let next = match catch_unwind(AssertUnwindSafe(|| run(args))) {
            Ok(status) => return status,
            Err(next) => what_is_next(next),
        };
        match self.until_nap(next) {
            Next::Return(status) => status,
            Next::Nap => panic!("a runner naps"),
            Next::Host(pc) => panic!("a runner starts a host at {pc:#x}"),
            Next::Guest(_) => unreachable!(),
        }
    }

    fn until_nap(&self, mut next: Next) -> Next {
        while let Next::Guest(page) = next {
            next = self.in_guest(page);
        }
        next
    }

    /// From the jump into a guest to the end of what the firmware does when it has left.
    fn in_guest(&self, page: usize) -> Next {
        let page: *mut u8 = core::ptr::with_exposed_provenance_mut(page);
        // SAFETY: the thread's area names them, and a vcpu page has its registers where an area has them.
        unsafe {
            let area = self.area.get();
            let serve: extern "C-unwind" fn(*mut u8) -> u64 =
                core::mem::transmute((*area).hypercall as *const ());
            let storage: extern "C-unwind" fn(u64, *mut u8) -> u64 =
                core::mem::transmute((*area).storage as *const ());
            let left: extern "C-unwind" fn(u64, *mut u8) -> ! =
                core::mem::transmute((*area).left as *const ());
            loop {
                self.check_vectors("enters a guest");
                let vector = self.execute(page);
                let number = u64::from_be(page.add(offset::GPR + 24).cast::<u64>().read());
                let served = match vector {
                    HYPERCALL => SERVED.contains(&number) && serve(page) != 0,
                    DATA_STORAGE | INSTRUCTION_STORAGE => storage(vector, page) != 0,
                    _ => false,
                };
                if !served {
                    return unwound(|| left(vector, page));
                }
            }
        }
    }

    /// The guest, until something interrupts it.
    fn execute(&self, page: *mut u8) -> u64 {
        let machine = machine();
        let others = machine.harts.iter().filter(|hart| hart.pir != self.pir);
        let twice = others
            .into_iter()
            .any(|hart| hart.guest.get() == page.addr());
        assert!(!twice, "a vcpu runs on two threads");
        self.guest.set(page.addr());
        let vector = loop {
            point();
            if let Some(vector) = self.interrupt() {
                if vector == SYSTEM_RESET {
                    self.reset.set(false);
                }
                break vector;
            }
            match (machine.guest)(page) {
                Step::Works => changed(),
                Step::Waits => wait(State::Waits(machine.schedule.now())),
                Step::Leaves(vector) => break vector,
            }
        };
        self.guest.set(0);
        vector
    }
}

pub(super) fn go(next: Next) -> ! {
    resume_unwind(Box::new(next))
}

fn unwound(work: impl FnOnce() -> core::convert::Infallible) -> Next {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(never) => match never {},
        Err(next) => what_is_next(next),
    }
}

/// A failed assertion goes on unwinding.
fn what_is_next(payload: Box<dyn core::any::Any + Send>) -> Next {
    match payload.downcast::<Next>() {
        Ok(next) => *next,
        Err(panic) => resume_unwind(panic),
    }
}

//! On the build host: a machine that stands where the instructions are, so that what calls them runs
//! there as it is.
//!
//! Each thread of the build host's may be one hardware thread ([`begin`]). Registers that POWER8 has once
//! for a core are its [`Core`]'s. Where assembly never returns, the thread unwinds to [`call_run`] or
//! [`serve_calls`], which goes on as the machine would: by the functions that the thread's area names.
//! Time counts how often it is asked for, so nothing depends on how fast the build host is.
extern crate std;
use crate::area::{ThreadArea, offset};
use crate::spr_numbers as spr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

pub mod guest;
pub mod nap;
pub mod op;
pub mod opal;

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
/// No IPI wanted.
const MFRR_NONE: u8 = 0xff;
/// What a write to TBU40 leaves alone.
const TBU40_KEPT: u64 = (1 << 24) - 1;
/// The vector of `sc 1`, and the numbers that the firmware serves without leaving.
const HYPERCALL: u64 = 0xc00;
const SERVED: core::ops::RangeInclusive<u64> = 0xe0..=0xe8;
/// SRR1 of a thread that an external interrupt, or the decrementer, has woken.
const WOKEN_BY_EXTERNAL: u64 = 0b1000 << 18;
const WOKEN_BY_DECREMENTER: u64 = 0b0110 << 18;

static TIME_TB: AtomicU64 = AtomicU64::new(1 << 40);

fn time_tb() -> u64 {
    TIME_TB.fetch_add(1, SeqCst)
}

/// What the threads of a core share.
#[derive(Debug, Default)]
pub struct Core {
    sprs: Mutex<BTreeMap<u16, u64>>,
    tb_offset: AtomicU64,
    doorbell_0: AtomicBool,
    /// A thread has failed its test: the others must not wait for it.
    failed: AtomicBool,
}

/// A guest: runs on its vcpu page until something ends it, and answers the vector.
pub type Guest = Box<dyn FnMut(*mut u8) -> u64>;

struct Hart {
    core: Arc<Core>,
    area: Cell<*mut ThreadArea>,
    sprs: RefCell<BTreeMap<u16, u64>>,
    msr: Cell<u64>,
    /// Address of its presenter's MFRR; 0 for none.
    mfrr: usize,
    guest: RefCell<Guest>,
}

impl Hart {
    fn new(core: Arc<Core>, pir: u64, mfrr: usize, guest: Guest) -> Self {
        // SAFETY: an area may be all zero.
        let area: Box<ThreadArea> = Box::new(unsafe { core::mem::zeroed() });
        Self {
            core,
            area: Cell::new(Box::into_raw(area)),
            sprs: RefCell::new(BTreeMap::from([(spr::PIR, pir)])),
            msr: Cell::new(0),
            mfrr,
            guest: RefCell::new(guest),
        }
    }

    fn now_tb(&self) -> u64 {
        time_tb().wrapping_add(self.core.tb_offset.load(SeqCst))
    }

    fn with_sprs<T>(&self, number: u16, act: impl FnOnce(&mut BTreeMap<u16, u64>) -> T) -> T {
        if SHARED.contains(&number) {
            let mut sprs = self
                .core
                .sprs
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            act(&mut sprs)
        } else {
            act(&mut self.sprs.borrow_mut())
        }
    }

    /// Ticks since decrementer `number` has expired; negative before.
    fn since(&self, number: u16) -> i64 {
        let expires_tb = self.with_sprs(number, |sprs| sprs.get(&number).copied());
        expires_tb.map_or(i64::MIN, |at| time_tb().wrapping_sub(at) as i64)
    }

    fn is_called(&self) -> bool {
        let at = core::ptr::with_exposed_provenance::<u8>(self.mfrr);
        // SAFETY: `begin`'s caller has promised the byte.
        !at.is_null() && unsafe { at.read_volatile() } != MFRR_NONE
    }
}

std::thread_local! {
    static HART: RefCell<Rc<Hart>> = RefCell::new(Rc::new(none()));
}

/// What a thread is that is no hardware thread.
fn none() -> Hart {
    Hart::new(
        Arc::default(),
        0,
        0,
        Box::new(|_| panic!("no guest was given")),
    )
}

fn hart() -> Rc<Hart> {
    HART.with_borrow(Rc::clone)
}

/// Where a thread goes on whose stack nobody needs any more.
enum Next {
    Nap,
    Guest(usize),
    Return(i64),
    Host(u64),
}

fn go(next: Next) -> ! {
    resume_unwind(Box::new(next))
}

/// Makes the calling thread the hardware thread of that PIR, whose area is registered already.
///
/// # Safety
/// `mfrr` is the address of a byte that stands for its presenter's MFRR as long as the thread lasts.
pub unsafe fn begin(core: &Arc<Core>, pir: usize, mfrr: u64, guest: Guest) {
    let hart = Hart::new(Arc::clone(core), pir as u64, mfrr as usize, guest);
    hart.area.set(opal::area_of(pir));
    HART.set(Rc::new(hart));
}

/// Reads register `number` of the calling thread.
#[must_use]
pub fn read(number: u16) -> u64 {
    let hart = hart();
    match number {
        spr::TB => hart.now_tb(),
        spr::DEC | spr::HDEC => u64::from(hart.since(number).wrapping_neg() as u32),
        _ => hart.with_sprs(number, |sprs| sprs.get(&number).copied().unwrap_or(0)),
    }
}

/// Writes register `number` of the calling thread.
pub fn write(number: u16, value: u64) {
    let hart = hart();
    let value = match number {
        spr::TBU40 => {
            let now_tb = hart.now_tb();
            let wanted_tb = value & !TBU40_KEPT | now_tb & TBU40_KEPT;
            let change = wanted_tb.wrapping_sub(now_tb);
            hart.core.tb_offset.fetch_add(change, SeqCst);
            return;
        }
        spr::DEC | spr::HDEC => time_tb().wrapping_add_signed(i64::from(value as i32)),
        _ => value,
    };
    hart.with_sprs(number, |sprs| sprs.insert(number, value));
}

/// Whether the core's hypervisor decrementer interrupts the guest on this thread.
#[must_use]
pub fn hdec_expired() -> bool {
    hart().since(spr::HDEC) >= 0
}

/// What an external event has for a thread that naps or is in a guest.
#[must_use]
pub fn is_called() -> bool {
    hart().is_called()
}

/// Calls the firmware as a host does with [`crate::opal::RUN_TOKEN`], and answers its status.
pub fn call_run(args: &mut [u64; 8]) -> i64 {
    telling_others(|| run(args))
}

fn run(args: &mut [u64; 8]) -> i64 {
    // SAFETY: the thread's area names it.
    let run: extern "C-unwind" fn(&mut [u64; 8]) -> i64 =
        unsafe { core::mem::transmute((*hart().area.get()).run as *const ()) };
    let mut next = match catch_unwind(AssertUnwindSafe(|| run(args))) {
        Ok(status) => return status,
        Err(next) => what_is_next(next),
    };
    loop {
        next = match next {
            Next::Guest(page) => in_guest(page),
            Next::Return(status) => return status,
            Next::Nap => panic!("a runner naps"),
            Next::Host(pc) => panic!("a runner starts a host at {pc:#x}"),
        }
    }
}

/// A secondary's life: naps and answers calls until `is_over`.
pub fn serve_calls(is_over: &AtomicBool) {
    telling_others(|| serve(is_over));
}

/// A failure of this thread ends its siblings' waits, too.
fn telling_others<T>(work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        hart().core.failed.store(true, SeqCst);
        resume_unwind(panic)
    })
}

/// Lets others run, in each loop that waits for one.
fn relax() {
    let failed = hart().core.failed.load(SeqCst);
    assert!(!failed, "another thread has failed");
    std::thread::yield_now();
}

fn serve(is_over: &AtomicBool) {
    let hart = hart();
    loop {
        while !hart.is_called() {
            if is_over.load(SeqCst) {
                return;
            }
            relax();
        }
        assert_eq!(read(spr::HRMOR), crate::BASE, "woken in the host's vectors");
        // SAFETY: the thread's area names it.
        let woken: extern "C-unwind" fn(u64) -> ! =
            unsafe { core::mem::transmute((*hart.area.get()).woken as *const ()) };
        let mut next = unwound(|| woken(WOKEN_BY_EXTERNAL));
        loop {
            next = match next {
                Next::Guest(page) => in_guest(page),
                Next::Nap => break,
                Next::Return(status) => panic!("a secondary returns {status} to a host"),
                Next::Host(pc) => panic!("a secondary starts a host at {pc:#x}"),
            }
        }
    }
}

/// From the jump into a guest to the end of what the firmware does when it has left.
fn in_guest(page: usize) -> Next {
    let page: *mut u8 = core::ptr::with_exposed_provenance_mut(page);
    let hart = hart();
    // SAFETY: the thread's area names them, and a vcpu page has its registers where an area has them.
    unsafe {
        let area = hart.area.get();
        let serve: extern "C-unwind" fn(*mut u8) -> u64 =
            core::mem::transmute((*area).hypercall as *const ());
        let left: extern "C-unwind" fn(u64, *mut u8) -> ! =
            core::mem::transmute((*area).left as *const ());
        loop {
            assert_eq!(
                read(spr::HRMOR),
                crate::BASE,
                "a guest under the host's HRMOR"
            );
            let vector = (hart.guest.borrow_mut())(page);
            let number = u64::from_be(page.add(offset::GPR + 24).cast::<u64>().read());
            let served = vector == HYPERCALL && SERVED.contains(&number) && serve(page) != 0;
            if !served {
                return unwound(|| left(vector, page));
            }
        }
    }
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

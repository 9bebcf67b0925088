//! The host's other threads: one of each core.
use core::alloc::Layout;
use core::sync::atomic::{AtomicBool, Ordering};

use super::sync::Lock;
use super::{cpu, entry, icp, opal};

const STACK_BYTES: usize = 64 << 10;

/// What a started thread runs; it is given its PIR.
pub type Work = fn(u32);

/// The thread that is being started takes it from here. One at a time.
static WORK: Lock<Option<Work>> = Lock::new(None);
static TAKEN: AtomicBool = AtomicBool::new(false);
static STARTING: Lock<()> = Lock::new(());

#[cfg(target_arch = "powerpc64")]
unsafe extern "C" {
    static mut host_secondary_stack_top: u64;
}

/// Starts thread `pir` and returns when it is about to run `work`. After that it waits for ever.
///
/// The error is OPAL's status, or none when the thread was started but never came.
pub fn start(pir: u32, work: Work) -> Result<(), Option<i64>> {
    // SAFETY: the stack is nobody else's.
    unsafe { start_on(stack(), pir, work) }
}

/// Memory for a thread's stack; its end.
pub fn stack() -> u64 {
    let layout = Layout::from_size_align(STACK_BYTES, 128).expect("a stack's layout");
    // SAFETY: the size isn't 0.
    let stack = unsafe { alloc::alloc::alloc(layout) };
    assert!(!stack.is_null(), "no memory for a stack");
    stack.wrapping_add(STACK_BYTES).expose_provenance() as u64
}

/// As [`start`], with a stack that ends at `stack_top`.
///
/// # Safety
/// The stack is the thread's alone until it has been returned.
pub unsafe fn start_on(stack_top: u64, pir: u32, work: Work) -> Result<(), Option<i64>> {
    let _one_at_a_time = STARTING.lock();
    set_stack_top(stack_top);
    *WORK.lock() = Some(work);
    TAKEN.store(false, Ordering::Release);
    // SAFETY: the entry takes its stack, which is in memory by now, and calls the function below.
    unsafe { opal::start_cpu(pir, entry::secondary_entry()) }.map_err(Some)?;
    let limit_tb = cpu::time_base() + cpu::TB_HZ;
    while !TAKEN.load(Ordering::Acquire) {
        if cpu::time_base() > limit_tb {
            return Err(None);
        }
        cpu::relax();
    }
    Ok(())
}

#[cfg(target_arch = "powerpc64")]
fn set_stack_top(top: u64) {
    // SAFETY: only the thread being started reads it; the lock in `start` keeps other writers out.
    unsafe { (&raw mut host_secondary_stack_top).write_volatile(top) }
    core::sync::atomic::fence(Ordering::SeqCst);
}

#[cfg(not(target_arch = "powerpc64"))]
fn set_stack_top(_top: u64) {
    unreachable!("no POWER8")
}

/// From the entry code, on the started thread.
#[cfg_attr(target_arch = "powerpc64", unsafe(no_mangle))]
pub extern "C" fn host_secondary_main(pir: u32) -> ! {
    icp::accept_all();
    let work = WORK.lock().take();
    TAKEN.store(true, Ordering::Release);
    if let Some(work) = work {
        work(pir);
    }
    loop {
        cpu::relax();
    }
}

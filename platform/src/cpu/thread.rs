//! Hardware threads: their areas and stacks, their wake-up, and who is running.
extern crate alloc;
use crate::cpu::xics::Icp;
use crate::tree::{MAX_PIR, MAX_THREADS};
use alloc::alloc::{Layout, alloc_zeroed};
use asm::area::{Frame, ThreadArea};
use asm::{msr, nap, op, opal, spr};
use core::sync::atomic::{AtomicBool, Ordering};

const AREA_BYTES: usize = size_of::<ThreadArea>();
/// A thread's stack for OPAL calls and for its own work.
const STACK_BYTES: usize = 16 * 1024;
/// A thread's stack for its epitaph, and for a call in a call.
const FAULT_STACK_BYTES: usize = 16 * 1024;
/// LPCR of a thread that naps until it is called: externals wake it, nothing else.
const IDLE_LPCR: u64 = spr::lpcr::PECE_EXTERNAL;

/// What assembly calls for a hypercall.
pub type Hypercall = extern "C-unwind" fn(page: *mut hcalls::VcpuPage) -> u64;

/// The functions that assembly calls.
#[derive(Clone, Copy)]
pub struct Entries {
    /// A thread that has been called out of the nap of its reset; see [`wakes_in`].
    pub woken: extern "C-unwind" fn(srr1: u64) -> !,
    /// An interrupt in the firmware.
    pub fault: extern "C" fn(frame: &Frame, vector: u64) -> !,
    /// A system reset in the firmware, which goes on where it was afterwards. On the stack of epitaphs;
    /// neither takes a lock nor waits.
    pub struck: extern "C" fn(),
    /// A hypercall 0xe0–0xe8: not 0 to go on in the guest, 0 to leave it.
    pub hypercall: Hypercall,
    /// Hypercalls on the guest's page table, by number and then H_BULK_REMOVE; the same.
    pub table_hypercalls: &'static [Hypercall; asm::area::TABLE_HYPERCALLS],
    /// A guest's page fault, by its vector: not 0 to go on in the guest, 0 to leave it.
    pub storage: extern "C-unwind" fn(vector: u64, page: *mut hcalls::VcpuPage) -> u64,
    /// A guest has left: vector and vcpu page.
    pub left: extern "C-unwind" fn(vector: u64, page: *mut hcalls::VcpuPage) -> !,
    /// An OPAL call; results replace the arguments from the second on.
    pub opal: extern "C" fn(args: &mut [u64; 8], token: u64) -> i64,
    /// The call with token [`opal::RUN_TOKEN`]: a status at once, or later by
    /// [`opal::return_from_run`].
    pub run: extern "C-unwind" fn(args: &mut [u64; 8]) -> i64,
}

/// One hardware thread.
#[derive(Debug)]
pub struct Thread {
    pub pir: u32,
    ptid: u8,
    pub icp: Icp,
    /// The address of whatever the caller of [`Thread::new`] keeps of its core.
    pub core: usize,
}

const _: () = assert!(MAX_THREADS.is_power_of_two());

impl Thread {
    /// Thread `ptid` of a core of which the caller keeps a record at `core`.
    #[must_use]
    pub const fn new(pir: u32, ptid: usize, core: usize, icp: Icp) -> Self {
        assert!(ptid < MAX_THREADS);
        Self {
            pir,
            ptid: ptid as u8,
            icp,
            core,
        }
    }

    /// Its number in its core.
    #[inline(always)]
    #[must_use]
    pub const fn ptid(&self) -> usize {
        // The mask changes nothing; it spares a check wherever this is an index.
        self.ptid as usize & (MAX_THREADS - 1)
    }

    /// Makes a thread's area, stacks and record, and tells the entry points of them.
    #[must_use]
    pub fn create(self, entries: &Entries) -> Option<&'static Self> {
        // The stack begins behind the area: its last part is what a host in whose vectors the thread
        // wakes takes for its own record of the thread (see `nap::renap`).
        let area = allocate(AREA_BYTES + STACK_BYTES, AREA_BYTES)?.cast::<ThreadArea>();
        let stack = area as u64 + AREA_BYTES as u64;
        let fault_stack = allocate(FAULT_STACK_BYTES, 128)? as u64;
        let thread: &'static Self = alloc::boxed::Box::leak(alloc::boxed::Box::new(self));
        // SAFETY: `area` is fresh memory of that size and alignment, all zero, which every field
        // may be; r13 holds the caller's area, whose TOC is everybody's.
        unsafe {
            (*area).page = area as u64;
            (*area).stack_top = stack + STACK_BYTES as u64;
            (*area).guest_sp = stack + STACK_BYTES as u64 - opal::CALL_FRAME_BYTES;
            (*area).fault_stack_top = fault_stack + FAULT_STACK_BYTES as u64;
            (*area).toc = (*op::area()).toc;
            (*area).woken = entries.woken as *const () as u64;
            (*area).fault = entries.fault as *const () as u64;
            (*area).struck = entries.struck as *const () as u64;
            (*area).hypercall = entries.hypercall as *const () as u64;
            (*area).table_hypercalls = core::ptr::from_ref(entries.table_hypercalls) as u64;
            (*area).storage = entries.storage as *const () as u64;
            (*area).left = entries.left as *const () as u64;
            (*area).run = entries.run as *const () as u64;
            (*area).opal = entries.opal as *const () as u64;
            (*area).renap = nap::renap as *const () as u64;
            (*area).guest_msr = msr::GUEST;
            (*area).pir = u64::from(thread.pir);
            (*area).thread = core::ptr::from_ref(thread) as u64;
            opal::register_area(thread.pir as usize, area);
        }
        Some(thread)
    }
}

fn allocate(len_bytes: usize, align: usize) -> Option<*mut u8> {
    let layout = Layout::from_size_align(len_bytes, align).ok()?;
    // SAFETY: the layout's size isn't 0.
    let at = unsafe { alloc_zeroed(layout) };
    (!at.is_null()).then_some(at)
}

/// The thread with that PIR, if there is one.
#[inline]
#[must_use]
pub fn with_pir(pir: u64) -> Option<&'static Thread> {
    let pir = usize::try_from(pir)
        .ok()
        .filter(|&pir| pir < MAX_PIR as usize)?;
    let area = opal::area_of(pir);
    if area.is_null() {
        return None;
    }
    // SAFETY: a registered area stays for good, and so does its thread's record, which is somewhere, and of which
    // nothing changes.
    unsafe {
        let thread = (*area).thread as *const Thread;
        core::hint::assert_unchecked(!thread.is_null());
        Some(&*thread)
    }
}

/// From now on thread `pir`, which must exist, finds its log of calls there.
pub fn log_calls_to(pir: u32, log: *mut u64) {
    // SAFETY: the area is registered and stays for good; the boot thread alone runs.
    unsafe { (*opal::area_of(pir as usize)).call_log = log as u64 };
}

/// From now on thread `pir`, which must exist, records what it does at `ring`; 0: no more.
pub fn trace_to(pir: u32, ring: u64) {
    let area = opal::area_of(pir as usize);
    // SAFETY: areas are registered for good; the thread itself reads the word at any time.
    unsafe { (&raw mut (*area).trace).write_volatile(ring) };
}

/// From now on thread `pir`, which must exist, goes through `to` where it went through `from`. It may
/// be about to do either, at any time, and with any of the functions.
pub fn change_entries(pir: u32, from: &Entries, to: &Entries) {
    let area = opal::area_of(pir as usize);
    let change = |place: *mut u64, from: u64, to: u64| {
        // SAFETY: a word of an area that is registered for good; the thread's assembly reads it at
        // any time. A thread that wakes elsewhere still has not answered its first call.
        unsafe {
            if place.read_volatile() == from {
                place.write_volatile(to);
            }
        }
    };
    macro_rules! change {
        ($($field:ident),+) => {
            $({
                let (from, to) = (from.$field as *const (), to.$field as *const ());
                // SAFETY: a field of an area.
                change(unsafe { &raw mut (*area).$field }, from as u64, to as u64);
            })+
        };
    }
    change!(woken, hypercall, left, opal, run);
}

/// Locks that this thread holds.
#[must_use]
pub fn locks_held() -> u64 {
    // SAFETY: r13 holds this thread's area.
    unsafe { (*op::area()).locks }
}

/// This thread counts as holding none: what it has left held has been told.
pub fn forget_locks() {
    // SAFETY: r13 holds this thread's area, which no other thread writes.
    unsafe { (*op::area()).locks = 0 }
}

/// What [`ThreadArea::in_call`] says while the call waits at the entry to be let in.
const WAITING: u64 = 1;

/// This thread's call waits at the entry, while `wait` does so: it counts as not in a call.
pub fn waiting_at_entry<T>(wait: impl FnOnce() -> T) -> T {
    let in_call = |value| {
        // SAFETY: r13 holds this thread's area; others read the word at any time.
        unsafe { (&raw mut (*op::area()).in_call).write_volatile(value) };
        op::sync();
    };
    // SAFETY: as above.
    let before = unsafe { (*op::area()).in_call };
    in_call(WAITING);
    let result = wait();
    in_call(before);
    result
}

/// Whether thread `pir` is in an OPAL call other than VCORE_RUN; false if there is no such thread.
#[must_use]
pub fn is_in_call(pir: u32) -> bool {
    let area = opal::area_of(pir as usize);
    // SAFETY: areas are filled in before they are registered and stay for good; the thread itself
    // may write the word at any time.
    !area.is_null() && unsafe { (&raw const (*area).in_call).read_volatile() } > WAITING
}

/// This thread's number in the machine.
#[must_use]
pub fn pir() -> u32 {
    spr::read::<{ spr::PIR }>() as u32
}

/// The running thread; `None` on the boot thread before it has an area of its own.
#[inline(always)]
#[must_use]
pub fn try_current() -> Option<&'static Thread> {
    // SAFETY: r13 holds this thread's area, whose `thread` is 0 or was set by `create` for good.
    unsafe { (op::area_thread() as *const Thread).as_ref() }
}

/// The running thread.
#[inline(always)]
#[must_use]
pub fn current() -> &'static Thread {
    // SAFETY: all threads but the booting one find their area complete, and that one asks by
    // `try_current` until it has its own.
    unsafe { try_current().unwrap_unchecked() }
}

/// Moves the boot thread from the early area to its own, once [`Thread::create`] has made it.
///
/// The stack stays the early one, which is the boot thread's until it enters the host.
pub fn adopt(thread: &Thread) {
    let area = opal::area_of(thread.pir as usize);
    // SAFETY: `create` has filled the area in, and it belongs to the thread that runs this.
    unsafe { op::set_area(area) };
}

/// Puts this thread's own hypervisor registers in the state in which it naps for the firmware.
pub fn settle() {
    // SAFETY: it doesn't matter to the firmware's own execution in HV real mode.
    unsafe { spr::write::<{ spr::LPCR }>(IDLE_LPCR) };
    op::isync();
    if let Some(thread) = try_current() {
        thread.icp.hear_firmware();
    }
}

/// The same for the registers that a core's threads share: once for the core, by a thread of it, when
/// none of its siblings is the host's.
pub fn settle_core() {
    // SAFETY: none of these matter to the firmware's own execution in HV real mode.
    unsafe {
        spr::write::<{ spr::AMOR }>(u64::MAX);
        spr::write::<{ spr::LPIDR }>(0);
        spr::write::<{ spr::PCR }>(0);
        spr::write::<{ spr::HDEC }>(0x7fff_ffff);
    }
    op::isync();
}

/// From now on this thread starts in `function` when it is called out of its nap.
pub fn wakes_in(function: extern "C-unwind" fn(srr1: u64) -> !) {
    // SAFETY: a field of this thread's own area.
    unsafe { (*op::area()).woken = function as *const () as u64 }
}

/// Naps until somebody calls this thread, which then starts where [`wakes_in`] has said.
#[inline(always)]
pub fn idle() -> ! {
    // SAFETY: LPCR lets externals alone wake it, and those come from the firmware while HRMOR is
    // `BASE`; nothing on this stack is used again.
    unsafe {
        // The run latch: nobody works here.
        spr::write::<{ spr::CTRL_WRITE }>(0);
        spr::write::<{ spr::LPCR }>(IDLE_LPCR);
        nap::nap_for_good()
    }
}

/// Sleeps for good: nothing wakes this thread any more.
pub fn stop() -> ! {
    loop {
        // SAFETY: LPCR lets nothing through, so that there is no wake-up to go anywhere.
        unsafe {
            spr::write::<{ spr::LPCR }>(0);
            nap::nap();
        }
    }
}

/// What a host finds when it gets a thread.
#[derive(Clone, Copy, Debug)]
pub struct HostStart {
    /// Real address where it starts.
    pub pc: u64,
    /// r3–r9.
    pub args: [u64; 7],
}

/// LPCR of a thread that is the host's, as OPAL hands it over: externals and the decrementer are
/// its own, both wake it from nap.
const HOST_LPCR: u64 = spr::lpcr::PECE_EXTERNAL | spr::lpcr::PECE_DECREMENTER;

/// The host wants its interrupts taken little-endian.
static HOST_HILE: AtomicBool = AtomicBool::new(false);

/// How the host wants its interrupts taken, on this thread's core now and on other cores when it
/// gets their threads.
pub fn set_host_hile(on: bool) {
    HOST_HILE.store(on, Ordering::Relaxed);
    // SAFETY: the calling thread is the host's; its siblings are too, or nap or wait awake until
    // the firmware, which turns HILE off first, calls them.
    unsafe { crate::cpu::world::set_hile(on) };
}

/// Gives this thread to the host. If it is the first of its core (`first`), the registers that the
/// core's threads share are made what a host expects; later they are the host's own.
pub fn give_to_host(start: &HostStart, first: bool) -> ! {
    current().icp.hear_all();
    // SAFETY: what the firmware needs of this thread from now on (area, OPAL stack) is found by
    // PIR; the host runs with HRMOR 0 and the registers that OPAL promises.
    unsafe {
        if first {
            forget_hdec();
            crate::cpu::world::set_hile(HOST_HILE.load(Ordering::Relaxed));
            spr::write::<{ spr::HMEER }>(crate::cpu::hmi::ENABLED);
            spr::write::<{ spr::DPDES }>(0);
            spr::write::<{ spr::HDEC }>(0x7fff_ffff);
        }
        spr::write::<{ spr::LPCR }>(HOST_LPCR);
        (*op::area()).in_call = 0;
        (*op::area()).in_nested_call = 0;
        // The host uses the registers of whatever guest was here last.
        (*op::area()).holds = 0;
        crate::cpu::guest::clear();
        spr::write::<{ spr::HSPRG0 }>(0);
        spr::write::<{ spr::HFSCR }>(u64::MAX);
        crate::cpu::hmi::forget_accesses();
        spr::write::<{ spr::DEC }>(0x7fff_ffff);
        op::unrelax();
        opal::enter_host(start.pc, &start.args)
    }
}

/// Drops an interrupt by HDEC that QEMU keeps, however HDEC reads, until somebody takes it or naps (POWER8
/// has one while HDEC is negative). The decrementer ends the nap at once.
///
/// # Safety
/// HRMOR is the firmware's and HILE off; DEC and LPCR are nobody's.
unsafe fn forget_hdec() {
    // SAFETY: the caller's promise.
    unsafe {
        spr::write::<{ spr::LPCR }>(spr::lpcr::PECE_DECREMENTER);
        spr::write::<{ spr::DEC }>(u64::MAX);
        op::isync();
        nap::nap();
    }
}

/// Takes this thread from the host: its interrupts are the firmware's from here on. With the last
/// thread of the host's on a core (`whole_core`) go the core's vectors; before that, the thread must
/// stay awake.
pub fn take_from_host(whole_core: bool) {
    settle();
    // SAFETY: r13 is this thread's area, and the vectors are nobody else's by the caller's word. The host
    // has used the registers of whatever guest was here last.
    unsafe {
        spr::write::<{ spr::HSPRG0 }>(op::area() as u64);
        (*op::area()).holds = 0;
        if whole_core {
            settle_core();
            crate::cpu::world::set_hile(false);
            spr::write::<{ spr::HRMOR }>(asm::BASE);
            op::isync();
        }
        op::slbia();
    }
}

/// Whether a host's call came in real mode, big-endian, with interrupts off and in no transaction, as it
/// has to. (Without SF or HV it would not have come this far.)
#[inline(always)]
#[must_use]
pub fn msr_is_firmwares() -> bool {
    op::msr() & (msr::IR | msr::DR | msr::LE | msr::EE | msr::TS) == 0
}

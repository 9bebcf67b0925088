//! A thread's way into a guest and back: everything but the general registers, which `asm` moves.
//!
//! All of the guest's state lies in its vcpu page; loading and storing go through one list of
//! registers, so that none can be saved and not restored.
use crate::cpu::registers::{kept_registers, lost_registers};
use crate::cpu::space::AddressSpace;
use asm::{ibm, op, spr};
use core::mem::offset_of;
use hcalls::VcpuPage;
use hcalls::page::{FLAG_FP, SLB_ENTRIES};

mod dec;
pub mod denormal;
mod facility;
mod left_on;
pub mod machine_check;
pub mod pmu;
mod slb;
#[cfg_attr(not(target_arch = "powerpc64"), path = "guest/no_vsr.rs")]
mod vsr;

pub use dec::{note_dec, set_dec};
pub use slb::SavedSlb;

/// Loads one or two registers from a page.
macro_rules! load {
    ($page:ident, $a:ident + $b:ident, $field:ident [$index:literal] $(; $place:literal)?) => {
        spr::load_two::<
            { spr::$a },
            { spr::$b },
            { offset_of!(VcpuPage, sprs.$field) + 8 * $index },
        >($page.cast());
    };
    ($page:ident, $spr:ident, $field:ident $([$index:literal])? $(; $place:literal)?) => {
        spr::write::<{ spr::$spr }>((*$page).sprs.$field $([$index])?.get());
    };
}

/// Saves them there.
macro_rules! save {
    ($page:ident, $a:ident + $b:ident, $field:ident [$index:literal] $(; $place:literal)?) => {
        spr::store_two::<
            { spr::$a },
            { spr::$b },
            { offset_of!(VcpuPage, sprs.$field) + 8 * $index },
        >($page.cast());
    };
    ($page:ident, $spr:ident, $field:ident $([$index:literal])? $(; $place:literal)?) => {
        (*$page).sprs.$field $([$index])?.set(spr::read::<{ spr::$spr }>());
    };
}

/// What a partition's threads need in their hypervisor registers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Partition {
    /// Thread 0 switches the core to it ([`crate::cpu::world::Host::leave`]).
    pub space: AddressSpace,
    /// Facilities that its guests may use, but for those that a vcpu has with flag FP.
    pub hfscr: u64,
    /// Its guests have a page table, and so a use for the SLB: it is kept for them. Others find it
    /// empty, or as they left it on this thread.
    pub segments: bool,
}

/// The facilities that flag FP is for.
const HFSCR_FP: u64 = spr::hfscr::FP | spr::hfscr::VECVSX;
/// DAWRX\[HYP\]: match in hypervisor state, which is not the guest's to ask for.
const DAWRX_HYP: u64 = ibm(61);
/// CIABR\[PRIV\]; 3 is hypervisor state.
const CIABR_PRIV: u64 = 3;

/// Whether this thread still holds the registers of the vcpu with that key: so that, if the host
/// has left its page alone since it was saved, [`load_all`] can be left out.
#[inline(always)]
#[must_use]
pub fn held(key: u64) -> bool {
    // SAFETY: a field of this thread's own area.
    unsafe { (*op::area()).holds == key }
}

/// Puts the guest's registers into this thread, but for the general ones and those that
/// [`load_always`] loads and those that [`load_after_host`] does, which is to follow. `key` tells this load from all others: that of the vcpu's last one, plus 1;
/// `was_hosts`: a host has run on this thread since its last guest; `fp_clean`: the thread's
/// floating-point, VMX and VSX registers hold nothing that a guest may not see.
///
/// # Safety
/// `page` is a vcpu page that this thread alone uses until [`save`]; this thread is in real mode
/// with HRMOR at the firmware, and loses its own values of those registers.
#[inline(always)]
pub unsafe fn load_all(
    page: *mut VcpuPage,
    segments: bool,
    key: u64,
    was_hosts: bool,
    fp_clean: bool,
) {
    let area = op::area();
    // SAFETY: the caller's promise; the registers are a guest's own and change nothing in HV real
    // mode: the partition's only count once HV is off.
    unsafe {
        let fp = (*page).host.flags.get() & FLAG_FP != 0;
        // Another vcpu's, or this one's from before it was on another thread.
        let was_others = !held(key.wrapping_sub(1));
        let more = if fp { More::FP } else { 0 } | if segments { More::SLB } else { 0 };
        (*area).more = more;
        if fp {
            facility::open();
            vsr::load(page);
        } else if !fp_clean || was_others {
            facility::open();
            vsr::clear();
        }
        (*area).holds = key;
        if was_others || was_hosts {
            forget_others();
        }
        lost_registers!(load, page);
        spr::write::<{ spr::DAWR }>((*page).sprs.dawr.get());
    }
}

/// Clears what a guest can write, though its page doesn't keep it, lest the next one reads it:
/// invalid SLB entries, the branch history, and what QEMU lets it write: the registers of transactional
/// memory, and some that are others' names on POWER8 but have a content of their own there. Where they
/// have none, writing 0 changes nothing.
#[inline(always)]
fn forget_others() {
    op::clear_branch_history();
    facility::clear_tm();
    // SAFETY: the firmware runs in real mode. No code depends on the registers; BESCRS and BESCRR
    // change the bits of BESCR that are 1 here.
    unsafe {
        slb::clear();
        spr::write::<{ spr::EAR }>(0);
        spr::write::<{ spr::USIER }>(0);
        spr::write::<{ spr::BESCRS }>(0);
        spr::write::<{ spr::BESCRR }>(0);
    }
}

/// Leaves a host nothing of the guests that this thread has had, nor what would act on it: registers are
/// 0, the performance monitor stands still, the run latch is on.
///
/// # Safety
/// The thread is in real mode with HRMOR at the firmware or past it, and holds no guest any more.
pub unsafe fn clear() {
    macro_rules! zero {
        ($at:tt, $a:ident + $b:ident, $field:ident [$index:literal] $(; $place:literal)?) => {
            spr::write::<{ spr::$a }>(0);
            spr::write::<{ spr::$b }>(0);
        };
        ($at:tt, $spr:ident, $field:ident $([$index:literal])? $(; $place:literal)?) => {
            spr::write::<{ spr::$spr }>(0);
        };
    }
    // SAFETY: the caller's promise; no code of the firmware's depends on these registers.
    unsafe {
        spr::write::<{ spr::MMCR0 }>(hcalls::page::MMCR0_FROZEN);
        spr::write::<{ spr::MMCR2 }>(0);
        spr::write::<{ spr::MMCRA }>(0);
        spr::write::<{ spr::DAWRX }>(0);
        spr::write::<{ spr::CIABR }>(0);
        spr::write::<{ spr::DAWR }>(0);
        kept_registers!(zero, ());
        lost_registers!(zero, ());
        facility::open();
        vsr::clear();
        forget_others();
        spr::write::<{ spr::SRR0 }>(0);
        spr::write::<{ spr::SRR1 }>(0);
        spr::write::<{ spr::HSPRG1 }>(0);
        spr::write::<{ spr::CTRL_WRITE }>(1);
    }
}

/// The part of [`load_all`] that is owed on a thread that holds the guest but on which a host has
/// run since: what a run keeps for the host, of which the registers of [`kept_registers`] only if
/// the host had them (`kept`).
///
/// # Safety
/// As [`load_all`].
#[inline(always)]
pub unsafe fn load_after_host(page: *mut VcpuPage, partition: &Partition, kept: bool) {
    // SAFETY: the caller's promise.
    unsafe {
        op::slbia();
        if partition.segments {
            slb::load(page);
        }
        let sprs = &(*page).sprs;
        if kept {
            kept_registers!(load, page);
        }
        spr::write::<{ spr::DAWRX }>(sprs.dawrx.get() & !DAWRX_HYP);
        let ciabr = sprs.ciabr.get();
        let hypervisor = ciabr & CIABR_PRIV == CIABR_PRIV;
        spr::write::<{ spr::CIABR }>(if hypervisor { 0 } else { ciabr });
        let fp = match (*op::area()).more & More::FP {
            0 => 0,
            _ => HFSCR_FP,
        };
        spr::write::<{ spr::HFSCR }>(partition.hfscr | fp);
    }
}

/// What the firmware itself changes and each entry loads anew: SRR0, SRR1, DEC, CTRL, PPR, MMCR0, MMCR2, MMCRA,
/// and the partition's LPCR. Returns the time base, as of now.
///
/// # Safety
/// As [`load_all`], which has put the page's guest into this thread.
#[inline(always)]
pub unsafe fn load_always(page: *mut VcpuPage, lpcr: u64) -> u64 {
    let now_tb = op::time_tb();
    // SAFETY: the caller's promise.
    unsafe {
        let sprs = &(*page).sprs;
        load!(page, SRR0 + SRR1, srr0[0]);
        pmu::start(sprs);
        spr::write::<{ spr::LPCR }>(lpcr);
        set_dec(page, now_tb);
        spr::write::<{ spr::CTRL_WRITE }>(sprs.ctrl.get());
        spr::write::<{ spr::PPR }>(sprs.ppr.get());
    }
    now_tb
}

/// Runs the guest; the thread goes on in [`crate::cpu::thread::Entries::left`].
///
/// # Safety
/// [`load_all`] and [`load_always`] have put the page's guest into this thread; nothing on this
/// stack is needed any more.
#[inline(always)]
pub unsafe fn enter(page: *mut VcpuPage) -> ! {
    // SAFETY: the caller's promise.
    unsafe { asm::guest::guest_enter(page.cast()) }
}

/// What only some guests have: [`save`] leaves it to [`save_more`].
#[derive(Clone, Copy, Debug)]
pub struct More(u64);

impl More {
    /// Floating point, VMX and VSX.
    const FP: u64 = 1 << 0;
    /// An SLB of its own.
    const SLB: u64 = 1 << 1;

    /// There is anything.
    #[inline(always)]
    #[must_use]
    pub fn any(self) -> bool {
        self.0 != 0
    }
}

/// Stores the guest's registers, but for those that only some guests have. The thread goes on
/// holding them.
///
/// # Safety
/// As [`load_all`], which came before.
#[inline(always)]
pub unsafe fn save(page: *mut VcpuPage) -> More {
    // SAFETY: `load_all`'s caller has promised the page until here.
    unsafe {
        save_sprs(page);
        More((*op::area()).more)
    }
}

/// Stores what only some guests have: SLB entries, floating point, VMX and VSX.
///
/// # Safety
/// As [`save`], which came before.
#[inline(always)]
pub unsafe fn save_more(page: *mut VcpuPage, more: More) {
    // SAFETY: the caller's promise.
    unsafe {
        if more.0 & More::SLB != 0 {
            slb::save(page);
        }
        if more.0 & More::FP != 0 {
            facility::open();
            vsr::save(page);
        }
    }
}

/// Does `work` between leaving the guest and entering it again, or saving it: waiting in the firmware
/// changes the thread's priority, which is the guest's own.
#[inline(always)]
pub fn keeping_priority<T>(work: impl FnOnce() -> T) -> T {
    let ppr = spr::read::<{ spr::PPR }>();
    let result = work();
    // SAFETY: as it was; no code depends on it.
    unsafe { spr::write::<{ spr::PPR }>(ppr) };
    result
}

/// Does `work`, a nap, with the run latch off.
#[inline(always)]
pub fn without_run_latch<T>(work: impl FnOnce() -> T) -> T {
    let ctrl = spr::read::<{ spr::CTRL_READ }>();
    // SAFETY: no code depends on the run latch; it is put back.
    unsafe { spr::write::<{ spr::CTRL_WRITE }>(0) };
    let result = work();
    // SAFETY: as above.
    unsafe { spr::write::<{ spr::CTRL_WRITE }>(ctrl & 1) };
    result
}

/// # Safety
/// As [`save`].
#[inline(always)]
unsafe fn save_sprs(page: *mut VcpuPage) {
    // SAFETY: the caller's promise.
    unsafe {
        note_dec(page);
        let sprs = &mut (*page).sprs;
        sprs.ppr.set(spr::read::<{ spr::PPR }>());
        op::unrelax();
        pmu::stop(sprs);
        save!(page, SRR0 + SRR1, srr0[0]);
        kept_registers!(save, page);
        lost_registers!(save, page);
        let sprs = &mut (*page).sprs;
        left_on::turn_off(sprs);
        // DAWR, DAWRX and CIABR are the hypervisor's to write: the page has them still.
        // The upper bits are the siblings'.
        sprs.ctrl.set(spr::read::<{ spr::CTRL_READ }>() & 1);
        sprs.vtb.set(spr::read::<{ spr::VTB }>());
    }
}

const _: () = {
    use asm::area::offset;
    assert!(offset_of!(VcpuPage, gpr) == offset::GPR);
    assert!(offset_of!(VcpuPage, pc) == offset::PC);
    assert!(offset_of!(VcpuPage, msr) == offset::MSR);
    assert!(offset_of!(VcpuPage, cr) == offset::CR);
    assert!(offset_of!(VcpuPage, lr) == offset::LR);
    assert!(offset_of!(VcpuPage, ctr) == offset::CTR);
    assert!(offset_of!(VcpuPage, xer) == offset::XER);
    assert!(SLB_ENTRIES == 32);
};

/// Registers that are moved two at a time lie beside each other in the page: `$a`, then `$b`.
macro_rules! beside {
    ($($a:ident $b:ident,)+) => {
        $(const _: () =
            assert!(offset_of!(VcpuPage, sprs.$b) == offset_of!(VcpuPage, sprs.$a) + 8);)+
    };
}
beside! {
    srr0 srr1,
    dar dsisr,
    dscr tar,
    amr uamor,
    tacr tcscr,
    csigr wort,
    ic ebbhr,
    ebbrr bescr,
    siar sdar,
    sier pmc,
}
const _: () = assert!(offset_of!(VcpuPage, sprs.spmc) == offset_of!(VcpuPage, sprs.pmc) + 6 * 8);

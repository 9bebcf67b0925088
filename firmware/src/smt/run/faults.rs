//! Page faults that are the guest's own: they become its interrupts on the thread that has them, and
//! nobody else in the vcore sees anything of them (partition flag REFLECT).
use super::interrupts;
use super::seat::Seat;
use crate::page_table::access::{Access, KEY_DENIES, Kind, NO_FETCH, NOT_FOUND, PROTECTION, STORE};
use crate::page_table::entry::{LOCKED, VALID};
use crate::page_table::table::Found;
use crate::page_table::{Sought, Table};
use crate::smt::objects::Rules;
use asm::{msr, op, spr};
use core::sync::atomic::Ordering::Relaxed;
use hcalls::VcpuPage;
use platform::cpu::guest::pmu;
use platform::cpu::thread;

/// Leave the guest and let the host see to it.
const LEAVE: u64 = 0;
/// Back into the guest.
const GO_ON: u64 = 1;

/// The hypervisor's vectors.
pub const DATA_STORAGE: u64 = 0xe00;
pub const INSTRUCTION_STORAGE: u64 = 0xe20;
/// The guest's own.
const OWN_DATA_STORAGE: u64 = 0x300;
const OWN_INSTRUCTION_STORAGE: u64 = 0x400;
/// Of HDSISR and HSRR1: all that tells of a fault.
const CAUSES: u64 = msr::SRR1_CAUSE | 0xffff_ffff & !STORE;
/// Of these: what a guest's own page table can be the cause of.
const DENIED: u64 = PROTECTION | KEY_DENIES | NO_FETCH;

/// A guest's page fault: where, and what the hardware says of it.
#[derive(Clone, Copy)]
struct Fault {
    is_fetch: bool,
    address: u64,
    cause: u64,
}

impl Fault {
    #[inline(always)]
    fn read(vector: u64, vcpu: &VcpuPage) -> Self {
        match vector {
            DATA_STORAGE => Self {
                is_fetch: false,
                address: spr::read::<{ spr::HDAR }>(),
                cause: spr::read::<{ spr::HDSISR }>(),
            },
            _ => Self {
                is_fetch: true,
                address: vcpu.pc.get(),
                cause: vcpu.msr.get() & msr::SRR1_CAUSE,
            },
        }
    }

    /// In real mode it is the host's: the guest's page table has no part in it.
    #[inline(always)]
    fn is_relocated(&self, vcpu: &VcpuPage) -> bool {
        let relocation = if self.is_fetch { msr::IR } else { msr::DR };
        vcpu.msr.get() & relocation != 0
    }

    /// The guest takes it as its own interrupt. `why`: DSISR or, of a fetch, SRR1's bits.
    #[inline(always)]
    fn give(self, rules: &Rules, vcpu: &mut VcpuPage, why: u64) -> u64 {
        let lpcr = rules.lpcr.load(Relaxed);
        // SAFETY: this thread's page, whose guest has just left it: DAR, DSISR, SRR0 and SRR1 are the guest's.
        unsafe {
            if self.is_fetch {
                interrupts::make(vcpu, lpcr, OWN_INSTRUCTION_STORAGE, why);
            } else {
                spr::write::<{ spr::DAR }>(self.address);
                spr::write::<{ spr::DSISR }>(why);
                interrupts::make(vcpu, lpcr, OWN_DATA_STORAGE, 0);
            }
        }
        GO_ON
    }
}

/// From assembly: a guest's page fault, by its vector. Answers whether the guest goes on.
///
/// Nearly always no entry is for that page: then this makes no call. All else is [`serve_any`]'s.
#[expect(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "only assembly, or what stands for it, calls it"
)]
pub extern "C-unwind" fn serve(vector: u64, page: *mut VcpuPage) -> u64 {
    let rules = &Seat::of(thread::current()).vcore.rules;
    // SAFETY: assembly passes the page of the guest that this thread has just left.
    let vcpu = unsafe { &mut *page };
    if !rules.reflects.load(Relaxed) {
        return LEAVE;
    }
    let fault = Fault::read(vector, vcpu);
    if fault.cause & NOT_FOUND == 0 || !fault.is_relocated(vcpu) || pmu::counts() {
        return serve_any(vector, page);
    }
    let sought = Sought::new(op::slbfee(fault.address), fault.address);
    // SAFETY: the partition's table, which was checked when it was made.
    let table = unsafe { Table::of_sdr1(rules.sdr1.load(Relaxed)) };
    match sought {
        Some(sought) if table.has_none(sought) => {
            fault.give(rules, vcpu, fault.cause & (NOT_FOUND | STORE))
        }
        _ => serve_any(vector, page),
    }
}

/// The guest's counters count for the guest, and not what the firmware does for it.
#[inline(never)]
fn serve_any(vector: u64, page: *mut VcpuPage) -> u64 {
    let rules = &Seat::of(thread::current()).vcore.rules;
    // SAFETY: as above.
    let vcpu = unsafe { &mut *page };
    let fault = Fault::read(vector, vcpu);
    match pmu::counts() {
        true => pmu::uncounted(|| answer(rules, vcpu, fault)),
        false => answer(rules, vcpu, fault),
    }
}

/// Whose fault it is.
fn answer(rules: &Rules, vcpu: &mut VcpuPage, fault: Fault) -> u64 {
    let is_known = fault.cause & CAUSES & !(NOT_FOUND | DENIED) == 0;
    if !is_known || !fault.is_relocated(vcpu) {
        return LEAVE;
    }
    let is_served = rules.memory.is_served();
    let segment = op::slbfee(fault.address);
    let Some(sought) = Sought::new(segment, fault.address) else {
        return LEAVE;
    };
    // SAFETY: the partition's table, which was checked when it was made.
    let table = unsafe { Table::of_sdr1(rules.sdr1.load(Relaxed)) };
    let is_missing = fault.cause & NOT_FOUND != 0;
    match table.find(sought) {
        None if is_missing => fault.give(rules, vcpu, fault.cause & (NOT_FOUND | STORE)),
        // Another thread has just put it in, or taken it away: the guest tries again.
        Some(found) if is_missing && found.first & VALID != 0 => GO_ON,
        None if is_served => GO_ON,
        // Whoever changes it is done soon, if it is a guest's thread here: the guest tries again.
        Some(found) if is_served && found.first & LOCKED != 0 => GO_ON,
        Some(found) if is_served => judge(rules, vcpu, fault, segment, found),
        _ => LEAVE,
    }
}

/// The guest has an entry: what it has written there may deny the access, or what the host has made of it.
fn judge(rules: &Rules, vcpu: &mut VcpuPage, fault: Fault, segment: u64, found: Found) -> u64 {
    let (kind, keys) = match (fault.is_fetch, fault.cause & STORE) {
        (true, _) => (Kind::Fetch, spr::read::<{ spr::IAMR }>()),
        (false, 0) => (Kind::Load, spr::read::<{ spr::AMR }>()),
        (false, _) => (Kind::Store, spr::read::<{ spr::AMR }>()),
    };
    let is_problem = vcpu.msr.get() & msr::PR != 0;
    let access = Access::new(kind, segment, is_problem, keys);
    op::lwsync();
    // SAFETY: the thread is in a run.
    let told = unsafe { rules.entries() }.shadow.get(found.index);
    op::lwsync();
    if found.entry.first() != found.first {
        return GO_ON;
    }
    match access.denied(told) {
        0 => LEAVE,
        why => fault.give(rules, vcpu, why),
    }
}

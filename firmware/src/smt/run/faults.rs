//! Page faults that are the guest's own: they become its interrupts on the thread that has them, and
//! nobody else in the vcore sees anything of them (partition flag REFLECT).
use super::interrupts;
use super::seat::Seat;
use crate::page_table::{Found, Sought, Table};
use asm::{ibm, msr, op, spr};
use core::sync::atomic::Ordering::Relaxed;
use hcalls::VcpuPage;
use platform::cpu::guest::pmu;
use platform::cpu::thread;

/// Leave the guest and let the host see to it.
const LEAVE: u64 = 0;
/// Back into the guest.
const GO_ON: u64 = 1;

/// HDSISR, DSISR, HSRR1 and SRR1: no entry translates the address (Power ISA 2.07 Book III-S 6.5.3, 6.5.5).
const NOT_FOUND: u64 = ibm(33);
/// HDSISR and DSISR: a store.
const STORE: u64 = ibm(38);
/// The hypervisor's vectors.
pub const DATA_STORAGE: u64 = 0xe00;
pub const INSTRUCTION_STORAGE: u64 = 0xe20;
/// The guest's own.
const OWN_DATA_STORAGE: u64 = 0x300;
const OWN_INSTRUCTION_STORAGE: u64 = 0x400;

/// From assembly: a guest's page fault, by its vector. Answers whether the guest goes on.
#[expect(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "only assembly, or what stands for it, calls it"
)]
pub extern "C-unwind" fn serve(vector: u64, page: *mut VcpuPage) -> u64 {
    let seat = Seat::of(thread::current());
    if !seat.vcore.rules.reflects.load(Relaxed) {
        return LEAVE;
    }
    // SAFETY: assembly passes the page of the guest that this thread has just left.
    let vcpu = unsafe { &mut *page };
    if pmu::counts() {
        return serve_uncounted(seat, vcpu, vector);
    }
    answer(seat, vcpu, vector)
}

/// The guest's counters count for the guest, and not what the firmware does for it.
#[inline(never)]
fn serve_uncounted(seat: Seat, vcpu: &mut VcpuPage, vector: u64) -> u64 {
    pmu::uncounted(|| answer(seat, vcpu, vector))
}

/// Whose fault it is. In real mode it is the host's: the guest's page table has no part in it.
#[inline(always)]
fn answer(seat: Seat, vcpu: &mut VcpuPage, vector: u64) -> u64 {
    let old_msr = vcpu.msr.get();
    let is_data = vector == DATA_STORAGE;
    let (address, cause, relocation) = match is_data {
        true => (
            spr::read::<{ spr::HDAR }>(),
            spr::read::<{ spr::HDSISR }>(),
            msr::DR,
        ),
        false => (vcpu.pc.get(), old_msr, msr::IR),
    };
    if cause & NOT_FOUND == 0 || old_msr & relocation == 0 {
        return LEAVE;
    }
    // SAFETY: the partition's SDR1, which was checked when it was made.
    let table = unsafe { Table::of_sdr1(seat.vcore.rules.sdr1.load(Relaxed)) };
    let Some(sought) = Sought::new(op::slbfee(address), address) else {
        return LEAVE;
    };
    match table.find(sought) {
        Found::Absent => return LEAVE,
        // Whoever changes it is done soon, if it is a guest's thread here: the guest tries again.
        Found::Locked if seat.vcore.rules.memory.is_served() => return GO_ON,
        Found::Locked => return LEAVE,
        // Another thread has just put it in: the guest tries again.
        Found::Valid => return GO_ON,
        Found::None => {}
    }
    let lpcr = seat.vcore.rules.lpcr.load(Relaxed);
    // SAFETY: this thread's page, whose guest has just left it: DAR, DSISR, SRR0 and SRR1 are the guest's.
    unsafe {
        if is_data {
            spr::write::<{ spr::DAR }>(address);
            spr::write::<{ spr::DSISR }>(cause & (NOT_FOUND | STORE));
            interrupts::make(vcpu, lpcr, OWN_DATA_STORAGE, 0);
        } else {
            interrupts::make(vcpu, lpcr, OWN_INSTRUCTION_STORAGE, NOT_FOUND);
        }
    }
    GO_ON
}

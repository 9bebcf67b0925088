//! Hypercalls on the guest's page table, served on the thread that makes them: nobody else in the vcore sees
//! anything of them (PARTITION_MEMORY).
use super::seat::Seat;
use crate::page_table::Guest;
use crate::page_table::service::Registers;
use asm::msr;
use hcalls::{VcpuPage, papr};
use platform::cpu::guest::pmu;
use platform::cpu::thread;

/// Leave the guest and let the host see to it.
const LEAVE: u64 = 0;
/// Back into the guest.
const GO_ON: u64 = 1;

/// From assembly: a guest's `sc 1` with a number up to 0x18 in GPR3, or 0x124. Answers [`GO_ON`] or
/// [`LEAVE`].
#[expect(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "only assembly, or what stands for it, calls it"
)]
pub extern "C-unwind" fn serve(page: *mut VcpuPage) -> u64 {
    let seat = Seat::of(thread::current());
    // SAFETY: assembly passes the page of the guest that this thread has just left.
    let vcpu = unsafe { &mut *page };
    if !seat.vcore.rules.memory.is_served() || vcpu.msr.get() & msr::PR != 0 {
        return LEAVE;
    }
    if pmu::counts() {
        return serve_uncounted(seat, vcpu);
    }
    answer(seat, vcpu)
}

/// The guest's counters count for the guest, and not what the firmware does for it.
#[inline(never)]
fn serve_uncounted(seat: Seat, vcpu: &mut VcpuPage) -> u64 {
    pmu::uncounted(|| answer(seat, vcpu))
}

/// Hands on, so that no call pays for what another one needs.
#[inline(always)]
fn answer(seat: Seat, vcpu: &mut VcpuPage) -> u64 {
    match vcpu.gpr[3].get() {
        papr::H_ENTER => enter(seat, vcpu),
        papr::H_REMOVE => remove(seat, vcpu),
        papr::H_READ => read(seat, vcpu),
        papr::H_PROTECT => protect(seat, vcpu),
        papr::H_BULK_REMOVE => carry_out(seat, vcpu, Guest::bulk_remove),
        papr::H_CLEAR_REF => carry_out(seat, vcpu, Guest::clear_referenced),
        papr::H_CLEAR_MOD => carry_out(seat, vcpu, Guest::clear_changed),
        _ => LEAVE,
    }
}

#[inline(never)]
fn enter(seat: Seat, vcpu: &mut VcpuPage) -> u64 {
    serve_by(seat, vcpu, Guest::enter)
}

#[inline(never)]
fn remove(seat: Seat, vcpu: &mut VcpuPage) -> u64 {
    serve_by(seat, vcpu, Guest::remove)
}

#[inline(never)]
fn read(seat: Seat, vcpu: &mut VcpuPage) -> u64 {
    serve_by(seat, vcpu, Guest::read)
}

#[inline(never)]
fn protect(seat: Seat, vcpu: &mut VcpuPage) -> u64 {
    serve_by(seat, vcpu, Guest::protect)
}

/// The rarer ones.
#[inline(never)]
fn carry_out(
    seat: Seat,
    vcpu: &mut VcpuPage,
    call: fn(&Guest, &mut Registers) -> Option<u64>,
) -> u64 {
    serve_by(seat, vcpu, call)
}

#[inline(always)]
fn serve_by(
    seat: Seat,
    vcpu: &mut VcpuPage,
    call: impl FnOnce(&Guest, &mut Registers) -> Option<u64>,
) -> u64 {
    // SAFETY: the partition has a page table, which was checked with the rest, and is in a run.
    let guest = unsafe { seat.vcore.rules.guest() };
    let Some(registers) = vcpu.gpr[4..].first_chunk_mut() else {
        return LEAVE;
    };
    let Some(status) = call(&guest, registers) else {
        return LEAVE;
    };
    vcpu.gpr[3].set(status);
    let served = &mut vcpu.firmware.served;
    served.set(served.get().wrapping_add(1));
    GO_ON
}

//! Hypercalls on the guest's page table, served on the thread that makes them: nobody else in the vcore sees
//! anything of them (PARTITION_MEMORY).
use super::seat::Seat;
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

#[inline(always)]
fn answer(seat: Seat, vcpu: &mut VcpuPage) -> u64 {
    // SAFETY: the partition has a page table, which was checked with the rest, and is in a run.
    let guest = unsafe { seat.vcore.rules.guest() };
    let number = vcpu.gpr[3].get();
    let Some(registers) = vcpu.gpr[4..].first_chunk_mut() else {
        return LEAVE;
    };
    let status = match number {
        papr::H_ENTER => guest.enter(registers),
        papr::H_REMOVE => guest.remove(registers),
        papr::H_READ => guest.read(registers),
        papr::H_PROTECT => guest.protect(registers),
        papr::H_BULK_REMOVE => guest.bulk_remove(registers),
        papr::H_CLEAR_REF => guest.clear_referenced(registers),
        papr::H_CLEAR_MOD => guest.clear_changed(registers),
        _ => None,
    };
    let Some(status) = status else {
        return LEAVE;
    };
    vcpu.gpr[3].set(status);
    let served = &mut vcpu.firmware.served;
    served.set(served.get().wrapping_add(1));
    GO_ON
}

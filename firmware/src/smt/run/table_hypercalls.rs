//! Hypercalls on the guest's page table, served on the thread that makes them: nobody else in the vcore sees
//! anything of them (PARTITION_MEMORY).
use super::seat::Seat;
use crate::page_table::Guest;
use crate::page_table::service::Registers;
use crate::smt::objects::Rules;
use asm::{area, msr};
use hcalls::{VcpuPage, papr};
use platform::cpu::guest::pmu;
use platform::cpu::thread::{self, Hypercall};

/// Leave the guest and let the host see to it.
const LEAVE: u64 = 0;
/// Back into the guest.
const GO_ON: u64 = 1;

/// From assembly: a guest's `sc 1` with that number in GPR3, and H_BULK_REMOVE. Each answers [`GO_ON`] or
/// [`LEAVE`].
pub static SERVED: [Hypercall; area::TABLE_HYPERCALLS] = {
    let mut all = [leave as Hypercall; area::TABLE_HYPERCALLS];
    all[papr::H_ENTER as usize] = enter;
    all[papr::H_REMOVE as usize] = remove;
    all[papr::H_READ as usize] = read;
    all[papr::H_PROTECT as usize] = protect;
    all[papr::H_CLEAR_REF as usize] = clear_referenced;
    all[papr::H_CLEAR_MOD as usize] = clear_changed;
    all[area::TABLE_HYPERCALLS - 1] = bulk_remove;
    all
};

extern "C-unwind" fn leave(_: *mut VcpuPage) -> u64 {
    LEAVE
}

extern "C-unwind" fn enter(page: *mut VcpuPage) -> u64 {
    // SAFETY: the thread is in a run.
    let plainly = |rules: &Rules, it: &mut _| unsafe { rules.guest() }.enter_plain(it);
    match serve_plainly(page, plainly) {
        LEAVE => serve(page, Guest::enter),
        done => done,
    }
}

extern "C-unwind" fn remove(page: *mut VcpuPage) -> u64 {
    // SAFETY: the thread is in a run.
    let plainly = |rules: &Rules, it: &mut _| unsafe { rules.guest() }.remove_plain(it);
    match serve_plainly(page, plainly) {
        LEAVE => serve(page, Guest::remove),
        done => done,
    }
}

extern "C-unwind" fn read(page: *mut VcpuPage) -> u64 {
    // SAFETY: the thread is in a run.
    let plainly = |rules: &Rules, it: &mut _| unsafe { rules.entries() }.read_plain(it);
    match serve_plainly(page, plainly) {
        LEAVE => serve(page, Guest::read),
        done => done,
    }
}

extern "C-unwind" fn protect(page: *mut VcpuPage) -> u64 {
    serve(page, Guest::protect)
}

extern "C-unwind" fn clear_referenced(page: *mut VcpuPage) -> u64 {
    serve(page, Guest::clear_referenced)
}

extern "C-unwind" fn clear_changed(page: *mut VcpuPage) -> u64 {
    serve(page, Guest::clear_changed)
}

extern "C-unwind" fn bulk_remove(page: *mut VcpuPage) -> u64 {
    serve(page, Guest::bulk_remove)
}

type Call = fn(&Guest, &mut Registers) -> Option<u64>;

/// What nearly all calls are; [`LEAVE`] is for all others, of which nothing has been done. A guest whose table
/// isn't served has one without entries here, so that nothing asks.
#[inline(always)]
fn serve_plainly(
    page: *mut VcpuPage,
    call: impl FnOnce(&Rules, &mut Registers) -> Option<u64>,
) -> u64 {
    // SAFETY: assembly passes the page of the guest that this thread has just left.
    let vcpu = unsafe { &mut *page };
    if vcpu.msr.get() & msr::PR != 0 || pmu::counts() {
        return LEAVE;
    }
    let rules = &Seat::of(thread::current()).vcore.rules;
    carry_out(vcpu, |registers| call(rules, registers))
}

/// Any call. The guest's counters count for the guest, and not what the firmware does for it.
#[inline(never)]
fn serve(page: *mut VcpuPage, call: Call) -> u64 {
    let rules = &Seat::of(thread::current()).vcore.rules;
    // SAFETY: as above.
    let vcpu = unsafe { &mut *page };
    if !rules.memory.is_served() || vcpu.msr.get() & msr::PR != 0 {
        return LEAVE;
    }
    // SAFETY: the thread is in a run.
    let guest = unsafe { rules.guest() };
    if pmu::counts() {
        return pmu::uncounted(|| carry_out(vcpu, |registers| call(&guest, registers)));
    }
    carry_out(vcpu, |registers| call(&guest, registers))
}

#[inline(always)]
fn carry_out(vcpu: &mut VcpuPage, call: impl FnOnce(&mut Registers) -> Option<u64>) -> u64 {
    let Some(registers) = vcpu.gpr[4..].first_chunk_mut() else {
        return LEAVE;
    };
    let Some(status) = call(registers) else {
        return LEAVE;
    };
    vcpu.gpr[3].set(status);
    let served = &mut vcpu.firmware.served;
    served.set(served.get().wrapping_add(1));
    GO_ON
}

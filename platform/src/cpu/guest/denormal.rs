//! Denormal operands, which some instructions of POWER8 leave to the hypervisor.
//!
//! The processor raises its soft-patch interrupt, 0x1500, with HSRR1 bit 43 set and HSRR0 behind the instruction
//! (POWER8 User's Manual, "Soft Patch Interrupt"). A copy of a register to itself writes the number in the form
//! that every instruction takes.
use super::{More, facility, vsr};
use asm::{ibm, op};
use hcalls::VcpuPage;

const DENORMAL: u64 = ibm(43);
/// Bytes of an instruction.
const INSTRUCTION_LEN: u64 = 4;

/// Has the guest execute the instruction again, which finds no denormal operand then. False if the interrupt
/// had another cause.
///
/// # Safety
/// This thread has just left that guest by the soft-patch interrupt, and still holds its registers.
pub unsafe fn assist(page: *mut VcpuPage) -> bool {
    // SAFETY: the caller's promise. A copy of each register to itself changes no value.
    unsafe {
        let has_registers = (*op::area()).more & More::FP != 0;
        if (*page).msr.get() & DENORMAL == 0 || !has_registers {
            return false;
        }
        facility::open();
        vsr::normalize();
        let behind = (*page).pc.get();
        (*page).pc.set(behind.wrapping_sub(INSTRUCTION_LEN));
    }
    true
}

//! After a machine check in a guest: the caches of translations are made good, before anybody uses them.
use super::slb;
use crate::cpu::space;
use asm::op;
use hcalls::VcpuPage;
use hcalls::machine_check::Place;

/// Clears what a guest's machine check says is broken: its SLB, or translations of this thread or core. A
/// guest whose SLB is not to blame, and that is to find it again (`segments`), keeps it.
///
/// # Safety
/// This thread has just left that guest, and has not yet stored its SLB.
pub unsafe fn clear_up(page: *mut VcpuPage, place: Place, segments: bool) {
    // SAFETY: the caller's promise; the firmware runs in real mode and needs no SLB. `slbia` forgets what this
    // thread has translated, too (Power ISA 2.07 Book III-S 5.9.3.1).
    unsafe {
        match place {
            Place::Memory | Place::TableWalk | Place::Unknown => {}
            // Every entry is written: one of a wrong parity must not be read.
            Place::Slb => {
                slb::clear();
                op::slbia();
            }
            Place::Erat | Place::Tlb => {
                if segments {
                    slb::save(page);
                }
                op::slbia();
                if place == Place::Tlb {
                    space::forget_all_translations();
                }
                if segments {
                    slb::load(page);
                }
            }
        }
    }
}

//! What one core sees of a guest that another one runs: its vcpus' pages, of which the firmware writes its
//! line meanwhile.
use hcalls::page::{OWNED, VcpuPage};
use images::host_runtime::cpu;
use images::host_runtime::guest::Guest;

use crate::check::Outcome;
use crate::lab::PATIENCE_TB;

/// Runs of a guest that begin after [`Watch::of`].
#[derive(Clone, Copy)]
pub struct Watch {
    /// Real addresses of the pages, by slot; 0 for none.
    pages: [u64; 8],
    since_tb: u64,
}

impl Watch {
    pub const NOBODY: Self = Self {
        pages: [0; 8],
        since_tb: 0,
    };

    /// The vcpus that `guest` has now.
    pub fn of(guest: &Guest) -> Self {
        let mut watch = Self {
            since_tb: cpu::time_base(),
            ..Self::NOBODY
        };
        for vcpu in 0..guest.vcpus() {
            let slot = guest.slot_mask(vcpu).trailing_zeros() as usize;
            watch.pages[slot] = guest.page_address(vcpu);
        }
        watch
    }

    /// A thread has come for the vcpu, and its core is the guests'.
    pub fn has_thread(&self, slot: usize) -> bool {
        let page = self.page(slot);
        // SAFETY: a vcpu page, which is RAM; the firmware may be writing this field.
        let owner = page.map(|page| unsafe { (&raw const (*page).firmware.owner).read_volatile() });
        owner.is_some_and(|owner| owner.get() & OWNED != 0)
    }

    /// It has also entered the guest: the run counts this entry.
    pub fn is_in_guest(&self, slot: usize) -> bool {
        let page = self.page(slot);
        let entered =
            // SAFETY: as above.
            page.map(|page| unsafe { (&raw const (*page).firmware.entered_tb).read_volatile() });
        self.has_thread(slot) && entered.is_some_and(|tb| tb.get() >= self.since_tb)
    }

    /// Waits until the vcore runs, whoever of its vcpus has come first.
    pub fn wait_for_any(&self) -> Outcome {
        wait("the vcore never ran", || {
            (0..8).any(|slot| self.is_in_guest(slot))
        })
    }

    /// Waits until every vcpu of `slots` is in the guest.
    pub fn wait_for_all(&self, slots: u64) -> Outcome {
        wait("a vcpu never ran", || {
            (0..8).all(|slot| slots & 1 << slot == 0 || self.is_in_guest(slot))
        })
    }

    /// That vcpu's page.
    pub fn page(&self, slot: usize) -> Option<*mut VcpuPage> {
        let address = self.pages[slot] as usize;
        (address != 0).then(|| core::ptr::with_exposed_provenance_mut(address))
    }
}

/// Waits for what another thread does.
pub fn wait(complaint: &str, is_so: impl Fn() -> bool) -> Outcome {
    let limit_tb = cpu::time_base() + PATIENCE_TB;
    while !is_so() {
        ensure!(cpu::time_base() < limit_tb, "{complaint}");
        cpu::relax();
    }
    Ok(())
}

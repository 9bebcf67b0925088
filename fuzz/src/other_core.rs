//! What another core calls while a run goes on.
use core::cell::Cell;

use firmware::smt::calls;
use hcalls::Status;
use hcalls::run::KICK_GUEST;

/// The calls, in turn.
pub struct Other {
    pub calls: Vec<[u8; 3]>,
    /// Slots whose vcpus it has named.
    pub named: Cell<u8>,
}

impl Other {
    pub fn carry_out(&self, vcore: u64) {
        for &[which, mask, waits] in &self.calls {
            (0..waits).for_each(|_| asm::sim::schedule::point());
            let mut args = [vcore, mask.into(), 0, 0, 0, 0, 0, 0];
            let named = match which % 5 {
                4 => 1 << (mask % 8),
                _ if mask == 0 => 0xff,
                _ => mask,
            };
            self.named.set(self.named.get() | named);
            let (status, allowed) = match which % 5 {
                0 => (crate::carry_out(calls::vcore_kick, &mut args), None),
                1 => {
                    args[2] = KICK_GUEST;
                    (crate::carry_out(calls::vcore_kick, &mut args), None)
                }
                2 | 3 => {
                    args[2] = u64::from(which / 5 % 3);
                    (
                        crate::carry_out(calls::vcpu_set_state, &mut args),
                        Some(Status::Busy),
                    )
                }
                _ => {
                    args[1] = u64::from(mask % 8);
                    (
                        crate::carry_out(calls::vcpu_destroy, &mut args),
                        Some(Status::Busy),
                    )
                }
            };
            let allowed = [Some(Status::Success), Some(Status::Parameter), allowed];
            assert!(
                allowed.contains(&Some(status)),
                "{which} {mask:#x}: {status:?}"
            );
        }
    }
}

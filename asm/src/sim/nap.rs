//! Stands for nap.
use super::{Next, WOKEN_BY_DECREMENTER, WOKEN_BY_EXTERNAL, go, hart};
use crate::spr_numbers as spr;

/// Until an IPI comes or the decrementer expires; time goes on meanwhile.
///
/// # Safety
/// As on the machine.
pub unsafe fn nap() -> u64 {
    let hart = hart();
    loop {
        assert_eq!(
            super::read(spr::HRMOR),
            crate::BASE,
            "a nap in the host's vectors"
        );
        if hart.is_called() {
            return WOKEN_BY_EXTERNAL;
        }
        if hart.core.doorbell_0.load(super::SeqCst) && super::read(spr::PIR).trailing_zeros() >= 3 {
            return WOKEN_BY_EXTERNAL;
        }
        if hart.since(spr::DEC) >= 0 {
            return WOKEN_BY_DECREMENTER;
        }
        super::relax();
    }
}

/// The thread goes on in its area's `woken`, when it is called.
///
/// # Safety
/// As on the machine.
pub unsafe fn nap_for_good() -> ! {
    go(Next::Nap)
}

/// Has an address, and is not called.
pub fn renap() {}

//! Hypervisor maintenance: what HMER says (POWER8 User's Manual, "HMER").
use asm::{ibm, ibm_field, spr};

/// One condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    pub bit: u64,
    /// The number that OPAL's messages give it.
    pub kind: u8,
    /// The machine has put it right, or nothing was wrong. Otherwise the host should go down.
    pub recovered: bool,
}

const fn recovered(bit: u32, kind: u8) -> Condition {
    Condition {
        bit: ibm(bit),
        kind,
        recovered: true,
    }
}

const fn lost(bit: u32, kind: u8) -> Condition {
    Condition {
        bit: ibm(bit),
        kind,
        recovered: false,
    }
}

/// HMER: the thread's access to a chip's register has failed, has ended, and how. No interrupt: whoever makes
/// an access looks ([`crate::chip::xscom`]).
pub const XSCOM_FAILED: u64 = ibm(8);
pub const XSCOM_DONE: u64 = ibm(9);
pub const XSCOM_STATUS: u64 = ibm_field(21, 23);
pub const XSCOM: u64 = XSCOM_FAILED | XSCOM_DONE | XSCOM_STATUS;

/// Clears what HMER says of this thread's last access.
#[inline(always)]
pub fn forget_accesses() {
    if spr::read::<{ spr::HMER }>() & XSCOM != 0 {
        // SAFETY: a write leaves bits alone that are 1 in it, so conditions stay as they are.
        unsafe { spr::write::<{ spr::HMER }>(!XSCOM) };
    }
}

/// Every condition that interrupts.
const CONDITIONS: [Condition; 9] = [
    // Another core has stopped for good.
    lost(0, 0),
    // The core has recovered; once more; from an error that was masked.
    recovered(2, 1),
    recovered(11, 2),
    recovered(3, 3),
    // The time base, or the register that guards it, is broken: starting it again takes the chip's
    // clocks, which the firmware doesn't control.
    lost(4, 4),
    lost(5, 5),
    // Somebody has set a fault register for this very interrupt.
    recovered(16, 9),
    recovered(17, 10),
    // A register of the hypervisor's has lost its contents.
    lost(20, 11),
];

/// HMEER: what interrupts.
pub const ENABLED: u64 = {
    let (mut bits, mut at) = (0, 0);
    while at < CONDITIONS.len() {
        bits |= CONDITIONS[at].bit;
        at += 1;
    }
    bits
};

/// The conditions that are set.
pub fn conditions(hmer: u64) -> impl Iterator<Item = Condition> {
    CONDITIONS
        .into_iter()
        .filter(move |condition| hmer & condition.bit != 0)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn conditions_are_told_apart() {
        assert_eq!(conditions(0).count(), 0);
        assert_eq!(conditions(u64::MAX).count(), CONDITIONS.len());
        assert_eq!(conditions(ibm(8) | ibm(9)).count(), 0);
        let two: Vec<_> = conditions(ibm(2) | ibm(4)).collect();
        assert!(two[0].recovered && !two[1].recovered);
        assert_eq!(ENABLED, 0xbc10_c800_0000_0000);
        assert_eq!((XSCOM, ENABLED & XSCOM), (0x00c0_0700_0000_0000, 0));
    }

    #[test]
    fn no_two_are_the_same() {
        for (at, one) in CONDITIONS.iter().enumerate() {
            let others = &CONDITIONS[at + 1..];
            assert!(
                others
                    .iter()
                    .all(|other| other.bit != one.bit && other.kind != one.kind)
            );
        }
    }
}

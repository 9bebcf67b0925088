//! The registers of a guest that are just loaded and stored: one list for all that touch them, so that
//! none can be saved and not restored.

/// How many [`kept_registers`] there are.
pub const KEPT: usize = 13;

/// Registers that are just loaded and stored, and that a host gets back after a run
/// ([`crate::cpu::world`]), from
/// the place in its record that stands behind.
macro_rules! kept_registers {
    ($with:ident, $at:expr) => {
        $with!(SPRG0, $at.sprg[0], 0);
        $with!(SPRG1, $at.sprg[1], 1);
        $with!(SPRG2, $at.sprg[2], 2);
        $with!(SPRG3, $at.sprg[3], 3);
        $with!(FSCR, $at.fscr, 4);
        $with!(DSCR, $at.dscr, 5);
        $with!(TAR, $at.tar, 6);
        $with!(PSPB, $at.pspb, 7);
        $with!(UAMOR, $at.uamor, 8);
        $with!(AMR, $at.amr, 9);
        $with!(IAMR, $at.iamr, 10);
        $with!(PID, $at.pid, 11);
        $with!(VRSAVE, $at.vrsave, 12);
    };
}

/// Registers that are just loaded and stored, and that a host has lost after a run.
macro_rules! lost_registers {
    ($with:ident, $at:expr) => {
        $with!(DAR, $at.dar);
        $with!(DSISR, $at.dsisr);
        $with!(ACOP, $at.acop);
        $with!(TACR, $at.tacr);
        $with!(TCSCR, $at.tcscr);
        $with!(CSIGR, $at.csigr);
        $with!(WORT, $at.wort);
        $with!(IC, $at.ic);
        $with!(EBBHR, $at.ebbhr);
        $with!(EBBRR, $at.ebbrr);
        $with!(BESCR, $at.bescr);
        $with!(MMCR1, $at.mmcr1);
        $with!(MMCRS, $at.mmcrs);
        $with!(SIAR, $at.siar);
        $with!(SDAR, $at.sdar);
        $with!(SIER, $at.sier);
        $with!(PMC1, $at.pmc[0]);
        $with!(PMC2, $at.pmc[1]);
        $with!(PMC3, $at.pmc[2]);
        $with!(PMC4, $at.pmc[3]);
        $with!(PMC5, $at.pmc[4]);
        $with!(PMC6, $at.pmc[5]);
        $with!(SPMC1, $at.spmc[0]);
        $with!(SPMC2, $at.spmc[1]);
    };
}

pub(super) use {kept_registers, lost_registers};

#[cfg(test)]
mod tests {
    use super::KEPT;

    #[test]
    fn each_kept_register_has_a_place_of_its_own() {
        let mut users = [0; KEPT];
        macro_rules! count {
            ($spr:ident, $field:expr, $place:literal) => {
                users[$place] += 1;
            };
        }
        kept_registers!(count, ());
        assert_eq!(users, [1; KEPT]);
    }
}

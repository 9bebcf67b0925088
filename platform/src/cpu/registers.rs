//! The registers of a guest that are just loaded and stored: one list for all that touch them, so that
//! none can be saved and not restored.

/// How many [`kept_registers`] there are.
pub const KEPT: usize = 13;

/// Registers that are just loaded and stored, and that a host gets back after a run
/// ([`crate::cpu::world`]), from the place in its record that stands behind. Two that lie beside each other in
/// the page, at a multiple of 16 bytes, go together, and have two places.
macro_rules! kept_registers {
    ($with:ident, $at:tt) => {
        $with!($at, SPRG0 + SPRG1, sprg[0]; 0);
        $with!($at, SPRG2 + SPRG3, sprg[2]; 2);
        $with!($at, DSCR + TAR, dscr[0]; 4);
        $with!($at, AMR + UAMOR, amr[0]; 6);
        $with!($at, FSCR, fscr; 8);
        $with!($at, PSPB, pspb; 9);
        $with!($at, IAMR, iamr; 10);
        $with!($at, PID, pid; 11);
        $with!($at, VRSAVE, vrsave; 12);
    };
}

/// Registers that are just loaded and stored, and that a host has lost after a run; two together as above.
macro_rules! lost_registers {
    ($with:ident, $at:tt) => {
        $with!($at, DAR + DSISR, dar[0]);
        $with!($at, ACOP, acop);
        $with!($at, TACR + TCSCR, tacr[0]);
        $with!($at, CSIGR + WORT, csigr[0]);
        $with!($at, IC + EBBHR, ic[0]);
        $with!($at, EBBRR + BESCR, ebbrr[0]);
        $with!($at, MMCR1, mmcr1);
        $with!($at, MMCRS, mmcrs);
        $with!($at, SIAR + SDAR, siar[0]);
        $with!($at, SIER + PMC1, sier[0]);
        $with!($at, PMC2 + PMC3, pmc[1]);
        $with!($at, PMC4 + PMC5, pmc[3]);
        $with!($at, PMC6 + SPMC1, pmc[5]);
        $with!($at, SPMC2, spmc[1]);
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
            ($at:tt, $a:ident + $b:ident, $field:ident [$index:literal]; $place:literal) => {
                users[$place] += 1;
                users[$place + 1] += 1;
            };
            ($at:tt, $spr:ident, $field:ident; $place:literal) => {
                users[$place] += 1;
            };
        }
        kept_registers!(count, ());
        assert_eq!(users, [1; KEPT]);
    }
}

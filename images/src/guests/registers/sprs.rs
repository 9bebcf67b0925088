//! The special-purpose registers that a guest may write (Power ISA 2.07 Book III-S 4.4.4).
use images::behaviour::registers::KIND_SPR;
use images::guest_runtime::spr;

use crate::round::Leave;
use crate::{Values, changed};

/// A register, and which of its bits may take any value.
struct Spr {
    number: u64,
    bits: u64,
    /// Bits that are 1 whatever the seed.
    ones: u64,
    read: fn() -> u64,
    write: fn(u64),
}

const fn spr<const N: u32>(bits: u64) -> Spr {
    spr_with::<N>(bits, 0)
}

const fn spr_with<const N: u32>(bits: u64, ones: u64) -> Spr {
    Spr {
        number: N as u64,
        bits,
        ones,
        read: spr::read::<N>,
        write: write::<N>,
    }
}

fn write<const N: u32>(value: u64) {
    // SAFETY: no code here relies on any register of the tables.
    unsafe { spr::write::<N>(value) }
}

const WORD: u64 = 0xffff_ffff;
/// MMCR0\[FC\]: no performance counter counts.
const FROZEN: u64 = 0x8000_0000;

/// SRR0 and SRR1, which a hypercall sets.
const SAVED: [Spr; 2] = [spr::<26>(!3), spr::<27>(!0)];

const SPRS: [Spr; 41] = [
    spr::<272>(!0), // SPRG0
    spr::<273>(!0),
    spr::<274>(!0),
    spr::<275>(!0),
    spr::<19>(!0),              // DAR
    spr::<18>(WORD),            // DSISR
    spr::<17>(0x1ff_ffff),      // DSCR
    spr::<153>(!0),             // FSCR
    spr::<815>(!0),             // TAR
    spr::<159>(WORD),           // PSPB
    spr::<157>(!0),             // UAMOR, before what it lets be written
    spr::<61>(!0),              // IAMR
    spr::<29>(!0),              // AMR
    spr::<48>(0xf_ffff),        // PID
    spr::<31>(!0),              // ACOP
    spr::<888>(!0),             // TACR
    spr::<889>(!0),             // TCSCR
    spr::<890>(!0),             // CSIGR
    spr::<895>(!0),             // WORT
    spr::<256>(WORD),           // VRSAVE
    spr::<804>(!3),             // EBBHR
    spr::<805>(!3),             // EBBRR
    spr_with::<795>(0, FROZEN), // MMCR0
    spr::<798>(!0),             // MMCR1
    spr::<785>(!0),             // MMCR2
    spr::<786>(!0),             // MMCRA
    spr::<894>(!0),             // MMCRS
    spr::<796>(!0),             // SIAR
    spr::<797>(!0),             // SDAR
    spr::<784>(!0),             // SIER
    spr::<787>(WORD / 2),       // PMC1
    spr::<788>(WORD / 2),
    spr::<789>(WORD / 2),
    spr::<790>(WORD / 2),
    spr::<791>(WORD / 2),
    spr::<792>(WORD / 2),
    spr::<892>(WORD / 2), // SPMC1
    spr::<893>(WORD / 2),
    spr::<806>(WORD >> 1), // BESCR, without the bit that lets event-based branches happen
    spr_with::<896>(0, 3 << (63 - 13)), // PPR: medium low
    spr::<3>(0x1ff_ffff),  // DSCR, as a program sees it
];

/// A register's place in the tables, and the value that it kept of what was written.
pub type Written = [u64; SPRS.len() + SAVED.len()];

fn all() -> impl Iterator<Item = &'static Spr> {
    const { &SPRS }.iter().chain(const { &SAVED })
}

/// Writes all, and reads what they kept: some have fewer bits than one can write. SRR0 and SRR1
/// only if they are to hold.
pub fn fill(values: &mut Values, leave: Leave) -> Written {
    for spr in &SPRS {
        (spr.write)(values.draw() & spr.bits | spr.ones);
    }
    if leave == Leave::Spin {
        for spr in &SAVED {
            (spr.write)(values.draw() & spr.bits);
        }
    }
    read(leave)
}

fn read(leave: Leave) -> Written {
    let mut written = [0; SPRS.len() + SAVED.len()];
    let saved = if leave == Leave::Spin { SAVED.len() } else { 0 };
    for (value, spr) in written.iter_mut().zip(all()).take(SPRS.len() + saved) {
        *value = (spr.read)();
    }
    written
}

/// Compares with what was written; tells each difference.
pub fn check(written: &Written, leave: Leave) {
    let now = read(leave);
    for ((spr, &before), after) in all().zip(written).zip(now) {
        if before != after {
            changed(KIND_SPR, spr.number, before, after);
        }
    }
}

//! The bare floor of a run: the instructions that the architecture forces, whoever does it.
//!
//! A resident hypervisor that has found out everything beforehand, and keeps no record, still has to
//! move these registers: those of the host that a guest on the same thread would change, those of
//! the guest that the host or the firmware changes, and, at the exit, each one that a guest can
//! write without asking. A special-purpose register is moved by one instruction, and two are stored or loaded by
//! another (`lq`, `stq`), as general ones are.
//! Nothing is counted for deciding who runs, for waiting, and for telling the host of times.
use super::parts::Part::{self, EntryWord, General, HostCall, Ipis, Others, World};

/// Instructions for one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub part: Part,
    pub what: &'static str,
    pub count: u64,
}

const fn line(part: Part, count: u64, what: &'static str) -> Line {
    Line { part, what, count }
}

/// Special-purpose registers that a guest can write without asking, beside those with lines of their
/// own: SPRG0-3, FSCR, DSCR, TAR, PSPB, UAMOR, AMR, IAMR, PID, VRSAVE; DAR, DSISR, ACOP, TACR, TCSCR,
/// CSIGR, WORT, EBBHR, EBBRR, BESCR, MMCR1, MMCR2, MMCRA, MMCRS, SIAR, SDAR,
/// SIER, PMC1-6, SPMC1-2.
const GUEST_SPRS: u64 = moved(13 + 25);
/// The first 13 of them, which a host has, too.
const HOST_SPRS: u64 = moved(13);

/// So many special-purpose registers moved, and stored or loaded by two.
const fn moved(registers: u64) -> u64 {
    registers + registers.div_ceil(2)
}

/// On each interrupt of a guest's.
const INTERRUPTED: Line = line(
    General,
    4,
    "r13 to HSPRG1 and back, the area from HSPRG0, the page's address",
);

/// The general registers, and what belongs to them.
const GENERAL_IN: Line = line(
    General,
    26,
    "guest's pc, MSR, LR, CTR, XER, CR loaded by two, moved; r0-r31 loaded by two; hrfid",
);
const GENERAL_OUT: [Line; 2] = [
    line(General, 16, "guest's r0-r31 stored by two"),
    line(
        General,
        9,
        "guest's CR, LR, CTR, XER, pc, MSR moved, stored by two",
    ),
];
const PAGE: Line = line(General, 1, "the page's address loaded");

/// Registers that the firmware changes whenever it's in.
const DEC_OUT: Line = line(
    Others,
    4,
    "guest's DEC and the time base moved, added, stored",
);
const FIRMWARES_OUT: Line = line(
    Others,
    moved(3) + 2,
    "guest's PPR, MMCR0, CTRL moved, stored; MMCR0 frozen",
);

/// Registers that a guest may have written.
const SPRS_OUT: [Line; 2] = [
    line(Others, 3, "MSR[TM] turned on for the registers below"),
    line(Others, GUEST_SPRS, "guest's 38 other SPRs moved, stored"),
];

/// Thread 0, from the host's call into its guest.
pub const RUNNER_IN: [Line; 13] = [
    line(HostCall, 12, "host's r1, r2, r13 stored; r14-r31 by two"),
    line(HostCall, 4, "host's LR, CR moved, stored"),
    line(
        World,
        moved(9),
        "host's HRMOR, LPCR, LPIDR, RMOR, SDR1, HFSCR, CTRL, HSPRG0, HSPRG1 moved, stored",
    ),
    line(
        World,
        4,
        "host's DEC and the time base moved, added, stored",
    ),
    line(
        World,
        6,
        "firmware's HRMOR and HSPRG0 made, moved, two isync",
    ),
    line(World, 2, "HDEC from the deadline: subtracted, moved"),
    line(World, 2, "vcore's VTB loaded, moved"),
    line(Others, 1, "slbia"),
    line(
        Others,
        moved(5),
        "partition's LPCR, LPIDR, RMOR, SDR1, HFSCR loaded, moved",
    ),
    line(Others, moved(3), "guest's CTRL, MMCR0, PPR loaded, moved"),
    line(Others, 3, "guest's DEC loaded, subtracted, moved"),
    PAGE,
    GENERAL_IN,
];

/// Thread 0, from the interrupt that ends its guest back to the host.
pub const RUNNER_OUT: [Line; 14] = [
    INTERRUPTED,
    GENERAL_OUT[0],
    GENERAL_OUT[1],
    DEC_OUT,
    FIRMWARES_OUT,
    SPRS_OUT[0],
    SPRS_OUT[1],
    line(World, 2, "vcore's VTB moved, stored"),
    line(World, 2, "HDEC out of reach"),
    line(
        World,
        moved(9) + 2,
        "host's nine registers loaded, moved; two isync",
    ),
    line(
        World,
        4,
        "host's DEC loaded, subtracted from the time base, moved",
    ),
    line(World, 1, "slbia"),
    line(
        HostCall,
        20,
        "host's r1, r2, r13, LR, CR and the result r3 loaded, moved; r14-r31 and r4-r9 by two",
    ),
    line(HostCall, 1, "blr"),
];

/// A secondary, from the IPI that calls it into its guest.
pub const SECONDARY_IN: [Line; 9] = [
    line(
        Ipis,
        3,
        "on thread 0: the presenter's address and the IPI's priority loaded, stored",
    ),
    line(Ipis, 3, "the area from HSPRG0; SRR1 moved, tested: woken"),
    line(
        Ipis,
        5,
        "the presenter's address; IPI accepted, cleared, ended",
    ),
    PAGE,
    line(Others, 2, "partition's LPCR loaded, moved"),
    line(
        Others,
        4,
        "guest's DEC loaded, subtracted from the time base, moved",
    ),
    line(Others, moved(2), "guest's SRR0, SRR1 loaded, moved"),
    line(Others, moved(2), "guest's MMCR0, PPR loaded, moved"),
    GENERAL_IN,
];

/// A secondary, from the interrupt that ends its guest into its nap.
pub const SECONDARY_OUT: [Line; 9] = [
    INTERRUPTED,
    GENERAL_OUT[0],
    GENERAL_OUT[1],
    DEC_OUT,
    FIRMWARES_OUT,
    line(Others, moved(2), "guest's SRR0, SRR1 moved, stored"),
    SPRS_OUT[0],
    SPRS_OUT[1],
    line(Ipis, 5, "ptesync, load, compare, branch, nap"),
];

/// Whoever leaves first brings the others out by HDEC.
pub const PULL: Line = line(EntryWord, 4, "HDEC out of reach, then expired");

/// A hypercall that is served and needs nothing but the registers that PAPR lets it lose.
pub const SERVED: [Line; 4] = [
    INTERRUPTED,
    line(
        General,
        10,
        "guest's r1, r2, r13, LR stored or moved, and back",
    ),
    line(General, 4, "guest's CR moved, stored, and back"),
    line(General, 3, "the call's number compared, branch, hrfid"),
];

/// What a run owes more, by the guest and by what the host doesn't vouch for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Owed {
    /// FP, VMX and VSX are the guest's: stored at the exit.
    pub fp: bool,
    /// The guest has an SLB, with so many valid entries.
    pub slb: Option<u64>,
    /// The host keeps its SLB, which is empty.
    pub keep_slb: bool,
    /// The host needs its SPRs back.
    pub keep_sprs: bool,
    /// All of the guest's registers are loaded.
    pub load_all: bool,
    /// The host's floating-point registers are not for the guest.
    pub clear_fp: bool,
}

impl Owed {
    /// VSR 0-63, FPSCR, VSCR.
    const FP: u64 = 64 + 2 + 2;
    /// Each of the 32 entries is looked at.
    const SLB: u64 = 32;

    fn runner(self) -> u64 {
        let host_sprs = if self.keep_sprs { 2 * HOST_SPRS } else { 0 };
        // Those that the host has had are loaded, too.
        let guests = self.keep_sprs && !self.load_all;
        let guest_sprs = if guests { HOST_SPRS } else { 0 };
        let host_slb = if self.keep_slb { Self::SLB } else { 0 };
        // The entries went with the host's.
        let slb = self.slb.map_or(0, |entries| 3 * entries);
        self.thread() + host_sprs + guest_sprs + host_slb + slb
    }

    fn thread(self) -> u64 {
        let fp = match (self.fp, self.load_all) {
            (true, true) => 2 * Self::FP,
            (true, false) => Self::FP,
            (false, _) => 0,
        };
        let clear = if self.clear_fp && !self.fp {
            Self::FP
        } else {
            0
        };
        let slb = self.slb.map_or(0, |entries| Self::SLB + 3 * entries);
        let load = if self.load_all { GUEST_SPRS } else { 0 };
        fp + clear + slb + load
    }

    fn secondary(self) -> u64 {
        let slb = match self.load_all {
            true => self.slb.map_or(0, |entries| 3 * entries),
            false => 0,
        };
        Self {
            clear_fp: false,
            ..self
        }
        .thread()
            + slb
    }
}

pub fn sum(lines: &[Line]) -> u64 {
    lines.iter().map(|line| line.count).sum()
}

/// A run of so many vcpus.
pub fn round_trip(vcpus: u64, owed: Owed) -> u64 {
    let runner = sum(&RUNNER_IN) + sum(&RUNNER_OUT) + owed.runner();
    let secondary = sum(&SECONDARY_IN) + sum(&SECONDARY_OUT) + owed.secondary();
    let pull = if vcpus > 1 { PULL.count } else { 0 };
    runner + pull + (vcpus - 1) * secondary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_costs_the_same() {
        let one = round_trip(1, Owed::default());
        let of = |vcpus| round_trip(vcpus, Owed::default()) - one - PULL.count;
        assert_eq!(of(8), 7 * of(2));
    }

    #[test]
    fn what_is_owed_comes_on_top() {
        let owed = Owed {
            fp: true,
            slb: Some(4),
            keep_slb: true,
            keep_sprs: true,
            load_all: true,
            clear_fp: true,
        };
        let one = |owed| round_trip(1, owed) - round_trip(1, Owed::default());
        assert_eq!(one(owed), 136 + 32 + 12 + 12 + 32 + 40 + 57);
        assert_eq!(
            one(Owed {
                keep_sprs: true,
                ..Owed::default()
            }),
            40 + 20
        );
    }
}

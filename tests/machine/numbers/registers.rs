//! Numbers of special-purpose registers and of their bits.
use asm::{msr, spr};

use super::{Number, compare, complete, faults, numbers};
use crate::Outcome;

/// Registers that the kernel calls otherwise: ours, the kernel's.
const OTHERWISE: [(&str, &str); 4] = [
    ("CTRL_READ", "SPRN_CTRLF"),
    ("CTRL_WRITE", "SPRN_CTRLT"),
    ("DAWR", "SPRN_DAWR0"),
    ("DAWRX", "SPRN_DAWRX0"),
];
/// Registers that it has no name for, with their number in the ISA; or, of PID, that of another processor.
const NOT_IN_REG: [(&str, u64); 8] = [
    ("PID", 48),
    ("TB", 268),
    ("LPIDR", 319),
    ("TFMR", 445),
    ("USIER", 768),
    ("BESCRS", 800),
    ("BESCRR", 802),
    ("TIR", 446),
];

const BITS: &[Number<'static>] = numbers! {
    spr::hfscr::FP => "HFSCR_FP",
    spr::hfscr::VECVSX => "HFSCR_VECVSX",
    spr::hfscr::DSCR => "HFSCR_DSCR",
    spr::hfscr::PM => "HFSCR_PM",
    spr::hfscr::BHRB => "HFSCR_BHRB",
    spr::hfscr::TM => "HFSCR_TM",
    spr::hfscr::EBB => "HFSCR_EBB",
    spr::hfscr::TAR => "HFSCR_TAR",
    spr::hfscr::MSGP => "HFSCR_MSGP",
    spr::lpcr::VPM0 => "LPCR_VPM0",
    spr::lpcr::VPM1 => "LPCR_VPM1",
    spr::lpcr::VRMASD => "LPCR_VRMASD",
    spr::lpcr::VRMASD_SHIFT => "LPCR_VRMASD_SH",
    spr::lpcr::RMLS_SHIFT => "LPCR_RMLS_SH",
    spr::lpcr::ILE => "LPCR_ILE",
    spr::lpcr::PECE_DOORBELL => "LPCR_PECEDP",
    spr::lpcr::PECE_HV_DOORBELL => "LPCR_PECEDH",
    spr::lpcr::PECE_EXTERNAL => "LPCR_PECE0",
    spr::lpcr::PECE_DECREMENTER => "LPCR_PECE1",
    spr::lpcr::MER => "LPCR_MER",
    spr::lpcr::LPES0 => "LPCR_LPES0",
    spr::lpcr::HDICE => "LPCR_HDICE",
};

const MSR_BITS: &[Number<'static>] = numbers! {
    msr::SF => "MSR_SF",
    msr::HV => "MSR_HV",
    msr::TS => "MSR_TS_S | MSR_TS_T",
    msr::TM => "MSR_TM",
    msr::VEC => "MSR_VEC",
    msr::VSX => "MSR_VSX",
    msr::EE => "MSR_EE",
    msr::PR => "MSR_PR",
    msr::FP => "MSR_FP",
    msr::ME => "MSR_ME",
    msr::IR => "MSR_IR",
    msr::DR => "MSR_DR",
    msr::RI => "MSR_RI",
    msr::LE => "MSR_LE",
    msr::SRR1_WOKEN => "SRR1_WAKESTATE",
};

/// Constants that the kernel has no name for, and where they are from.
const NOT_NAMED: &[(&str, &str)] = &[
    ("spr::HID0_ATTN", "POWER8 User's Manual, HID0"),
    ("spr::HID0_HILE", "POWER8 User's Manual, HID0"),
    ("msr::FIRMWARE", "bits above, together"),
    ("msr::GUEST", "bits above, together"),
    ("msr::SRR1_CAUSE", "Power ISA 2.07 Book III-S 6.2.1"),
];

/// Every register's number, and every bit.
pub fn all() -> Outcome {
    let mut wrong = Vec::new();
    let mut named: Vec<(&'static str, u64, String)> = Vec::new();
    for &(name, number) in spr::ALL {
        let number = u64::from(number);
        match NOT_IN_REG.iter().find(|(unnamed, _)| *unnamed == name) {
            Some((_, right)) if *right == number => {}
            Some((_, right)) => wrong.push(format!("{name} is {number}, not {right}")),
            None => named.push((name, number, theirs(name))),
        }
    }
    let rows = named
        .iter()
        .map(|(name, number, theirs)| (*name, *number, theirs.as_str()));
    wrong.extend(compare("registers", &rows.collect::<Vec<_>>()).err());
    let bits = [BITS, MSR_BITS].concat();
    wrong.extend(compare("bits", &bits).err());
    wrong.extend(
        complete(
            &["asm/src/spr_numbers.rs", "asm/src/msr.rs"],
            &bits,
            NOT_NAMED,
        )
        .err(),
    );
    faults(wrong.into_iter())
}

/// The kernel's name of a register.
fn theirs(name: &str) -> String {
    let otherwise = OTHERWISE.iter().find(|(ours, _)| *ours == name);
    otherwise.map_or_else(
        || format!("SPRN_{name}"),
        |(_, theirs)| (*theirs).to_string(),
    )
}

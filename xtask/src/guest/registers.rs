//! The registers of a vcpu that KVM has numbers for: by its headers, and what the module does with each.
use std::fs;

use anyhow::{Context, Result};

use crate::setup::debian::Kbuild;

const HEADER: &str = "arch/powerpc/include/uapi/asm/kvm.h";
const PREFIX: &str = "#define KVM_REG_PPC_";
/// Parts of a number (include/uapi/linux/kvm.h).
const OF_POWER: u64 = 0x1000_0000_0000_0000;
const SIZES: [(&str, u64); 3] = [("U32", 2), ("U64", 3), ("U128", 4)];
const SIZE_SHIFT: u32 = 52;
/// Of a transaction that was suspended.
const OF_TRANSACTION: u64 = 0x8000_0000;

/// Those of embedded processors, and of later servers: POWER8 has none of them.
const OF_OTHERS: &str = "IAC1 IAC2 IAC3 IAC4 DAC1 DAC2 EPCR EPR OR_TSR CLEAR_TSR TCR TSR MAS0 MAS1 MAS2 MAS7_3 \
     MAS4 MAS6 MMUCFG TLB0CFG TLB1CFG TLB2CFG TLB3CFG TLB0PS TLB1PS TLB2PS TLB3PS EPTCFG SPRG9 DBSR \
     TIDR PSSCR PTCR MMCR3 SIER2 SIER3 DAWR1 DAWRX1 DEXCR HASHKEYR HASHPKEYR";
/// What else doesn't take all that is written, and what it does: docs/design/kvm-module.md says why.
const EXCEPTIONS: [(&str, &str); 10] = [
    ("HIOR", "errno 22"),
    ("DEBUG_INST", "errno 22"),
    ("ARCH_COMPAT", "errno 22"),
    ("ICP_STATE", "errno 6"),
    ("VP_STATE", "errno 6"),
    ("DPDES", "keeps 0xff"),
    ("TB_OFFSET", "keeps 0x0"),
    ("PID", "keeps 0xffffffff"),
    ("LPCR", "keeps 0x3800200"),
    ("LPCR_64", "keeps 0x70000003800200"),
];

/// Name and number of each.
pub fn list(kbuild: &Kbuild) -> Result<Vec<(String, u64)>> {
    let path = kbuild.common()?.join(HEADER);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(parse(&text))
}

/// As the program reads it.
pub fn text(list: &[(String, u64)]) -> String {
    let line = |(name, id): &(String, u64)| format!("{name} {id:x}\n");
    list.iter().map(line).collect()
}

/// What is to be said of each.
pub fn expected(list: &[(String, u64)]) -> impl Iterator<Item = String> {
    let told = |name: &str, id: u64| {
        if let Some((_, what)) = EXCEPTIONS.iter().find(|(known, _)| *known == name) {
            return *what;
        }
        let is_others = OF_OTHERS.split_whitespace().any(|other| other == name);
        match is_others || id & OF_TRANSACTION != 0 {
            true => "errno 22",
            false => "ok",
        }
    };
    list.iter()
        .map(move |(name, id)| format!("register {name}: {}", told(name, *id)))
}

fn parse(header: &str) -> Vec<(String, u64)> {
    let mut all: Vec<(String, u64)> = Vec::new();
    for line in header.lines() {
        let Some((name, id)) = definition(line) else {
            continue;
        };
        // The first and the last of a row are there, the others by a macro.
        if let Some((first, first_id)) = all.last().cloned()
            && let Some(stem) = first.strip_suffix('0')
            && let Some(Ok(last)) = name.strip_prefix(stem).map(str::parse::<u64>)
            && id == first_id + last
        {
            all.extend((1..last).map(|n| (format!("{stem}{n}"), first_id + n)));
        }
        all.push((name, id));
    }
    all
}

/// `#define KVM_REG_PPC_NAME (KVM_REG_PPC | KVM_REG_SIZE_U64 | 0x1)`
fn definition(line: &str) -> Option<(String, u64)> {
    let (name, value) = line.strip_prefix(PREFIX)?.split_once(char::is_whitespace)?;
    let value = value.trim().strip_prefix('(')?.split(')').next()?;
    let mut id = OF_POWER;
    let mut has_size = false;
    for part in value.split('|').map(str::trim) {
        if let Some(size) = part.strip_prefix("KVM_REG_SIZE_") {
            let (_, log2) = SIZES.iter().find(|(name, _)| *name == size)?;
            id |= log2 << SIZE_SHIFT;
            has_size = true;
        } else if part == "KVM_REG_PPC_TM" {
            id |= OF_TRANSACTION;
        } else if part != "KVM_REG_PPC" {
            id |= number(part)?;
        }
    }
    has_size.then(|| (name.to_string(), id))
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_filled() {
        let header = "\
#define KVM_REG_PPC_HIOR\t(KVM_REG_PPC | KVM_REG_SIZE_U64 | 0x1)
#define KVM_REG_PPC_VR0\t\t(KVM_REG_PPC | KVM_REG_SIZE_U128 | 0x40)
#define KVM_REG_PPC_VR(n)\t(KVM_REG_PPC_VR0 + (n))
#define KVM_REG_PPC_VR2\t(KVM_REG_PPC | KVM_REG_SIZE_U128 | 0x42)
#define  KVM_REG_PPC_ICP_CPPR_SHIFT\t56\t/* a field */
#define KVM_REG_PPC_TM\t\t(KVM_REG_PPC | 0x80000000)
#define KVM_REG_PPC_TM_CR\t(KVM_REG_PPC_TM | KVM_REG_SIZE_U32 | 0x60)
";
        let found = parse(header);
        let text = text(&found);
        let expected = "HIOR 1030000000000001\nVR0 1040000000000040\nVR1 1040000000000041\n\
                        VR2 1040000000000042\nTM_CR 1020000080000060\n";
        assert_eq!(text, expected);
    }
}

//! The few instructions that rules speak of (Power ISA 2.07, Book I to III-S; opcodes in its appendices).

/// What an instruction does, as far as any rule asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `mtspr`, `mfspr`: the register's number.
    WriteSpr(u16),
    ReadSpr(u16),
    /// `mtmsrd` or `mtmsr`; with L = 1 only EE and RI change, and nothing is synchronized.
    WriteMsr {
        all: bool,
    },
    Isync,
    Sync,
    Lwsync,
    Ptesync,
    Tlbiel,
    Tlbie,
    Tlbsync,
    Eieio,
    Slbia,
    Slbie,
    Slbmte,
    Nap,
    Hrfid,
    Rfid,
    /// `ld` and `std`: base register and displacement.
    Load(Place),
    Store(Place),
    /// Any other ordinary load, store.
    OtherLoad,
    OtherStore,
    /// `lbarx` … `lqarx`.
    Reserve,
    /// `stbcx.` … `stqcx.`.
    Conditional,
    /// `cmpd`, `cmpw` of two registers.
    Compare(u8, u8),
    /// `bc`, `b`, `blr`, `bctr`.
    BranchIf,
    Branch,
    Return,
    Count,
    Dcbst,
    Icbi,
    Msgsnd,
    Treclaim,
    /// Any other instruction of transactional memory.
    Transaction,
    Other,
}

/// Where `ld` and `std` go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub base: u8,
    pub displacement: i16,
}

impl Op {
    /// Context-synchronizing (Book III-S 1.5.1): what follows runs in the new context.
    pub fn synchronizes(self) -> bool {
        matches!(
            self,
            Op::Isync | Op::Hrfid | Op::Rfid | Op::WriteMsr { all: true }
        )
    }
}

/// A field of IBM bits `first` to `last`.
fn field(word: u32, first: u32, last: u32) -> u32 {
    word >> (31 - last) & ((1 << (last - first + 1)) - 1)
}

pub fn decode(word: u32) -> Op {
    match field(word, 0, 5) {
        16 => Op::BranchIf,
        18 => Op::Branch,
        19 => control(word),
        31 => extended(word),
        // lwz to lmw, those of floating point, and lq.
        32..=35 | 40..=43 | 46 | 48..=51 | 56 => Op::OtherLoad,
        // stw to stmw, and those of floating point.
        36..=39 | 44 | 45 | 47 | 52..=55 => Op::OtherStore,
        58 if field(word, 30, 31) == 0 => Op::Load(place(word)),
        62 if field(word, 30, 31) == 0 => Op::Store(place(word)),
        // stdu and stq.
        62 => Op::OtherStore,
        _ => Op::Other,
    }
}

fn place(word: u32) -> Place {
    Place {
        base: field(word, 11, 15) as u8,
        displacement: (word & 0xfffc) as u16 as i16,
    }
}

fn control(word: u32) -> Op {
    match field(word, 21, 30) {
        16 => Op::Return,
        18 => Op::Rfid,
        150 => Op::Isync,
        274 => Op::Hrfid,
        434 => Op::Nap,
        528 => Op::Count,
        _ => Op::Other,
    }
}

fn extended(word: u32) -> Op {
    match field(word, 21, 30) {
        0 => Op::Compare(field(word, 11, 15) as u8, field(word, 16, 20) as u8),
        20 | 52 | 84 | 116 | 276 => Op::Reserve,
        54 => Op::Dcbst,
        146 | 178 => Op::WriteMsr {
            all: field(word, 15, 15) == 0,
        },
        150 | 182 | 214 | 694 | 726 => Op::Conditional,
        // By index: stdx, stdux, stwx, stwux, stbx, stbux, sthx, sthux.
        149 | 181 | 151 | 183 | 215 | 247 | 407 | 439 => Op::OtherStore,
        206 => Op::Msgsnd,
        274 => Op::Tlbiel,
        306 => Op::Tlbie,
        339 => Op::ReadSpr(spr(word)),
        402 => Op::Slbmte,
        434 => Op::Slbie,
        467 => Op::WriteSpr(spr(word)),
        498 => Op::Slbia,
        566 => Op::Tlbsync,
        598 => match field(word, 9, 10) {
            0 => Op::Sync,
            1 => Op::Lwsync,
            _ => Op::Ptesync,
        },
        654 | 686 | 718 | 750 | 782 | 814 | 846 | 878 | 910 | 1006 => Op::Transaction,
        854 => Op::Eieio,
        942 => Op::Treclaim,
        982 => Op::Icbi,
        _ => Op::Other,
    }
}

/// The two halves of the number are swapped.
fn spr(word: u32) -> u16 {
    (field(word, 16, 20) << 5 | field(word, 11, 15)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As an assembler has written them.
    #[test]
    fn instructions_are_known() {
        let place = |base, displacement| Place { base, displacement };
        for (word, op) in [
            (0x7cb9_4ba6, Op::WriteSpr(313)),
            (0x7d9b_02a6, Op::ReadSpr(27)),
            (0x7c60_0164, Op::WriteMsr { all: true }),
            (0x7c61_0164, Op::WriteMsr { all: false }),
            (0x4c00_012c, Op::Isync),
            (0x7c00_04ac, Op::Sync),
            (0x7c20_04ac, Op::Lwsync),
            (0x7c40_04ac, Op::Ptesync),
            (0x7c00_4a24, Op::Tlbiel),
            (0x7c00_4a64, Op::Tlbie),
            (0x7d40_4a64, Op::Tlbie),
            (0x7c00_046c, Op::Tlbsync),
            (0x7c00_06ac, Op::Eieio),
            (0x7c00_03e4, Op::Slbia),
            (0x7ca0_2b24, Op::Slbmte),
            (0x4c00_0364, Op::Nap),
            (0x4c00_0224, Op::Hrfid),
            (0x4c00_0024, Op::Rfid),
            (0xe80d_0038, Op::Load(place(13, 0x38))),
            (0xf82d_0038, Op::Store(place(13, 0x38))),
            (0xf821_ff41, Op::OtherStore),
            (0x9001_0008, Op::OtherStore),
            (0x80a6_0000, Op::OtherLoad),
            (0xe083_0010, Op::OtherLoad),
            (0xf883_0012, Op::OtherStore),
            (0x7ca0_3028, Op::Reserve),
            (0x7c60_20a8, Op::Reserve),
            (0x7ce0_312d, Op::Conditional),
            (0x7ca0_21ad, Op::Conditional),
            (0x7c20_0000, Op::Compare(0, 0)),
            (0x4082_fffc, Op::BranchIf),
            (0x4800_0000, Op::Branch),
            (0x4e80_0020, Op::Return),
            (0x4e80_0420, Op::Count),
            (0x7c00_186c, Op::Dcbst),
            (0x7c00_1fac, Op::Icbi),
            (0x7c00_499c, Op::Msgsnd),
            (0x7c00_051d, Op::Transaction),
            (0x7c00_075d, Op::Treclaim),
            (0x6000_0000, Op::Other),
        ] {
            assert_eq!(decode(word), op, "{word:#010x}");
        }
    }

    #[test]
    fn a_context_is_synchronized() {
        assert!(decode(0x4c00_012c).synchronizes());
        assert!(decode(0x7c60_0164).synchronizes());
        assert!(!decode(0x7c61_0164).synchronizes());
        assert!(!decode(0x7c00_04ac).synchronizes());
    }
}

//! What a rule is, and the table of all.
use super::flow::{Step, THREADS, World};
use super::{core_wide, entries, naps, sync};

/// What a rule says of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It doesn't speak of it.
    Silent,
    /// Something that it asks for was done.
    Kept,
    /// Something else was, or is missing.
    Broken(&'static str),
}

/// A rule, at work on one core.
pub trait Rule {
    /// The core's next instruction of the firmware's; `worlds`: who has its threads after it.
    fn step(&mut self, step: &Step, worlds: &[World; THREADS]) -> Verdict;
}

/// A line of the table.
pub struct About {
    pub name: &'static str,
    /// Where the processor's makers ask for it: Power ISA 2.07, POWER8 User's Manual (UM).
    pub source: &'static str,
    pub demand: &'static str,
    /// Why QEMU doesn't mind.
    pub forgiven: &'static str,
    /// Makes the rule anew.
    pub start: fn() -> Box<dyn Rule>,
}

fn boxed<R: Rule + Default + 'static>() -> Box<dyn Rule> {
    Box::new(R::default())
}

/// All rules.
pub const ALL: &[About] = &[
    About {
        name: "core-wide",
        source: "UM, \"Special Purpose Registers\": shared by threads",
        demand: "what a core's threads share changes only while no sibling is in a guest or the host's",
        forgiven: "it has SDR1, RMOR, LPIDR and PCR for each thread",
        start: boxed::<core_wide::Shared>,
    },
    About {
        name: "space",
        source: "ISA III-S ch. 12",
        demand: "SDR1 and RMOR change under a reserved LPID: LPIDR, ptesync, SDR1, RMOR, LPIDR, isync",
        forgiven: "it translates for one thread at a time, and tags no translation with an LPID",
        start: boxed::<core_wide::Space>,
    },
    About {
        name: "tlb",
        source: "ISA III-S 5.9.3.3; UM, \"Translation Lookaside Buffer\"",
        demand: "ptesync, tlbiel of all 512 sets, ptesync, isync; before the first guest of a core",
        forgiven: "it forgets all of a thread's translations with each write to LPIDR",
        start: boxed::<core_wide::Tlb>,
    },
    About {
        name: "tlbie",
        source: "ISA III-S 5.9.3.3, 5.10.1",
        demand: "ptesync, tlbie, eieio, tlbsync, ptesync, and no store or way out of the firmware between",
        forgiven: "it executes stores in order, and tlbsync and ptesync at once",
        start: boxed::<sync::Tlbie>,
    },
    About {
        name: "context",
        source: "ISA III-S ch. 12",
        demand: "a context-synchronizing instruction after mtspr, before nap or the way back to a host",
        forgiven: "each mtspr counts at once",
        start: boxed::<sync::Context>,
    },
    About {
        name: "hrmor",
        source: "ISA III-S ch. 12",
        demand: "mtspr HRMOR, isync, then slbia, tlbiel or LPIDR, isync, before the thread goes elsewhere",
        forgiven: "it keeps old translations, too, but nothing before the flush uses them",
        start: boxed::<sync::Hrmor>,
    },
    About {
        name: "hid0",
        source: "UM, \"Synchronization Requirements\"",
        demand: "sync, mtspr HID0, six mfspr HID0, isync",
        forgiven: "each mtspr counts at once",
        start: boxed::<sync::Hid0>,
    },
    About {
        name: "slb",
        source: "ISA III-S 5.9.3, ch. 12",
        demand: "isync after slbmte, slbie and slbia, before nap or the way back to a host",
        forgiven: "each change counts at once",
        start: boxed::<sync::Slb>,
    },
    About {
        name: "code",
        source: "ISA II ch. 1, \"Instruction Storage\"",
        demand: "changed code: dcbst, sync, icbi, sync, isync",
        forgiven: "it sees each store to code by itself",
        start: boxed::<sync::Code>,
    },
    About {
        name: "doorbell",
        source: "ISA III-S 11.2",
        demand: "sync before msgsnd, after the last store",
        forgiven: "it executes stores in order",
        start: boxed::<sync::Doorbell>,
    },
    About {
        name: "nap",
        source: "ISA III-S 3.3.2",
        demand: "ptesync, a load, cmp with itself, bne, nap, and nothing between",
        forgiven: "stores are done at once",
        start: boxed::<naps::Sequence>,
    },
    About {
        name: "astray",
        source: "ISA III-S ch. 12",
        demand: "back from a host's vectors: slbia, isync before the next nap",
        forgiven: "only a thread that wakes again in the wrong vectors shows it",
        start: boxed::<naps::Astray>,
    },
    About {
        name: "transaction",
        source: "ISA II ch. 5; III-S 6.2.10",
        demand: "no TM register or instruction after a guest, but treclaim",
        forgiven: "tbegin. always fails",
        start: boxed::<entries::Transaction>,
    },
    About {
        name: "reservation",
        source: "ISA II ch. 1, \"Atomic Update\"",
        demand: "no reservation of the firmware's is left when a guest is entered",
        forgiven: "it compares the loaded value only",
        start: boxed::<entries::Reservation>,
    },
    About {
        name: "served",
        source: "ISA III-S ch. 9",
        demand: "a hypercall is served after a look at MMCR0: counters that count are stopped",
        forgiven: "its counters hardly count",
        start: boxed::<entries::Served>,
    },
    About {
        name: "counters",
        source: "ISA III-S ch. 9, ch. 12",
        demand: "PMCs, SIAR, SDAR and SIER are read after a look at MMCR0; if it is written, isync between",
        forgiven: "each mtspr counts at once",
        start: boxed::<entries::Counters>,
    },
    About {
        name: "hmer",
        source: "UM, \"HMER\"",
        demand: "HMER is read before it is cleared",
        forgiven: "it reports no condition by itself",
        start: boxed::<entries::Hmer>,
    },
];

/// The table, as the design's page has it.
pub fn page() -> String {
    let mut page = "| rule | what it asks for | source | why QEMU doesn't mind |\n".to_string();
    page += "| --- | --- | --- | --- |\n";
    for about in ALL {
        let About {
            name,
            demand,
            source,
            forgiven,
            ..
        } = about;
        page += &format!("| `{name}` | {demand} | {source} | {forgiven} |\n");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask::project;

    #[test]
    fn the_page_has_this_table() {
        let path = project::root().join("docs/design/rules.md");
        let page_there = std::fs::read_to_string(path).unwrap();
        assert!(
            page_there.contains(&page()),
            "its table is to be:\n{}",
            page()
        );
    }

    #[test]
    fn names_are_apart() {
        let mut names: Vec<_> = ALL.iter().map(|about| about.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}

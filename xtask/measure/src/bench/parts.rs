//! What a run's instructions are for.
use std::collections::HashMap;

use anyhow::Result;

use super::code::Block;
use super::floor::{self, Line};
use super::profile;
use super::report::{Row, Table};
use super::stretch::Round;

/// In the order in which a run needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    HostCall,
    Checks,
    Roster,
    Seats,
    World,
    EntryWord,
    Ipis,
    General,
    Others,
    Outcome,
    Waiting,
}

impl Part {
    const ALL: [(Self, &str); 11] = [
        (
            Self::HostCall,
            "the host's call: its registers, the results",
        ),
        (Self::Checks, "checks, and finding records"),
        (Self::Roster, "roster: which vcpus run"),
        (Self::Seats, "seats: which thread runs which vcpu"),
        (Self::World, "world switch: the host's hypervisor registers"),
        (Self::EntryWord, "entry word: who is in, who comes out"),
        (Self::Ipis, "IPIs, naps and wake-ups"),
        (Self::General, "the guest's general registers, interrupts"),
        (Self::Others, "the guest's other registers"),
        (Self::Outcome, "why vcpus came out, times and counts"),
        (Self::Waiting, "waiting for all threads"),
    ];

    fn of(block: &Block) -> Self {
        match (&*block.file, &*block.name) {
            ("asm", "opal_entry" | "return_from_run") => Self::HostCall,
            ("asm", "took_reset" | "woken" | "nap" | "nap_return" | "nap_for_good") => Self::Ipis,
            ("asm", _) => Self::General,
            ("vcore/roster.rs" | "vcore/roster/snapshot.rs", _) => Self::Roster,
            ("vcore/seating.rs", _) => Self::Seats,
            ("cpu/world.rs", _) => Self::World,
            ("vcore/entry.rs" | "vcore/start.rs", _) => Self::EntryWord,
            ("cpu/xics.rs" | "memory/mmio.rs", _) | ("smt/run/mod.rs", "call") => Self::Ipis,
            ("cpu/guest.rs" | "cpu/guest/facility.rs" | "cpu/guest/slb.rs", _) => Self::Others,
            ("smt/cores/outcomes.rs", _)
            | ("smt/run/mod.rs", "count" | "add")
            | ("smt/run/seat.rs", "tell") => Self::Outcome,
            ("smt/run/leave.rs", "note_exit" | "note_first" | "note_reason") => Self::Outcome,
            ("smt/run/wait.rs", _) => Self::Waiting,
            _ => Self::Checks,
        }
    }
}

/// What a run of so many vcpus has to do, by what it's for.
fn floors(vcpus: u64) -> HashMap<Part, u64> {
    let mut floors = HashMap::new();
    let mut add = |lines: &[Line], times| {
        for line in lines {
            *floors.entry(line.part).or_default() += line.count * times;
        }
    };
    add(&floor::RUNNER_IN, 1);
    add(&floor::RUNNER_OUT, 1);
    add(&floor::SECONDARY_IN, vcpus - 1);
    add(&floor::SECONDARY_OUT, vcpus - 1);
    add(&[floor::PULL], (vcpus - 1).min(1));
    floors
}

/// A round trip of so many vcpus: each instruction is counted once.
pub fn table(title: &'static str, round: &Round, vcpus: u64, firmware: &[u8]) -> Result<Table> {
    let mut counts = HashMap::<_, u64>::new();
    for (block, of_threads) in profile::blocks(round, firmware)? {
        *counts.entry(Part::of(&block)).or_default() += of_threads.iter().sum::<u64>();
    }
    let floors = floors(vcpus);
    let rows = Part::ALL.into_iter().map(|(part, name)| {
        let row = Row::new(name, counts.get(&part).copied().unwrap_or(0));
        row.over(floors.get(&part).copied().unwrap_or(0))
    });
    Ok(Table {
        bench: "vcore",
        title,
        unit: "instructions",
        rows: rows.collect(),
        notes: vec![],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::floor::Owed;

    #[test]
    fn the_floors_parts_are_all_of_it() {
        for vcpus in [1, 2, 8] {
            let sum: u64 = floors(vcpus).values().sum();
            assert_eq!(sum, floor::round_trip(vcpus, Owed::default()));
        }
    }

    #[test]
    fn every_part_has_a_name_of_its_own() {
        let mut parts = Part::ALL.map(|(part, _)| part).to_vec();
        parts.dedup();
        assert!(parts.is_sorted() && parts.len() == Part::ALL.len());
    }

    #[test]
    fn blocks_are_for_something() {
        let block = |file: &str, name: &str| {
            Part::of(&Block {
                file: file.into(),
                name: name.into(),
            })
        };
        assert_eq!(block("vcore/roster.rs", "admit"), Part::Roster);
        assert_eq!(block("asm", "woken"), Part::Ipis);
        assert_eq!(block("smt/run/mod.rs", "answer"), Part::Checks);
    }
}

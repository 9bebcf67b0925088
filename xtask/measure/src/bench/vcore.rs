//! The tables of vcores and of IPIs.
use anyhow::{Context, Result};

use super::floor::{self, Owed};
use super::parts;
use super::report::{Peer, Row, Table};
use super::rounds::{self, Files, Measured};

/// The test host's behaviour with the rows below.
pub const BEHAVIOUR: &str = "bench";
/// Entries of guests that have an SLB, in the test host.
const SEGMENTS: u64 = 4;

/// Boots catnap, with these boot arguments, and has the test host run its rows.
pub fn measure(files: &Files, arguments: &str) -> Result<Measured> {
    // The other core joins and kicks.
    rounds::measure(files, &rounds::machine(2, 8), BEHAVIOUR, arguments)
}

/// kvm_hv, measured once: it takes a Linux host, and a monitor in user space.
fn kvm_hv(count: u64) -> Option<Peer> {
    Some(Peer {
        name: "kvm_hv",
        count,
        source: "measured with Linux 6.12's kvm_hv on QEMU 10.0.2 powernv8, mitigations off".into(),
    })
}

/// Rows of round trips: the test host's name, what it is, vcpus, what is owed beyond the floor, and
/// kvm_hv's figure for its switches in real mode, which do all of it each time.
const ROUND_TRIPS: [(&str, &str, u64, Owed, Option<u64>); 18] = {
    const NONE: Owed = Owed {
        fp: false,
        slb: None,
        keep_slb: false,
        keep_sprs: false,
        load_all: false,
        clear_fp: false,
    };
    const FP: Owed = Owed { fp: true, ..NONE };
    const HPT: Owed = Owed {
        slb: Some(0),
        ..NONE
    };
    const SLB: Owed = Owed {
        slb: Some(SEGMENTS),
        ..NONE
    };
    const NO_FLAGS: Owed = Owed {
        keep_sprs: true,
        load_all: true,
        clear_fp: true,
        ..NONE
    };
    const ALL: Owed = Owed {
        fp: true,
        slb: Some(SEGMENTS),
        ..NO_FLAGS
    };
    const TOUCHED: Owed = Owed {
        load_all: true,
        ..NONE
    };
    [
        ("smt1", "1 vcpu", 1, NONE, None),
        ("smt2", "2 vcpus", 2, NONE, None),
        ("smt4", "4 vcpus", 4, NONE, None),
        ("smt8", "8 vcpus", 8, NONE, None),
        ("smt1 fp", "1 vcpu, with FP and VSX", 1, FP, None),
        ("smt8 fp", "8 vcpus, with FP and VSX", 8, FP, None),
        ("smt1 hpt", "1 vcpu, page table, SLB empty", 1, HPT, None),
        ("smt8 hpt", "8 vcpus, page table, SLB empty", 8, HPT, None),
        (
            "smt1 hpt slb",
            "1 vcpu, page table, 4 SLB entries",
            1,
            SLB,
            None,
        ),
        (
            "smt8 hpt slb",
            "8 vcpus, page table, 4 SLB entries",
            8,
            SLB,
            None,
        ),
        (
            "smt1 keep_slb",
            "1 vcpu, host's SLB kept",
            1,
            Owed {
                keep_slb: true,
                ..NONE
            },
            None,
        ),
        (
            "smt1 keeps sprs",
            "1 vcpu, host's SPRs kept",
            1,
            Owed {
                keep_sprs: true,
                ..NONE
            },
            None,
        ),
        (
            "smt1 touched",
            "1 vcpu, page not vouched for",
            1,
            TOUCHED,
            None,
        ),
        (
            "smt8 touched",
            "8 vcpus, pages not vouched for",
            8,
            TOUCHED,
            None,
        ),
        ("smt1 no flags", "1 vcpu, no flags", 1, NO_FLAGS, None),
        ("smt8 no flags", "8 vcpus, no flags", 8, NO_FLAGS, None),
        (
            "smt1 all",
            "1 vcpu, no flags, FP, 4 SLB entries",
            1,
            ALL,
            Some(1_416),
        ),
        (
            "smt8 all",
            "8 vcpus, no flags, FP, 4 SLB entries",
            8,
            ALL,
            Some(10_829),
        ),
    ]
};

pub fn tables(measured: &Measured, firmware: &[u8]) -> Result<Vec<Table>> {
    let part_of =
        |title, row, vcpus| parts::table(title, measured.row(row)?.usual()?, vcpus, firmware);
    Ok(vec![
        round_trips(measured)?,
        part_of("what 1 vcpu's round trip is for", "smt1", 1)?,
        part_of("what 8 vcpus' round trip is for", "smt8", 8)?,
        directions(measured)?,
        world(measured, firmware)?,
        served(measured)?,
    ])
}

fn round_trips(measured: &Measured) -> Result<Table> {
    let mut rows = Vec::new();
    for (name, what, vcpus, owed, peer) in ROUND_TRIPS {
        let count = measured.row(name)?.round_trip()?;
        let floor = floor::round_trip(vcpus, owed);
        rows.push(
            Row::new(what, count)
                .over(floor)
                .beside(peer.and_then(kvm_hv)),
        );
    }
    let (one, eight) = (rows[0].count, rows[3].count);
    let further = (eight - one) / 7;
    rows.push(
        Row::new("each further vcpu", further)
            .over(floor::round_trip(3, Owed::default()) - floor::round_trip(2, Owed::default())),
    );
    Ok(Table {
        bench: "vcore",
        title: "VCORE_RUN, host to host, all threads",
        unit: "instructions",
        rows,
        notes: vec![
            "unless said otherwise the host vouches for all that it can: FP_CLEAN, UNTOUCHED, SPRS_LOST".into(),
            "kvm_hv: its switches in real mode; with the ways from and to user space eight vcpus cost it 32,115".into(),
        ],
    })
}

/// Where a round trip is spent, by thread and direction.
fn directions(measured: &Measured) -> Result<Table> {
    let (one, eight) = (measured.row("smt1")?, measured.row("smt8")?);
    let sum = floor::sum;
    Ok(Table {
        bench: "vcore",
        title: "ways in and out",
        unit: "instructions",
        rows: vec![
            Row::new("1 vcpu, in: VCORE_RUN to guest", one.runner_in()?)
                .over(sum(&floor::RUNNER_IN)),
            Row::new("1 vcpu, out: hypercall to host", one.runner_out()?)
                .over(sum(&floor::RUNNER_OUT)),
            Row::new("8 vcpus, thread 0 in", eight.runner_in()?)
                .over(sum(&floor::RUNNER_IN) + 7 * 3),
            Row::new("8 vcpus, thread 0 out", eight.runner_out()?)
                .over(sum(&floor::RUNNER_OUT) + floor::PULL.count),
            Row::new(
                "8 vcpus, a secondary in: wake to guest",
                eight.secondary_in()?,
            )
            .over(sum(&floor::SECONDARY_IN) - 3),
            Row::new(
                "8 vcpus, a secondary out: guest to nap",
                eight.secondary_out()?,
            )
            .over(sum(&floor::SECONDARY_OUT)),
        ],
        notes: vec![],
    })
}

/// Hypercalls served in the firmware, from guest back to guest.
fn served(measured: &Measured) -> Result<Table> {
    let mut rows = Vec::new();
    for (name, nth, what, peer) in [
        ("H_PROD of itself", 1, "H_PROD of itself", Some(4_451)),
        (
            "H_PROD of a sibling in the guest",
            1,
            "H_PROD of a sibling in the guest",
            Some(4_451),
        ),
        (
            "H_PROD of a sibling in H_CEDE",
            1,
            "H_PROD of a sibling in H_CEDE, with its IPI",
            Some(4_451),
        ),
        ("H_PROD, H_CEDE", 2, "H_CEDE when prodded", Some(210)),
        ("H_CONFER", 1, "H_CONFER", Some(4_451)),
        ("H_READ of one", 1, "H_READ of one entry", Some(433)),
        ("H_ENTER, H_REMOVE", 1, "H_ENTER", None),
        ("H_ENTER, H_REMOVE", 2, "H_REMOVE", None),
    ] {
        let count = measured.row(name)?.served(nth)?;
        rows.push(
            Row::new(what, count)
                .over(floor::sum(&floor::SERVED))
                .beside(peer.and_then(kvm_hv)),
        );
    }
    let fault = measured.row("own page fault")?.reflected()?;
    rows.push(
        Row::new("a guest's own page fault, to its vector", fault).over(floor::sum(&floor::SERVED)),
    );
    Ok(Table {
        bench: "vcore",
        title: "hypercalls served in the firmware, guest to guest",
        unit: "instructions",
        rows,
        notes: vec!["kvm_hv serves H_PROD and H_CONFER out of the guest: 4,451 to 4,881".into()],
    })
}

/// What the trace costs while it records, beside the same without it.
pub fn trace(files: &Files, off: &Measured) -> Result<Table> {
    let on = measure(files, "catnap.trace=on")?;
    let mut rows = Vec::new();
    for (name, what) in [("smt1", "1 vcpu"), ("smt8", "8 vcpus")] {
        for (measured, state) in [(off, "off"), (&on, "on")] {
            let count = measured.row(name)?.round_trip()?;
            rows.push(Row::new(format!("{what}, trace {state}"), count));
        }
    }
    Ok(Table {
        bench: "vcore",
        title: "the trace",
        unit: "instructions",
        rows,
        notes: vec![],
    })
}

/// What world switches cost beside the guest's own registers.
fn world(measured: &Measured, firmware: &[u8]) -> Result<Table> {
    let mut code = super::code::Code::read(firmware)?;
    let mut rows = Vec::new();
    for (name, what) in [
        ("smt1", "world in and out"),
        ("smt1 keeps sprs", "world in and out, host's SPRs kept"),
    ] {
        let round = measured.row(name)?.usual()?;
        let steps = round.iter().flat_map(|stretch| &stretch.steps);
        let count = steps
            .filter(|at| code.block(**at).file == "cpu/world.rs")
            .count();
        rows.push(Row::new(what, count as u64));
    }
    Ok(Table {
        bench: "vcore",
        title: "the world switch alone",
        unit: "instructions",
        rows,
        notes: vec![],
    })
}

/// IPIs, joins and kicks.
pub fn ipis(measured: &Measured) -> Result<Table> {
    let row = |name| measured.row(name).context("IPIs");
    let secondary_in = floor::sum(&floor::SECONDARY_IN) - 3;
    let mut rows = vec![
        Row::new(
            "VCORE_RUN's IPI: wake to guest",
            row("smt8")?.secondary_in()?,
        )
        .over(secondary_in),
        Row::new(
            "H_PROD's IPI: wake to guest, out of H_CEDE",
            row("H_PROD of a sibling in H_CEDE")?.secondary_in()?,
        )
        .over(secondary_in),
        Row::new(
            "late join: VCPU_SET_STATE on another core",
            row("join")?.others_call()?,
        ),
        Row::new("late join: wake to guest", row("join")?.secondary_in()?).over(secondary_in),
    ];
    for (name, vcpus) in [("kick smt1", 1), ("kick smt8", 8)] {
        let kick = row(name)?;
        let out = floor::sum(&floor::RUNNER_OUT) + (vcpus - 1) * floor::sum(&floor::SECONDARY_OUT);
        rows.push(Row::new(
            format!("kick, {vcpus} vcpus: VCORE_KICK on another core"),
            kick.others_call()?,
        ));
        rows.push(
            Row::new(
                format!("kick, {vcpus} vcpus: out of their guests, all threads"),
                kick.all_out()?,
            )
            .over(out),
        );
    }
    Ok(Table {
        bench: "ipi",
        title: "calls across cores and wake-ups",
        unit: "instructions",
        rows,
        notes: vec![],
    })
}

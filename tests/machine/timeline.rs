//! What `cargo xtask trace` draws: two runs of eight threads, as behaviours say.
use hcalls::trace::Event;
use libtest_mimic::Trial;
use measure::stats;
use measure::told::Told;
use measure::trace::timeline::{State, Timeline, Track};
use measure::trace::{self, perfetto, svg};
use tests::qemu::{End, Tcg};

use crate::{Outcome, behaviours, trial};

/// PIRs of the core whose threads run the vcore, and of the host's thread on the other.
const CORE: std::ops::Range<u32> = 8..16;
const OTHER: u32 = 16;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("timeline::drawn", drawn),
        trial("timeline::counted", counted),
    ]
}

/// Boots the test host with the scenario and has it tell an export.
fn told(export: &str) -> Result<Vec<u8>, String> {
    let mut boot = behaviours::boot(trace::SCENARIO, Tcg::Counting);
    boot.bootargs = format!("{} tell={export}", boot.bootargs);
    let lines = boot.check(&End::Off, &behaviours::expected(trace::SCENARIO))?;
    let told = Told::of(lines.iter().map(String::as_str));
    told.bytes().map_err(|why| format!("{why:#}"))
}

/// The tables of `cargo xtask stats` have what was done: two runs, six vcpus and eight, two of which
/// joined late, two H_CEDE and an H_PROD.
fn counted() -> Outcome {
    let show = |export| stats::show(&told(export)?).map_err(|why| format!("{why:#}"));
    let (vcores, calls) = (show("smt_stats")?, show("opal_calls")?);
    let mut faults = Vec::new();
    for (text, row) in [
        (&vcores, "8 2 0 14 2 16 3 1"),
        (&vcores, "Hypercall 1, Kick 1, Pulled 14"),
        (&calls, "VCPU_CREATE 8"),
        (&calls, "VCPU_SET_STATE 1"),
    ] {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = text.lines().any(|line| words(line).contains(row));
        faults.extend(fault(found, format!("no row with {row}")));
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(format!("{}\n{vcores}\n{calls}", faults.join("\n"))),
    }
}

fn drawn() -> Outcome {
    let timeline = trace::read(&told("trace")?);
    let timeline = timeline.map_err(|why| format!("{why:#}"))?;
    let faults: Vec<String> = [
        threads(&timeline),
        secondaries(&timeline),
        order(&timeline),
        pictures(&timeline),
    ]
    .concat();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(format!("{}\n{timeline:#?}", faults.join("\n"))),
    }
}

fn fault(is: bool, what: impl Into<String>) -> Vec<String> {
    match is {
        true => Vec::new(),
        false => vec![what.into()],
    }
}

fn is_guest(state: State) -> bool {
    matches!(state, State::Guest(_))
}

/// All threads of the one core and the host's of the other; nothing is missing between two slices.
fn threads(timeline: &Timeline) -> Vec<String> {
    let pirs: Vec<_> = timeline.tracks.iter().map(|track| track.pir).collect();
    let wanted: Vec<_> = CORE.chain([OTHER]).collect();
    let mut faults = fault(pirs == wanted, format!("threads {pirs:x?}"));
    for track in &timeline.tracks {
        let pairs = || track.slices.windows(2);
        let follows = pairs().all(|pair| pair[0].to_tb == pair[1].from_tb);
        faults.extend(fault(follows, format!("{:#x}: a gap", track.pir)));
        // Nobody gets into a guest or out of it but through the firmware.
        let direct =
            pairs().any(|pair| is_guest(pair[0].state) && pair[1].state != State::Firmware);
        faults.extend(fault(!direct, format!("{:#x}: out at once", track.pir)));
        let runs = track.slices.iter().filter(|it| is_guest(it.state)).count();
        let enough = track.pir == OTHER || runs >= 2;
        faults.extend(fault(
            enough,
            format!("{:#x}: {runs} times in a guest", track.pir),
        ));
    }
    faults
}

/// They nap until they are called, and in the end.
fn secondaries(timeline: &Timeline) -> Vec<String> {
    let mut faults = Vec::new();
    let of_core = |track: &&Track| CORE.contains(&track.pir) && track.pir != CORE.start;
    for track in timeline.tracks.iter().filter(of_core) {
        let ends = [track.slices.first(), track.slices.last()];
        let naps = ends
            .iter()
            .all(|it| it.is_some_and(|it| it.state == State::Nap));
        faults.extend(fault(
            naps,
            format!("{:#x} doesn't nap in the end", track.pir),
        ));
        for pair in track
            .slices
            .windows(2)
            .filter(|pair| pair[0].state == State::Nap)
        {
            let woken_tb = pair[1].from_tb;
            let mut calls = timeline.calls.iter();
            let called = calls.any(|call| (call.to_pir, call.to_tb) == (track.pir, woken_tb));
            faults.extend(fault(called, format!("{:#x} wakes uncalled", track.pir)));
        }
    }
    faults
}

/// Late joiners come when the other core calls them; once the first is leaving nobody comes in, and all
/// nap before the core is the host's again.
fn order(timeline: &Timeline) -> Vec<String> {
    let marks = |event| {
        let tracks = timeline.tracks.iter().flat_map(|track| &track.marks);
        let mut times: Vec<_> = tracks
            .filter(|it| it.event == event)
            .map(|it| it.tb)
            .collect();
        times.sort_unstable();
        times
    };
    let (pulls, outs) = (marks(Event::Pull), marks(Event::WorldOut));
    let counts = [
        pulls.len(),
        outs.len(),
        marks(Event::Join).len(),
        marks(Event::Kick).len(),
    ];
    let mut faults = fault(counts == [2, 2, 2, 1], format!("marks {counts:?}"));
    let slices = timeline.tracks.iter().filter(|track| track.pir != OTHER);
    for slice in slices.flat_map(|track| &track.slices) {
        let leaving = |(pull, out): (&u64, &u64)| (*pull..*out).contains(&slice.from_tb);
        let late = is_guest(slice.state) && pulls.iter().zip(&outs).any(leaving);
        faults.extend(fault(
            !late,
            format!("enters while others leave: {slice:?}"),
        ));
        let over = |out: &u64| slice.from_tb < *out && slice.to_tb > *out && is_guest(slice.state);
        faults.extend(fault(
            !outs.iter().any(over),
            format!("still in: {slice:?}"),
        ));
    }
    faults
}

/// Both files are made, and have what is in the timeline.
fn pictures(timeline: &Timeline) -> Vec<String> {
    let picture = svg::draw(timeline, "", "");
    let arrows = picture.matches("class=\"call\"").count();
    let events = &perfetto::json(timeline)["traceEvents"];
    let flows = events.as_array().into_iter().flatten();
    let flows = flows.filter(|event| event["ph"] == "s").count();
    let calls = timeline.calls.len();
    // Five and two joiners, a prod; seven, a kick.
    fault(
        [arrows, flows, calls] == [16; 3],
        format!("{arrows} arrows, {flows} flows, {calls} calls"),
    )
}

//! Timelines of traces that are made here.
use hcalls::trace::{Event, Header, MAGIC, NO_SLOT, NO_VCORE, RING_MAGIC, Record, RingHeader};
use hcalls::trace::{TB_HZ, VERSION};
use zerocopy::{FromZeros, IntoBytes};

use super::timeline::{Call, State, Timeline, Vcpu};
use super::{perfetto, read, svg};

const RECORDS: usize = 16;

/// Time, event, whether it's about vcpu 3 of vcore 7, argument.
type Told = (u64, Event, bool, u32);

fn record((tb, event, of_vcpu, arg): Told) -> Record {
    let mut record = Record::new_zeroed();
    record.tb.set(tb);
    record.event = event.into();
    record.slot = if of_vcpu { 3 } else { NO_SLOT };
    record.vcore.set(if of_vcpu { 7 } else { NO_VCORE });
    record.arg.set(arg);
    record
}

fn trace(rings: &[(u32, &[Told])]) -> Vec<u8> {
    let ring_bytes = size_of::<RingHeader>() + RECORDS * size_of::<Record>();
    let mut header = Header::new_zeroed();
    header.magic.set(MAGIC);
    header.version.set(VERSION);
    header.rings.set(rings.len() as u32);
    header.header_bytes.set(size_of::<Header>() as u32);
    header.ring_bytes.set(ring_bytes as u32);
    header.records.set(RECORDS as u32);
    header.record_bytes.set(size_of::<Record>() as u32);
    header.tb_hz.set(TB_HZ);
    let mut bytes = header.as_bytes().to_vec();
    for (pir, told) in rings {
        let mut ring = RingHeader::new_zeroed();
        ring.magic.set(RING_MAGIC);
        ring.pir.set(u64::from(*pir));
        ring.head.set(told.len() as u64);
        bytes.extend(ring.as_bytes());
        let mut records = [Record::new_zeroed(); RECORDS];
        let places = records.iter_mut().zip(*told);
        places.for_each(|(place, told)| *place = record(*told));
        bytes.extend(records.as_bytes());
    }
    bytes
}

/// The ring had more than there was room for: records from before the first were written over.
fn with_loss(mut bytes: Vec<u8>, ring: usize) -> Vec<u8> {
    let ring_bytes = size_of::<RingHeader>() + RECORDS * size_of::<Record>();
    let head = size_of::<Header>() + ring * ring_bytes + core::mem::offset_of!(RingHeader, head);
    bytes[head..head + 8].copy_from_slice(&(2 * RECORDS as u64).to_be_bytes());
    bytes
}

/// A run of two threads.
fn run() -> Timeline {
    let runner = [
        (1000, Event::CallIn, false, 1106),
        (1100, Event::WorldIn, false, 0x1_0003),
        (1110, Event::Call, false, 9),
        (1200, Event::Enter, true, 1),
        (1500, Event::Exit, true, 0x980),
        (1550, Event::Left, true, 14),
        (1600, Event::CallOut, false, 0),
        (1700, Event::CallIn, false, 1110),
    ];
    let secondary = [
        (1150, Event::Wake, false, 8),
        (1250, Event::Enter, true, 1),
        (1300, Event::Cede, true, 0),
        (1310, Event::Nap, true, 1),
        (1400, Event::Wake, true, 6),
        (1410, Event::Resume, true, 0),
        (1450, Event::Exit, true, 0xc00),
        (1455, Event::Pull, true, 1),
        (1480, Event::Nap, false, 0),
    ];
    read(&trace(&[(8, &runner), (9, &secondary), (10, &[])])).unwrap()
}

const GUEST: State = State::Guest(Vcpu { vcore: 7, slot: 3 });
const CEDED: State = State::Ceded(Vcpu { vcore: 7, slot: 3 });

#[test]
fn slices_follow_each_other() {
    let timeline = run();
    assert_eq!((timeline.from_tb, timeline.to_tb), (1000, 1600));
    let pirs: Vec<_> = timeline.tracks.iter().map(|track| track.pir).collect();
    assert_eq!(pirs, [8, 9]);
    for track in &timeline.tracks {
        assert_eq!(track.slices[0].from_tb, timeline.from_tb);
        assert_eq!(track.slices.last().unwrap().to_tb, timeline.to_tb);
        let ends = track.slices.windows(2);
        ends.for_each(|pair| assert_eq!(pair[0].to_tb, pair[1].from_tb));
    }
}

#[test]
fn states_are_what_was_recorded() {
    let timeline = run();
    let of = |track: usize| -> Vec<(u64, State, &str)> {
        let slices = &timeline.tracks[track].slices;
        let tuple = slices.iter().map(|it| (it.from_tb, it.state, &*it.name));
        tuple.collect()
    };
    let (firmware, host) = (State::Firmware, State::Host);
    let runner = [
        (1000, firmware, "VCORE_RUN"),
        (1200, GUEST, "vcpu 3"),
        (1500, firmware, "vcpu 3 is out: Pulled"),
        (1600, host, "host"),
    ];
    assert_eq!(of(0), runner);
    let secondary = [
        (1000, State::Nap, "nap"),
        (1150, firmware, "woken by an IPI"),
        (1250, GUEST, "vcpu 3"),
        (1300, firmware, "H_CEDE"),
        (1310, CEDED, "vcpu 3 in H_CEDE"),
        (1400, firmware, "woken by the decrementer"),
        (1410, GUEST, "vcpu 3"),
        (1450, firmware, "out: hypercall"),
        (1480, State::Nap, "nap"),
    ];
    assert_eq!(of(1), secondary);
    let marks = timeline.tracks[1].marks.iter().map(|mark| &*mark.text);
    assert_eq!(marks.collect::<Vec<_>>(), ["brings out threads 0x01"]);
}

#[test]
fn a_call_leads_to_the_wake_up() {
    let call = Call {
        from_pir: 8,
        from_tb: 1110,
        to_pir: 9,
        to_tb: 1150,
    };
    assert_eq!(run().calls, [call]);
}

#[test]
fn events_for_perfetto_have_their_times_and_tracks() {
    let timeline = run();
    let json = perfetto::json(&timeline);
    let events = json["traceEvents"].as_array().unwrap();
    let of_phase = |phase: &str| events.iter().filter(|it| it["ph"] == *phase).count();
    let slices: usize = timeline.tracks.iter().map(|track| track.slices.len()).sum();
    // Calls have slices: they are no marks there.
    let marks = timeline.tracks.iter().flat_map(|track| &track.marks);
    let marks = marks.filter(|it| it.event != Event::CallIn).count();
    assert_eq!(of_phase("X"), slices);
    assert_eq!(of_phase("i"), marks);
    assert_eq!([of_phase("s"), of_phase("f"), of_phase("M")], [1, 1, 4]);
    let guest = events
        .iter()
        .find(|it| it["name"] == "vcore 7 vcpu 3")
        .unwrap();
    // 200 and 300 ticks of 512 MHz.
    assert_eq!(guest["ts"], 0.390625);
    assert_eq!(guest["dur"], 0.5859375);
    assert_eq!([&guest["pid"], &guest["tid"]], [8, 8]);
    assert_eq!(guest["args"]["vcore"], 7);
}

#[test]
fn the_picture_has_a_lane_for_each_thread() {
    let picture = svg::draw(&run(), "a title", "a note");
    let count = |what: &str| picture.matches(what).count();
    assert_eq!(count(">core 0x8<"), 1);
    assert_eq!(
        [
            count(">thread 0<"),
            count(">thread 1<"),
            count(">thread 2<")
        ],
        [1, 1, 0]
    );
    assert_eq!(count("class=\"call\""), 1);
    // The legend has one of each; and an empty slice is none.
    assert_eq!([count("class=\"ceded\""), count("class=\"pull\"")], [2, 2]);
    for (open, close) in [
        ("<svg", "</svg>"),
        ("<text", "</text>"),
        ("<title", "</title>"),
    ] {
        assert_eq!(count(open), count(close), "{open}");
    }
}

/// What was written over is neither a state nor the end of a call.
#[test]
fn lost_records_are_made_up_by_nothing() {
    let runner = [(1000, Event::Call, false, 9), (3000, Event::Call, false, 9)];
    let mut secondary = [(2000, Event::Pull, true, 1); RECORDS];
    secondary[RECORDS - 1] = (3100, Event::Taken, true, 0);
    let bytes = with_loss(trace(&[(8, &runner), (9, &secondary)]), 1);
    let timeline = read(&bytes).unwrap();
    let slices = timeline.tracks[1].slices.iter();
    let states: Vec<_> = slices.map(|it| (it.from_tb, it.state)).collect();
    assert_eq!(states, [(1000, State::Lost), (2000, State::Firmware)]);
    let calls: Vec<_> = timeline.calls.iter().map(|it| it.from_tb).collect();
    assert_eq!(calls, [3000]);
    let json = perfetto::json(&timeline).to_string();
    assert!(!json.contains("written over"), "{json}");
    assert!(svg::draw(&timeline, "", "").contains("records written over"));
}

#[test]
fn a_part_has_what_is_in_it_and_keeps_its_times() {
    // 200 to 450 ticks after the first.
    let part = run().part(0.390625, 0.87890625).unwrap();
    assert_eq!((part.from_tb, part.to_tb), (1200, 1450));
    assert_eq!(part.us(1200), 0.390625);
    for track in &part.tracks {
        assert_eq!(track.slices[0].from_tb, 1200);
        assert_eq!(track.slices.last().unwrap().to_tb, 1450);
    }
    assert_eq!(part.tracks[0].slices.len(), 1);
    assert_eq!(part.calls, []);
    assert!(svg::draw(&part, "", "").contains("0.4 µs"));
    assert_eq!(run().part(0.0, f64::INFINITY), Some(run()));
    assert_eq!(run().part(2.0, 1.0), None);
    assert_eq!(run().part(1e9, f64::INFINITY), None);
}

/// A core of which thread 0 did nothing has its name, too; and of two vcores each has its own.
#[test]
fn cores_and_vcores_are_told_apart() {
    let second = [
        (1000, Event::Wake, false, 8),
        (1010, Event::Enter, true, 1),
        (9000, Event::Exit, true, 0xc00),
    ];
    let mut bytes = trace(&[(9, &second), (17, &second)]);
    let picture = |bytes: &[u8]| svg::draw(&read(bytes).unwrap(), "", "");
    let one = picture(&bytes);
    assert!(one.contains(">core 0x8<") && one.contains(">core 0x10<"));
    assert!(one.contains(">vcpu 3</text>"), "{one}");
    let last = bytes.len() - (RECORDS - 1) * size_of::<Record>();
    bytes[last + core::mem::offset_of!(Record, vcore) + 1] = 5;
    let two = picture(&bytes);
    assert!(two.contains(">vcore 7 vcpu 3</text>") && two.contains(">vcore 5 vcpu 3</text>"));
}

#[test]
fn a_trace_without_records_is_told() {
    assert!(read(&trace(&[(8, &[])])).is_err());
    assert!(read(b"CATTRACE").is_err());
}

/// Whatever the bytes are, reading them ends.
#[test]
fn nonsense_does_no_harm() {
    let whole = trace(&[(8, &[(1, Event::Enter, true, 0), (0, Event::Wake, false, 0)])]);
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            if let Ok(timeline) = read(&bytes) {
                svg::draw(&timeline, "", "");
                perfetto::json(&timeline);
            }
        }
    }
}

/// Eight threads are in the guest until the first leaves; later seven are again, which is not all.
#[test]
fn all_threads_leave_the_guest_when_the_first_does() {
    let stays: [Vec<Told>; 8] = core::array::from_fn(|thread| {
        let late = thread as u64 * 10;
        let mut told = vec![
            (1000 + late, Event::Enter, true, 1),
            (1500 + late, Event::Exit, true, 0x980),
        ];
        if thread > 0 {
            told.push((2000, Event::Enter, true, 1));
            told.push((2500, Event::Exit, true, 0x980));
        }
        told.push((3000, Event::Nap, false, 0));
        told
    });
    let rings: Vec<(u32, &[Told])> = (8..).zip(stays.iter().map(Vec::as_slice)).collect();
    let timeline = read(&trace(&rings)).unwrap();
    assert_eq!(timeline.last_end_of_all(), Some(1500));
    assert_eq!(run().last_end_of_all(), None);
}

//! A timeline as trace-event JSON, which Perfetto (ui.perfetto.dev) and other viewers read: a process for
//! each core, a track for each of its threads.
use hcalls::trace::Event;
use serde_json::{Value, json};

use super::names;
use super::timeline::{Call, State, Timeline, Track};

/// The format's times are microseconds; the first event is at 0.
pub fn json(timeline: &Timeline) -> Value {
    let mut events = Vec::new();
    for track in &timeline.tracks {
        events.extend(titles(track));
        let known = track.slices.iter().filter(|it| it.state != State::Lost);
        events.extend(known.map(|slice| {
            let (from_us, to_us) = (timeline.us(slice.from_tb), timeline.us(slice.to_tb));
            let mut event = at(track.pir, from_us);
            event["ph"] = "X".into();
            event["dur"] = (to_us - from_us).into();
            event["name"] = names::with_vcore(&slice.name, slice.state).into();
            event["cat"] = category(slice.state).into();
            if let State::Guest(vcpu) | State::Ceded(vcpu) = slice.state {
                event["args"] = json!({ "vcore": vcpu.vcore, "slot": vcpu.slot });
            }
            event
        }));
        // Slices begin with these.
        let named = [Event::CallIn, Event::Prod];
        let marks = track.marks.iter().filter(|it| !named.contains(&it.event));
        events.extend(marks.map(|mark| {
            let mut event = at(track.pir, timeline.us(mark.tb));
            event["ph"] = "i".into();
            event["s"] = "t".into();
            event["name"] = mark.text.as_str().into();
            event
        }));
    }
    for (number, call) in timeline.calls.iter().enumerate() {
        events.extend(flow(timeline, call, number));
    }
    json!({ "traceEvents": events, "displayTimeUnit": "ns" })
}

fn at(pir: u32, us: f64) -> Value {
    json!({ "pid": core(pir), "tid": pir, "ts": us })
}

/// PIR of the core's thread 0.
fn core(pir: u32) -> u32 {
    pir & !7
}

fn category(state: State) -> &'static str {
    match state {
        State::Host => "host",
        State::Firmware => "firmware",
        State::Guest(_) => "guest",
        State::Ceded(_) => "ceded",
        State::Nap => "nap",
        State::Lost => "lost",
    }
}

fn titles(track: &Track) -> [Value; 2] {
    let (core, pir) = (core(track.pir), track.pir);
    let thread = format!("thread {} (PIR {pir:#x})", pir & 7);
    [
        json!({ "ph": "M", "name": "process_name", "pid": core,
                "args": { "name": format!("core {core:#x}") } }),
        json!({ "ph": "M", "name": "thread_name", "pid": core, "tid": pir,
                "args": { "name": thread } }),
    ]
}

/// An arrow between the slices in which a call was made and heard.
fn flow(timeline: &Timeline, call: &Call, number: usize) -> [Value; 2] {
    let end = |pir, tb, phase: &str| {
        let mut event = at(pir, timeline.us(tb));
        event["ph"] = phase.into();
        event["id"] = number.into();
        event["name"] = "IPI".into();
        event["cat"] = "ipi".into();
        event["bp"] = "e".into();
        event
    };
    [
        end(call.from_pir, call.from_tb, "s"),
        end(call.to_pir, call.to_tb, "f"),
    ]
}

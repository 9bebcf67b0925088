//! A timeline as a picture: a lane for each thread, time from left to right.
use std::fmt::Write;

use hcalls::trace::Event;

use super::names;
use super::timeline::{Call, Mark, Slice, State, Timeline, Track};

const LABELS_PX: f64 = 108.0;
const TIME_PX: f64 = 1160.0;
const RIGHT_PX: f64 = 18.0;
/// Title and legend.
const HEAD_PX: f64 = 86.0;
const LANE_PX: f64 = 24.0;
const GAP_PX: f64 = 6.0;
/// Between cores; what their threads ask for is written there.
const CORE_GAP_PX: f64 = 30.0;
const AXIS_PX: f64 = 34.0;
/// Of a letter, and of a capital.
const LETTER_PX: f64 = 5.7;
const CAPITAL_PX: f64 = 7.8;

const STYLE: &str = "text{font:11px ui-sans-serif,system-ui,'DejaVu Sans',sans-serif;fill:#1f2933}\
.title{font-size:17px;font-weight:600}.small{fill:#52606d}.core{font-weight:600}\
.asked{fill:#334e68;stroke:#fff;stroke-width:3;paint-order:stroke}\
.host{fill:#9fb3c8}.firmware{fill:#f7c04a}.guest{fill:#57ae7f}.ceded{fill:#c6ead8}.nap{fill:#eceff3}\
.call{stroke:#3e4c59;stroke-width:.9;fill:none;marker-end:url(#head)}\
.grid{stroke:#d5dbe1;stroke-width:.6}.lost{fill:#fff;stroke:#d5dbe1;stroke-dasharray:3}\
.world{fill:#3e4c59}.pull{fill:#d64545}.kick{fill:#8719e0}.join{fill:#2186eb}\
.other{fill:#616e7c}";

/// What the legend tells: class and text.
const LEGEND: [(&str, &str); 6] = [
    ("host", "host"),
    ("firmware", "firmware"),
    ("guest", "guest"),
    ("ceded", "nap in H_CEDE"),
    ("nap", "nap"),
    ("lost", "records written over"),
];
const MARKS: [(&str, &str); 5] = [
    ("world", "core to the firmware, and back"),
    ("join", "late joiner"),
    ("kick", "kick"),
    ("pull", "first to leave brings the others out"),
    ("other", "other events"),
];

/// The picture; `title` is its first line, `note` ends the second.
pub fn draw(timeline: &Timeline, title: &str, note: &str) -> String {
    let lanes = Lanes::of(timeline);
    let (width, height) = (LABELS_PX + TIME_PX + RIGHT_PX, lanes.end_px + AXIS_PX);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n<defs><marker id=\"head\" viewBox=\"0 0 6 6\" refX=\"5.5\" \
         refY=\"3\" markerWidth=\"6\" markerHeight=\"6\" orient=\"auto\">\
         <path d=\"M0 0.6 6 3 0 5.4z\" fill=\"#3e4c59\"/></marker></defs>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\" rx=\"6\"/>\n"
    );
    head(&mut out, timeline, title, note);
    legend(&mut out, timeline);
    axis(&mut out, timeline, lanes.end_px);
    let in_full = timeline.has_vcores();
    for (track, top_px) in timeline.tracks.iter().zip(&lanes.tops_px) {
        lane(&mut out, timeline, track, *top_px, in_full);
    }
    for call in &timeline.calls {
        arrow(&mut out, timeline, call, &lanes);
    }
    for (pir, top_px) in lanes.firsts() {
        core(&mut out, timeline, pir, top_px);
    }
    out + "</svg>\n"
}

/// Where each track's lane is.
struct Lanes {
    pirs: Vec<u32>,
    tops_px: Vec<f64>,
    end_px: f64,
}

impl Lanes {
    fn of(timeline: &Timeline) -> Self {
        let pirs: Vec<_> = timeline.tracks.iter().map(|track| track.pir).collect();
        let mut tops_px = Vec::new();
        let mut top_px = HEAD_PX;
        for number in 0..pirs.len() {
            if is_first(&pirs, number) {
                top_px += CORE_GAP_PX;
            }
            tops_px.push(top_px);
            top_px += LANE_PX + GAP_PX;
        }
        Self {
            pirs,
            tops_px,
            end_px: top_px,
        }
    }

    fn top_px(&self, pir: u32) -> Option<f64> {
        let place = self.pirs.iter().position(|it| *it == pir)?;
        Some(self.tops_px[place])
    }

    /// Each core's first lane: whose it is, and where.
    fn firsts(&self) -> impl Iterator<Item = (u32, f64)> {
        let lanes = self.pirs.iter().copied().zip(self.tops_px.iter().copied());
        let firsts = lanes.enumerate();
        firsts.filter_map(|(number, lane)| is_first(&self.pirs, number).then_some(lane))
    }
}

/// Of its core.
fn is_first(pirs: &[u32], number: usize) -> bool {
    number == 0 || pirs[number - 1] & !7 != pirs[number] & !7
}

fn x_px(timeline: &Timeline, tb: u64) -> f64 {
    let (from_us, to_us) = (timeline.us(timeline.from_tb), timeline.us(timeline.to_tb));
    let all_us = (to_us - from_us).max(f64::MIN_POSITIVE);
    LABELS_PX + TIME_PX * (timeline.us(tb) - from_us) / all_us
}

/// About what a text takes.
fn width_px(text: &str) -> f64 {
    let capital = |letter: char| letter.is_ascii_uppercase() || letter == '_';
    let letters = text.chars().map(|it| match capital(it) {
        true => CAPITAL_PX,
        false => LETTER_PX,
    });
    letters.sum()
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory takes everything");
    out.push('\n');
}

fn head(out: &mut String, timeline: &Timeline, title: &str, note: &str) {
    let threads = timeline.tracks.len();
    let us = timeline.us(timeline.to_tb) - timeline.us(timeline.from_tb);
    let (divisor, unit) = unit(us / 10.0);
    let time = us / divisor;
    let note = match note {
        "" => String::new(),
        note => format!("; {note}"),
    };
    put(
        out,
        format_args!(
            "<text class=\"title\" x=\"14\" y=\"28\">{title}</text>\n<text class=\"small\" x=\"14\" \
             y=\"47\">{threads} hardware threads, {time:.1} {unit}; arrows are calls by IPI{note}</text>"
        ),
    );
}

/// What is in the picture, and no more.
fn legend(out: &mut String, timeline: &Timeline) {
    let slices = || timeline.tracks.iter().flat_map(|track| &track.slices);
    let marks = || timeline.tracks.iter().flat_map(|track| &track.marks);
    let mut x_px = 14.0;
    for (class, text) in LEGEND {
        if !slices().any(|slice| class_of(slice.state) == class) {
            continue;
        }
        put(
            out,
            format_args!(
                "<rect class=\"{class}\" x=\"{x_px}\" y=\"60\" width=\"18\" height=\"12\"/>\
                 <text x=\"{}\" y=\"70\">{text}</text>",
                x_px + 24.0
            ),
        );
        x_px += 24.0 + width_px(text) + 16.0;
    }
    for (class, text) in MARKS {
        if !marks().any(|mark| class_of_mark(mark.event) == Some(class)) {
            continue;
        }
        put(
            out,
            format_args!(
                "{}<text x=\"{}\" y=\"70\">{text}</text>",
                triangle(class, x_px + 5.0, 61.0),
                x_px + 14.0
            ),
        );
        x_px += 14.0 + width_px(text) + 16.0;
    }
}

/// Lines at round times.
fn axis(out: &mut String, timeline: &Timeline, end_px: f64) {
    let (from_us, to_us) = (timeline.us(timeline.from_tb), timeline.us(timeline.to_tb));
    let step_us = step(to_us - from_us);
    let (divisor, unit) = unit(step_us);
    // Times are not added up: tenths would not stay what they are.
    let mut number = (from_us / step_us).ceil();
    while number * step_us <= to_us {
        let us = number * step_us;
        let x_px = LABELS_PX + TIME_PX * (us - from_us) / (to_us - from_us);
        let time = format!("{:.3}", us / divisor);
        let time = time.trim_end_matches('0').trim_end_matches('.');
        put(
            out,
            format_args!(
                "<line class=\"grid\" x1=\"{x_px:.1}\" x2=\"{x_px:.1}\" y1=\"{}\" y2=\"{end_px}\"/>\
                 <text class=\"small\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{time} {unit}</text>",
                HEAD_PX + CORE_GAP_PX - 8.0,
                x_px.min(LABELS_PX + TIME_PX - 8.0),
                end_px + 16.0
            ),
        );
        number += 1.0;
    }
}

/// In which such times are told, and how many microseconds it has.
fn unit(us: f64) -> (f64, &'static str) {
    match us {
        1e6.. => (1e6, "s"),
        1e3.. => (1e3, "ms"),
        _ => (1.0, "µs"),
    }
}

/// 1, 2 or 5 times a power of ten, so that there are about ten.
fn step(all_us: f64) -> f64 {
    let rough = (all_us / 10.0).max(1e-3);
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0];
    let fits = factor.into_iter().find(|factor| factor * power >= rough);
    fits.unwrap_or(10.0) * power
}

/// A core's name, and what its threads ask for: the host's calls, a guest's H_PROD; as far as there is room.
fn core(out: &mut String, timeline: &Timeline, pir: u32, top_px: f64) {
    let y = top_px - 8.0;
    put(
        out,
        format_args!(
            "<text class=\"core\" x=\"14\" y=\"{y}\">core {:#x}</text>",
            pir & !7
        ),
    );
    let tracks = timeline.tracks.iter().filter(|it| it.pir & !7 == pir & !7);
    let mut asked: Vec<_> = tracks
        .flat_map(|track| &track.marks)
        .filter(|mark| matches!(mark.event, Event::CallIn | Event::Prod))
        .collect();
    asked.sort_by_key(|mark| mark.tb);
    let mut free_px = 0.0;
    for mark in asked {
        let x_px = x_px(timeline, mark.tb);
        let end_px = x_px + width_px(&mark.text);
        if x_px >= free_px && end_px <= LABELS_PX + TIME_PX {
            put(
                out,
                format_args!(
                    "<text class=\"asked\" x=\"{x_px:.1}\" y=\"{y}\">{}</text>",
                    mark.text
                ),
            );
            free_px = end_px + 8.0;
        }
    }
}

fn lane(out: &mut String, timeline: &Timeline, track: &Track, top_px: f64, in_full: bool) {
    let middle_px = top_px + LANE_PX / 2.0 + 4.0;
    let thread = track.pir & 7;
    put(
        out,
        format_args!("<text x=\"28\" y=\"{middle_px}\">thread {thread}</text>"),
    );
    for slice in &track.slices {
        rectangle(out, timeline, slice, top_px, in_full);
    }
    for mark in &track.marks {
        sign(out, timeline, mark, top_px);
    }
}

fn class_of(state: State) -> &'static str {
    match state {
        State::Host => "host",
        State::Firmware => "firmware",
        State::Guest(_) => "guest",
        State::Ceded(_) => "ceded",
        State::Nap => "nap",
        State::Lost => "lost",
    }
}

/// `in_full`: the vcore is to be told, too.
fn rectangle(out: &mut String, timeline: &Timeline, slice: &Slice, top_px: f64, in_full: bool) {
    let x = x_px(timeline, slice.from_tb);
    let width = x_px(timeline, slice.to_tb) - x;
    let class = class_of(slice.state);
    let full = names::with_vcore(&slice.name, slice.state);
    let ns = (timeline.us(slice.to_tb) - timeline.us(slice.from_tb)) * 1000.0;
    put(
        out,
        format_args!(
            "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{top_px}\" width=\"{width:.2}\" \
             height=\"{LANE_PX}\"><title>{full}, {ns:.0} ns</title></rect>"
        ),
    );
    let name = if in_full { &full } else { &slice.name };
    if width > width_px(name) + 6.0 {
        let y = top_px + LANE_PX / 2.0 + 4.0;
        put(
            out,
            format_args!("<text x=\"{:.2}\" y=\"{y}\">{name}</text>", x + 4.0),
        );
    }
}

/// Arrows show calls, slices' names how vcpus left, and the line above the core what is asked for.
fn class_of_mark(event: Event) -> Option<&'static str> {
    match event {
        Event::Call | Event::Taken | Event::Left | Event::CallIn | Event::Prod => None,
        Event::Pull => Some("pull"),
        Event::Kick => Some("kick"),
        Event::Join => Some("join"),
        Event::WorldIn | Event::WorldOut => Some("world"),
        _ => Some("other"),
    }
}

fn sign(out: &mut String, timeline: &Timeline, mark: &Mark, top_px: f64) {
    let Some(class) = class_of_mark(mark.event) else {
        return;
    };
    let shape = triangle(class, x_px(timeline, mark.tb), top_px - 4.0);
    put(
        out,
        format_args!("<g>{shape}<title>{}</title></g>", mark.text),
    );
}

/// A triangle that points down, its tip 10 below.
fn triangle(class: &str, x_px: f64, top_px: f64) -> String {
    let (left, right, tip) = (x_px - 5.0, x_px + 5.0, top_px + 10.0);
    format!("<path class=\"{class}\" d=\"M{left:.1} {top_px:.1}H{right:.1}L{x_px:.1} {tip:.1}z\"/>")
}

/// From the lane of who calls to that of who is called.
fn arrow(out: &mut String, timeline: &Timeline, call: &Call, lanes: &Lanes) {
    let (Some(from_top), Some(to_top)) = (lanes.top_px(call.from_pir), lanes.top_px(call.to_pir))
    else {
        return;
    };
    let down = to_top > from_top;
    let edge = |top: f64, low: bool| if low { top + LANE_PX } else { top };
    let (from_y, to_y) = (edge(from_top, down), edge(to_top, !down));
    let (from_x, to_x) = (x_px(timeline, call.from_tb), x_px(timeline, call.to_tb));
    put(
        out,
        format_args!("<path class=\"call\" d=\"M{from_x:.1} {from_y}L{to_x:.1} {to_y}\"/>"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        for (all_us, wanted) in [(45.0, 5.0), (9.0, 1.0), (120.0, 20.0), (0.7, 0.1)] {
            assert!((step(all_us) - wanted).abs() < 1e-9, "{all_us}");
        }
    }

    #[test]
    fn long_times_have_longer_units() {
        for (us, wanted) in [(0.5, "µs"), (999.0, "µs"), (1000.0, "ms"), (5e6, "s")] {
            assert_eq!(unit(us).1, wanted, "{us}");
        }
    }
}

//! A timeline as a picture: a lane for each thread, time from left to right.
use std::fmt::Write;

use hcalls::trace::Event;

use super::timeline::{Call, Mark, Slice, State, Timeline, Track};

const LABELS_PX: f64 = 108.0;
const TIME_PX: f64 = 1160.0;
const RIGHT_PX: f64 = 18.0;
/// Title and legend.
const HEAD_PX: f64 = 86.0;
const LANE_PX: f64 = 24.0;
const GAP_PX: f64 = 6.0;
/// Between cores.
const CORE_GAP_PX: f64 = 26.0;
const AXIS_PX: f64 = 34.0;
/// Of a letter of a slice's name.
const LETTER_PX: f64 = 6.2;

const STYLE: &str = "text{font:11px ui-sans-serif,system-ui,'DejaVu Sans',sans-serif;fill:#1f2933}\
.title{font-size:17px;font-weight:600}.small{fill:#52606d}.core{font-weight:600}\
.host{fill:#9fb3c8}.firmware{fill:#f7c04a}.guest{fill:#57ae7f}.ceded{fill:#c6ead8}.nap{fill:#eceff3}\
.call{stroke:#3e4c59;stroke-width:.9;fill:none;marker-end:url(#head)}\
.grid{stroke:#d5dbe1;stroke-width:.6}.pull{fill:#d64545}.kick{fill:#8719e0}.join{fill:#2186eb}\
.other{fill:#616e7c}";

/// What the legend tells: class and text.
const LEGEND: [(&str, &str); 5] = [
    ("host", "host"),
    ("firmware", "firmware"),
    ("guest", "guest"),
    ("ceded", "nap in H_CEDE"),
    ("nap", "nap"),
];
const MARKS: [(&str, &str); 4] = [
    ("join", "late joiner"),
    ("kick", "kick"),
    ("pull", "first to leave brings the others out"),
    ("other", "other events"),
];

/// The picture; `title` is its first line.
pub fn draw(timeline: &Timeline, title: &str) -> String {
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
    head(&mut out, timeline, title);
    axis(&mut out, timeline, lanes.end_px);
    for (track, top_px) in timeline.tracks.iter().zip(&lanes.tops_px) {
        lane(&mut out, timeline, track, *top_px);
    }
    for call in &timeline.calls {
        arrow(&mut out, timeline, call, &lanes);
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
        for (number, pir) in pirs.iter().enumerate() {
            if number == 0 || pirs[number - 1] & !7 != pir & !7 {
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
}

fn x_px(timeline: &Timeline, tb: u64) -> f64 {
    let all_us = timeline.us(timeline.to_tb).max(f64::MIN_POSITIVE);
    LABELS_PX + TIME_PX * timeline.us(tb) / all_us
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory takes everything");
    out.push('\n');
}

fn head(out: &mut String, timeline: &Timeline, title: &str) {
    let (threads, us) = (timeline.tracks.len(), timeline.us(timeline.to_tb));
    put(
        out,
        format_args!(
            "<text class=\"title\" x=\"14\" y=\"28\">{title}</text>\n<text class=\"small\" x=\"14\" \
             y=\"47\">{threads} hardware threads, {us:.1} µs; arrows are calls by IPI</text>"
        ),
    );
    let mut x_px = 14.0;
    for (class, text) in LEGEND {
        put(
            out,
            format_args!(
                "<rect class=\"{class}\" x=\"{x_px}\" y=\"60\" width=\"18\" height=\"12\"/>\
                 <text x=\"{}\" y=\"70\">{text}</text>",
                x_px + 24.0
            ),
        );
        x_px += 24.0 + text.len() as f64 * LETTER_PX + 20.0;
    }
    for (class, text) in MARKS {
        put(
            out,
            format_args!(
                "{}<text x=\"{}\" y=\"70\">{text}</text>",
                triangle(class, x_px + 5.0, 61.0),
                x_px + 14.0
            ),
        );
        x_px += 14.0 + text.len() as f64 * LETTER_PX + 20.0;
    }
}

/// Lines at round times.
fn axis(out: &mut String, timeline: &Timeline, end_px: f64) {
    let all_us = timeline.us(timeline.to_tb);
    let step_us = step(all_us);
    let mut us = 0.0;
    while us <= all_us {
        let x_px = LABELS_PX + TIME_PX * us / all_us.max(f64::MIN_POSITIVE);
        put(
            out,
            format_args!(
                "<line class=\"grid\" x1=\"{x_px:.1}\" x2=\"{x_px:.1}\" y1=\"{}\" y2=\"{end_px}\"/>\
                 <text class=\"small\" x=\"{x_px:.1}\" y=\"{}\" text-anchor=\"middle\">{us} µs</text>",
                HEAD_PX + CORE_GAP_PX - 8.0,
                end_px + 16.0
            ),
        );
        us += step_us;
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

fn lane(out: &mut String, timeline: &Timeline, track: &Track, top_px: f64) {
    let (core, thread) = (track.pir & !7, track.pir & 7);
    let middle_px = top_px + LANE_PX / 2.0 + 4.0;
    if thread == 0 {
        let above_px = top_px - 8.0;
        put(
            out,
            format_args!("<text class=\"core\" x=\"14\" y=\"{above_px}\">core {core:#x}</text>"),
        );
    }
    put(
        out,
        format_args!("<text x=\"28\" y=\"{middle_px}\">thread {thread}</text>"),
    );
    for slice in &track.slices {
        rectangle(out, timeline, slice, top_px);
    }
    for mark in &track.marks {
        sign(out, timeline, mark, top_px);
    }
}

fn rectangle(out: &mut String, timeline: &Timeline, slice: &Slice, top_px: f64) {
    let x = x_px(timeline, slice.from_tb);
    let width = x_px(timeline, slice.to_tb) - x;
    let class = match slice.state {
        State::Host => "host",
        State::Firmware => "firmware",
        State::Guest(_) => "guest",
        State::Ceded(_) => "ceded",
        State::Nap => "nap",
    };
    let ns = (timeline.us(slice.to_tb) - timeline.us(slice.from_tb)) * 1000.0;
    put(
        out,
        format_args!(
            "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{top_px}\" width=\"{width:.2}\" \
             height=\"{LANE_PX}\"><title>{}, {ns:.0} ns</title></rect>",
            slice.name
        ),
    );
    if width > slice.name.len() as f64 * LETTER_PX + 6.0 {
        let y = top_px + LANE_PX / 2.0 + 4.0;
        put(
            out,
            format_args!("<text x=\"{:.2}\" y=\"{y}\">{}</text>", x + 4.0, slice.name),
        );
    }
}

fn sign(out: &mut String, timeline: &Timeline, mark: &Mark, top_px: f64) {
    let class = match mark.event {
        Event::Pull => "pull",
        Event::Kick => "kick",
        Event::Join => "join",
        // Arrows show these; and the end of a vcpu is in its slice's name.
        Event::Call | Event::Taken | Event::Left => return,
        _ => "other",
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
}

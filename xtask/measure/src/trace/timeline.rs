//! What each hardware thread did when: the trace's records, as slices of time that follow each other.
use hcalls::trace::{Event, NO_SLOT, Record, Trace};

use super::names;

/// Of a core.
const ALL_THREADS: usize = 8;

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Host,
    Firmware,
    Guest(Vcpu),
    /// Naps in H_CEDE.
    Ceded(Vcpu),
    Nap,
    /// Its records of that time were written over.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vcpu {
    pub vcore: u16,
    pub slot: u8,
}

/// A thread is in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    pub from_tb: u64,
    pub to_tb: u64,
    pub state: State,
    pub name: String,
}

/// Something that takes no time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub tb: u64,
    pub event: Event,
    pub text: String,
}

/// One hardware thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    pub pir: u32,
    pub slices: Vec<Slice>,
    pub marks: Vec<Mark>,
    /// Records that were written over.
    pub lost: u64,
}

/// A thread calls another, which wakes or takes note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub from_pir: u32,
    pub from_tb: u64,
    pub to_pir: u32,
    pub to_tb: u64,
}

/// All threads that recorded anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// What times are counted from; a part of a timeline keeps it.
    pub zero_tb: u64,
    pub from_tb: u64,
    pub to_tb: u64,
    pub tb_hz: u64,
    pub tracks: Vec<Track>,
    pub calls: Vec<Call>,
}

impl Timeline {
    /// `None`: nothing was recorded.
    pub fn of(trace: &Trace<'_>) -> Option<Self> {
        let rings: Vec<(u32, u64, Vec<Record>)> = trace
            .rings()
            .map(|ring| (ring.pir(), ring.lost(), shown(ring.records().collect())))
            .filter(|(_, _, records)| !records.is_empty())
            .collect();
        let times = || rings.iter().flat_map(|ring| &ring.2).map(|it| it.tb.get());
        let (from_tb, to_tb) = (times().min()?, times().max()?);
        let tracks = rings.iter().map(|(pir, lost, records)| {
            let mut track = Track::new(*pir, *lost, from_tb, &records[0]);
            if *lost > 0 {
                track.go_to(records[0].tb.get(), state_before(&records[0]));
            }
            records.iter().for_each(|record| track.take(record));
            track.end(to_tb);
            track
        });
        Some(Self {
            zero_tb: from_tb,
            from_tb,
            to_tb,
            tb_hz: trace.header.tb_hz.get().max(1),
            tracks: tracks.collect(),
            calls: calls(&rings),
        })
    }

    /// The last time that a thread left the guest while all others of a core of eight were there, too.
    pub fn last_end_of_all(&self) -> Option<u64> {
        let is_guest = |slice: &&Slice| matches!(slice.state, State::Guest(_));
        let inside = |track: &Track, tb: u64| {
            let of_then = |slice: &&Slice| slice.from_tb < tb && tb <= slice.to_tb;
            track
                .slices
                .iter()
                .filter(is_guest)
                .any(|slice| of_then(&slice))
        };
        let all = self.tracks.iter().flat_map(|track| &track.slices);
        let ends = all.filter(is_guest).map(|slice| slice.to_tb);
        let mut ends: Vec<u64> = ends.filter(|tb| *tb < self.to_tb).collect();
        ends.sort_unstable();
        ends.into_iter().rev().find(|&tb| {
            let inside = self.tracks.iter().filter(|track| inside(track, tb));
            inside.count() == ALL_THREADS
        })
    }

    /// From the beginning, in microseconds.
    pub fn us(&self, tb: u64) -> f64 {
        tb.saturating_sub(self.zero_tb) as f64 * 1e6 / self.tb_hz as f64
    }

    /// What is between these, in microseconds from the beginning; `None`: nothing is.
    pub fn part(mut self, from_us: f64, to_us: f64) -> Option<Self> {
        if from_us <= 0.0 && to_us == f64::INFINITY {
            return Some(self);
        }
        let tb = |us: f64| {
            let ticks = (us.max(0.0) * self.tb_hz as f64 / 1e6) as u64;
            self.zero_tb.saturating_add(ticks)
        };
        let (from_tb, to_tb) = (self.from_tb.max(tb(from_us)), self.to_tb.min(tb(to_us)));
        let within = |tb: u64| (from_tb..=to_tb).contains(&tb);
        for track in &mut self.tracks {
            track
                .slices
                .retain(|it| it.from_tb < to_tb && it.to_tb > from_tb);
            for slice in &mut track.slices {
                slice.from_tb = slice.from_tb.max(from_tb);
                slice.to_tb = slice.to_tb.min(to_tb);
            }
            track.marks.retain(|mark| within(mark.tb));
        }
        self.calls
            .retain(|call| within(call.from_tb) && within(call.to_tb));
        (self.from_tb, self.to_tb) = (from_tb, to_tb);
        (from_tb < to_tb).then_some(self)
    }

    /// More than one vcore ran.
    pub fn has_vcores(&self) -> bool {
        let slices = self.tracks.iter().flat_map(|track| &track.slices);
        let mut vcores = slices.filter_map(|slice| match slice.state {
            State::Guest(vcpu) | State::Ceded(vcpu) => Some(vcpu.vcore),
            _ => None,
        });
        let first = vcores.next();
        vcores.any(|vcore| Some(vcore) != first)
    }
}

/// The call that ended the trace never came back in it.
fn shown(mut records: Vec<Record>) -> Vec<Record> {
    let stop = |record: &Record| {
        let token = u32::from(hcalls::Token::SmtTrace as u16);
        record.event == Event::CallIn as u8 && record.arg.get() == token
    };
    if records.last().is_some_and(stop) {
        records.pop();
    }
    records
}

impl Track {
    /// A thread up to its first record, which tells what it was doing.
    fn new(pir: u32, lost: u64, from_tb: u64, first: &Record) -> Self {
        let state = match lost {
            0 => state_before(first),
            _ => State::Lost,
        };
        let slice = Slice {
            from_tb,
            to_tb: from_tb,
            state,
            name: names::of_state(state),
        };
        Self {
            pir,
            slices: vec![slice],
            marks: Vec::new(),
            lost,
        }
    }

    fn take(&mut self, record: &Record) {
        let (tb, arg) = (record.tb.get(), record.arg.get());
        // Events of another version than this tool's.
        let Ok(event) = Event::try_from(record.event) else {
            return;
        };
        match event {
            Event::CallIn => {
                self.mark(tb, event, names::of_call(arg));
                self.go(tb, State::Firmware, names::of_call(arg));
            }
            Event::CallOut | Event::ToHost => self.go_to(tb, State::Host),
            Event::Wake => self.go(
                tb,
                State::Firmware,
                format!("woken by {}", names::cause(arg)),
            ),
            Event::Enter | Event::Resume => self.go_to(tb, State::Guest(vcpu(record))),
            Event::Exit => self.go(tb, State::Firmware, format!("out: {}", names::vector(arg))),
            Event::Cede => self.go(tb, State::Firmware, "H_CEDE".into()),
            Event::Confer => self.go(tb, State::Firmware, "H_CONFER".into()),
            Event::Prod => {
                let name = format!("H_PROD of vcpu {arg}");
                self.mark(tb, event, name.clone());
                self.go(tb, State::Firmware, name);
            }
            Event::Nap if record.slot != NO_SLOT => self.go_to(tb, State::Ceded(vcpu(record))),
            Event::Nap => self.go_to(tb, State::Nap),
            _ => self.mark(tb, event, names::of_mark(event, record)),
        }
        if event == Event::Left {
            self.now().name = names::of_mark(event, record);
        }
    }

    fn mark(&mut self, tb: u64, event: Event, text: String) {
        self.marks.push(Mark { tb, event, text });
    }

    fn now(&mut self) -> &mut Slice {
        self.slices.last_mut().expect("there is one from the start")
    }

    fn go_to(&mut self, tb: u64, state: State) {
        self.go(tb, state, names::of_state(state));
    }

    fn go(&mut self, tb: u64, state: State, name: String) {
        self.end(tb);
        let slice = Slice {
            from_tb: tb,
            to_tb: tb,
            state,
            name,
        };
        // What took no time, as before the first record of all, was nothing.
        match self.slices.last_mut() {
            Some(last) if last.from_tb == tb => *last = slice,
            _ => self.slices.push(slice),
        }
    }

    fn end(&mut self, tb: u64) {
        self.now().to_tb = tb;
    }
}

fn vcpu(record: &Record) -> Vcpu {
    Vcpu {
        vcore: record.vcore.get(),
        slot: record.slot,
    }
}

/// What a thread does that records this next.
fn state_before(record: &Record) -> State {
    match Event::try_from(record.event) {
        Ok(Event::CallIn) => State::Host,
        Ok(Event::Wake) if record.slot != NO_SLOT => State::Ceded(vcpu(record)),
        Ok(Event::Wake) => State::Nap,
        Ok(Event::Exit | Event::Cede | Event::Prod | Event::Confer) => State::Guest(vcpu(record)),
        _ => State::Firmware,
    }
}

/// Each call, with the first wake-up or note of the called thread after it; unless that may have been
/// written over.
fn calls(rings: &[(u32, u64, Vec<Record>)]) -> Vec<Call> {
    let mut calls = Vec::new();
    for (from_pir, _, records) in rings {
        for record in records {
            let (tb, to_pir) = (record.tb.get(), record.arg.get());
            if record.event != Event::Call as u8 {
                continue;
            }
            let called = rings.iter().find(|(pir, lost, records)| {
                *pir == to_pir && (*lost == 0 || records[0].tb.get() <= tb)
            });
            let heard = called.and_then(|(_, _, records)| {
                let hears = [Event::Wake as u8, Event::Taken as u8];
                let mut after = records.iter().filter(|it| it.tb.get() >= tb);
                after.find(|it| hears.contains(&it.event))
            });
            calls.extend(heard.map(|heard| Call {
                from_pir: *from_pir,
                from_tb: tb,
                to_pir,
                to_tb: heard.tb.get(),
            }));
        }
    }
    calls
}

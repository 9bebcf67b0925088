//! What each hardware thread did when: the trace's records, as slices of time that follow each other.
use hcalls::exit::ExitReason;
use hcalls::trace::{Event, NO_SLOT, Record, Trace};

use super::names;

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Host,
    Firmware,
    Guest(Vcpu),
    /// Naps in H_CEDE.
    Ceded(Vcpu),
    Nap,
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
            records.iter().for_each(|record| track.take(record));
            track.end(to_tb);
            track
        });
        Some(Self {
            from_tb,
            to_tb,
            tb_hz: trace.header.tb_hz.get().max(1),
            tracks: tracks.collect(),
            calls: calls(&rings),
        })
    }

    /// From the beginning, in microseconds.
    pub fn us(&self, tb: u64) -> f64 {
        tb.saturating_sub(self.from_tb) as f64 * 1e6 / self.tb_hz as f64
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
        let state = state_before(first);
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
            Event::CallIn => self.go(tb, State::Firmware, names::of_call(arg)),
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
            Event::Prod => self.go(tb, State::Firmware, format!("H_PROD of vcpu {arg}")),
            Event::Nap if record.slot != NO_SLOT => self.go_to(tb, State::Ceded(vcpu(record))),
            Event::Nap => self.go_to(tb, State::Nap),
            _ => self.marks.push(Mark {
                tb,
                event,
                text: names::of_mark(event, arg),
            }),
        }
        if event == Event::Left {
            let reason = ExitReason::try_from(arg);
            let reason = reason.map_or_else(|_| arg.to_string(), |it| format!("{it:?}"));
            self.now().name = format!("vcpu {} is out: {reason}", record.slot);
        }
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

/// Each call, with the first wake-up or note of the called thread after it.
fn calls(rings: &[(u32, u64, Vec<Record>)]) -> Vec<Call> {
    let mut calls = Vec::new();
    for (from_pir, _, records) in rings {
        for record in records {
            let (tb, to_pir) = (record.tb.get(), record.arg.get());
            if record.event != Event::Call as u8 {
                continue;
            }
            let called = rings.iter().find(|(pir, ..)| *pir == to_pir);
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

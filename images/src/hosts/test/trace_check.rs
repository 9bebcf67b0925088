//! Whether a trace can have happened: what each thread did follows from what it did before, and what
//! threads did to each other has come about.
use alloc::string::String;
use alloc::vec::Vec;

use hcalls::exit::ExitReason;
use hcalls::trace::{Event, Record, Ring, Trace};

use crate::check::{Outcome, same};

/// The cause of a wake-up by an IPI.
const BY_IPI: u32 = 8;

/// What a thread was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before its first record.
    Unknown,
    Host,
    Firmware,
    Guest,
    Nap,
    /// Naps in H_CEDE.
    Ceded,
}

/// How often things were done, on all threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub runs: u64,
    pub entries: u64,
    /// Threads that came too late to enter.
    pub late: u64,
    pub calls: u64,
    pub pulls: u64,
    pub cedes: u64,
    pub prods: u64,
    /// Naps in H_CEDE.
    pub ceded_naps: u64,
    pub kicks: u64,
    pub joins: u64,
}

/// One thread, record after record.
struct Walk {
    pir: u32,
    state: State,
    before_tb: u64,
    /// It has entered and not left.
    seated: bool,
    /// In a run, on thread 0.
    in_run: bool,
}

/// Checks all that was recorded since the last Start, which was before the runs that it tells of.
pub fn check(trace: &Trace<'_>) -> Result<Totals, String> {
    let mut totals = Totals::default();
    for ring in trace.rings() {
        same("records lost", ring.lost(), 0)?;
        walk(&ring, &mut totals)?;
    }
    for ring in trace.rings() {
        calls_come_first(trace, &ring)?;
    }
    Ok(totals)
}

fn walk(ring: &Ring<'_>, totals: &mut Totals) -> Outcome {
    let mut walk = Walk {
        pir: ring.pir(),
        state: State::Unknown,
        before_tb: 0,
        seated: false,
        in_run: false,
    };
    for (number, record) in ring.records().enumerate() {
        walk.step(&record, totals).map_err(|why| {
            let records: Vec<_> = ring.records().take(number + 1).collect();
            let last = &records[records.len().saturating_sub(6)..];
            alloc::format!("thread {:#x}: {why}, after {last:x?}", walk.pir)
        })?;
    }
    ensure!(!walk.seated, "thread {:#x} never left", walk.pir);
    ensure!(!walk.in_run, "a run on thread {:#x} never ended", walk.pir);
    Ok(())
}

impl Walk {
    fn step(&mut self, record: &Record, totals: &mut Totals) -> Outcome {
        let tb = record.tb.get();
        ensure!(tb >= self.before_tb, "time goes back");
        self.before_tb = tb;
        let event = Event::try_from(record.event).map_err(|_| "no event")?;
        self.count(event, record.arg.get(), totals)?;
        self.state = self.next(event, record.arg.get())?;
        Ok(())
    }

    /// What the thread does after this.
    fn next(&self, event: Event, arg: u32) -> Result<State, String> {
        use State::{Ceded, Firmware, Guest, Host, Nap, Unknown};
        Ok(match (event, self.state) {
            (Event::CallIn, Unknown | Host) => Firmware,
            (Event::CallOut, Unknown | Firmware) | (Event::ToHost, Firmware) => Host,
            (Event::Wake, Unknown | Nap | Ceded) => Firmware,
            (Event::Enter | Event::Resume, Firmware) => Guest,
            (Event::Cede | Event::Prod | Event::Confer, Guest) => Firmware,
            // A hypercall that isn't served comes out when it has been looked at.
            (Event::Exit, Guest | Firmware) => Firmware,
            (Event::Nap, Firmware) if arg == 1 => Ceded,
            (Event::Nap, Firmware) => Nap,
            (
                Event::WorldIn
                | Event::WorldOut
                | Event::Left
                | Event::Call
                | Event::Taken
                | Event::Pull
                | Event::Kick
                | Event::Join,
                Firmware,
            ) => Firmware,
            (event, state) => return Err(alloc::format!("{event:?} in state {state:?}")),
        })
    }

    fn count(&mut self, event: Event, arg: u32, totals: &mut Totals) -> Outcome {
        match event {
            Event::WorldIn => {
                ensure!(!self.in_run, "a run in a run");
                self.in_run = true;
            }
            Event::WorldOut => {
                ensure!(self.in_run, "the end of no run");
                self.in_run = false;
                totals.runs += 1;
            }
            Event::Enter => {
                ensure!(!self.seated, "a second entry");
                self.seated = true;
                totals.entries += 1;
            }
            Event::Left => {
                let late = arg == ExitReason::None as u32;
                ensure!(
                    self.seated != late,
                    "it left for {arg}, seated: {}",
                    self.seated
                );
                self.seated = false;
                totals.late += u64::from(late);
            }
            Event::Nap if arg == 1 => totals.ceded_naps += 1,
            Event::Nap => ensure!(!self.seated, "a nap before it left"),
            Event::Call => totals.calls += 1,
            Event::Pull => totals.pulls += 1,
            Event::Cede => totals.cedes += 1,
            Event::Prod => totals.prods += 1,
            Event::Kick => totals.kicks += 1,
            Event::Join => totals.joins += 1,
            _ => {}
        }
        Ok(())
    }
}

/// No thread finds a call before it was made, and all calls are found. Thread 0 has the host's IPIs,
/// too, which the trace doesn't tell of.
fn calls_come_first(trace: &Trace<'_>, ring: &Ring<'_>) -> Outcome {
    let target = ring.pir();
    if target.is_multiple_of(8) {
        return Ok(());
    }
    let calls = trace.rings().flat_map(|caller| caller.records());
    let is_call = |record: &Record| record.event == Event::Call as u8 && record.arg.get() == target;
    let mut made: Vec<u64> = calls.filter(is_call).map(|call| call.tb.get()).collect();
    made.sort_unstable();
    let mut ceded = false;
    let mut found = Vec::new();
    for record in ring.records() {
        match Event::try_from(record.event) {
            Ok(Event::Nap) => ceded = record.arg.get() == 1,
            // In H_CEDE the call is taken after the wake-up, and a decrementer may have ended it.
            Ok(Event::Wake) if !ceded && record.arg.get() == BY_IPI => found.push(record.tb.get()),
            Ok(Event::Taken) => found.push(record.tb.get()),
            _ => {}
        }
    }
    same(
        "calls made and found",
        (target, found.len()),
        (target, made.len()),
    )?;
    for (made_tb, found_tb) in made.iter().zip(&found) {
        ensure!(
            made_tb <= found_tb,
            "thread {target:#x} has found a call before it was made"
        );
    }
    Ok(())
}

//! From single instructions to stretches: what a thread does in the firmware from when it comes in
//! until it goes out, and which round of which row each belongs to.
use std::collections::HashMap;
use std::ops::Range;

use anyhow::Result;

use super::code::{Code, real};
use super::exec_log::Step;

/// `nap` and `hrfid`.
const NAP: u32 = 0x4c00_0364;
const HRFID: u32 = 0x4c00_0224;
/// System reset: also where a thread wakes.
const RESET_VECTOR: u64 = 0x100;
/// Interrupts come in at multiples of 32 in this range.
const VECTORS: Range<u64> = 0x100..0x1800;
/// Where each thread begins.
const START: u64 = 0x10;

/// How a thread has come into the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Start,
    Call,
    Nap,
    /// Out of a guest, by this interrupt.
    Guest(u64),
}

/// How it has gone out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Host,
    Guest,
    Nap,
}

#[derive(Clone, Debug)]
pub struct Stretch {
    pub cpu: u32,
    pub from: From,
    pub to: To,
    /// Real addresses of its instructions, in their order.
    pub steps: Vec<u64>,
}

impl Stretch {
    pub fn count(&self) -> u64 {
        self.steps.len() as u64
    }

    pub fn is(&self, from: From, to: To) -> bool {
        (self.from, self.to) == (from, to)
    }

    pub fn left_guest(&self) -> bool {
        matches!(self.from, From::Guest(_))
    }
}

/// Stretches that began between two marks, in the order of their beginning.
pub type Round = Vec<Stretch>;

/// Addresses that part the stream of instructions.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    pub opal_entry: u64,
    pub enter_host: u64,
    /// The marks in the host.
    pub row: u64,
    pub round: u64,
}

impl Places {
    pub fn new(firmware: &Code<'_>, host: &Code<'_>) -> Result<Self> {
        Ok(Self {
            opal_entry: firmware.symbol("opal_entry")?,
            enter_host: firmware.symbol("enter_host")?,
            row: host.symbol("bench_row")?,
            round: host.symbol("bench_round")?,
        })
    }
}

/// Takes instructions as they come.
pub struct Cutter<'a> {
    places: Places,
    code: &'a Code<'a>,
    /// Of each thread: where its present stretch is.
    present: HashMap<u32, (usize, usize, usize)>,
    /// By row and round; those before the first mark are the boot's.
    rows: Vec<Vec<Round>>,
}

impl<'a> Cutter<'a> {
    pub fn new(places: Places, code: &'a Code<'a>) -> Self {
        Self {
            places,
            code,
            present: HashMap::new(),
            rows: vec![vec![Round::new()]],
        }
    }

    pub fn take(&mut self, step: Step) {
        let at = real(step.pc);
        if at == self.places.row {
            self.rows.push(vec![Round::new()]);
        } else if at == self.places.round {
            self.rows
                .last_mut()
                .expect("never empty")
                .push(Round::new());
        } else {
            if let Some(from) = self.begins(step, at) {
                self.begin(step.cpu, from);
            }
            if let Some(stretch) = self.present(step.cpu) {
                stretch.steps.push(at);
            }
        }
    }

    fn begins(&self, step: Step, at: u64) -> Option<From> {
        if at == self.places.opal_entry {
            return Some(From::Call);
        }
        if step.pc == START {
            return Some(From::Start);
        }
        let vector = step.pc;
        if !VECTORS.contains(&vector) || !vector.is_multiple_of(32) {
            return None;
        }
        let present = self.present.get(&step.cpu);
        let last = present.and_then(|&(row, round, at)| self.rows[row][round][at].steps.last());
        // A vector's code can have more than 32 bytes.
        if last.is_some_and(|last| last + 4 == at) {
            return None;
        }
        let napped = last.is_some_and(|last| self.code.instruction(*last) == NAP);
        Some(match vector == RESET_VECTOR && napped {
            true => From::Nap,
            false => From::Guest(vector),
        })
    }

    fn begin(&mut self, cpu: u32, from: From) {
        let row = self.rows.len() - 1;
        let round = self.rows[row].len() - 1;
        let stretches = &mut self.rows[row][round];
        self.present.insert(cpu, (row, round, stretches.len()));
        stretches.push(Stretch {
            cpu,
            from,
            to: To::Host,
            steps: Vec::new(),
        });
    }

    fn present(&mut self, cpu: u32) -> Option<&mut Stretch> {
        let &(row, round, at) = self.present.get(&cpu)?;
        Some(&mut self.rows[row][round][at])
    }

    /// The boot's stretches, and the rounds of each row: those between two marks.
    pub fn finish(mut self) -> (Round, Vec<Vec<Round>>) {
        for stretch in self.rows.iter_mut().flatten().flatten() {
            stretch.to = ending(&self.places, self.code, &stretch.steps);
        }
        let mut rows = self.rows.into_iter();
        let boot = rows.next().into_iter().flatten().next();
        let rounds = |row: Vec<Round>| {
            let rounds = row.len().saturating_sub(2);
            row.into_iter().skip(1).take(rounds).collect()
        };
        (boot.unwrap_or_default(), rows.map(rounds).collect())
    }
}

fn ending(places: &Places, code: &Code<'_>, steps: &[u64]) -> To {
    let last = steps.last().copied().unwrap_or(0);
    // The way into a host is the last function before its end.
    let to_host = (places.enter_host..places.enter_host + 0x100).contains(&last);
    match code.instruction(last) {
        NAP => To::Nap,
        HRFID if !to_host => To::Guest,
        _ => To::Host,
    }
}

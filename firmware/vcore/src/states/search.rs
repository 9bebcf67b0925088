//! All states, one after another.

extern crate std;
use super::canon::canonical;
use super::host::Caller;
use super::invariants;
use super::name::{Name, name};
use super::runner::Run;
use super::state::{At, Config, HOSTS, Host, State};
use super::thread::Place;
use core::fmt;
use core::hash::{BuildHasherDefault, Hasher};
use std::collections::HashSet;
use std::string::String;
use std::vec::Vec;
use std::{format, println};

/// A line of progress after so many states.
const PROGRESS: usize = 1_000_000;

/// Steps that lead on from a state.
#[derive(Default)]
pub struct Steps {
    pub all: Vec<Step>,
    /// Where the protocol has failed at once.
    failed: Option<&'static str>,
}

#[derive(Clone, Copy)]
pub struct Step {
    pub name: &'static str,
    /// It is taken some time, whatever guests and hosts do.
    pub must: bool,
    pub next: State,
}

impl Steps {
    /// A step that nobody can leave out for ever.
    pub fn must(&mut self, name: &'static str, next: State) {
        let must = true;
        self.all.push(Step { name, must, next });
    }

    /// A step that a guest, a host or time may take.
    pub fn may(&mut self, name: &'static str, next: State) {
        let must = false;
        self.all.push(Step { name, must, next });
    }

    pub fn fail(&mut self, why: &'static str) {
        self.failed = Some(why);
    }

    fn of(config: &Config, state: &State) -> Result<Vec<Step>, &'static str> {
        let mut steps = Steps::default();
        for core in 0..config.cores {
            for ptid in 0..config.threads {
                Place {
                    config,
                    state,
                    core,
                    ptid,
                }
                .steps(&mut steps);
            }
            Run {
                config,
                state,
                core,
            }
            .steps(&mut steps);
        }
        for host in 0..HOSTS {
            Caller {
                config,
                state,
                host,
            }
            .steps(&mut steps);
        }
        for step in &mut steps.all {
            step.next = canonical(config, &settled(config, &step.next));
        }
        match steps.failed {
            Some(why) => Err(why),
            None => Ok(steps.all),
        }
    }
}

/// In a coarse model, the state after all steps that concern one thread alone.
fn settled(config: &Config, state: &State) -> State {
    let mut state = *state;
    for core in 0..config.cores {
        for ptid in 0..config.threads {
            let place = Place {
                config,
                state: &state,
                core,
                ptid,
            };
            state = place.settled();
        }
    }
    state
}

/// Names are hashes already.
#[derive(Default)]
struct Plain(u64);

impl Hasher for Plain {
    fn write(&mut self, _bytes: &[u8]) {}
    fn write_u128(&mut self, name: u128) {
        self.0 = (name >> 64) as u64 ^ name as u64;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

type Names = HashSet<Name, BuildHasherDefault<Plain>>;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub states: usize,
    pub steps: usize,
    /// Runs that have ended, by the states in which they did.
    pub ends: usize,
}

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            states,
            steps,
            ends,
        } = self;
        write!(out, "{states} states, {steps} steps, {ends} ends of a run")
    }
}

/// Visits every state. The error says what is wrong in one of the nearest bad ones, and how it
/// came about.
pub fn all(config: &Config, first: &[State]) -> Result<Found, String> {
    let mut search = Search::new(config);
    for state in first {
        search.visit("at first", canonical(config, state))?;
    }
    while !search.frontier.is_empty() {
        for state in core::mem::take(&mut search.frontier) {
            search.expand(&state)?;
        }
    }
    Ok(search.found)
}

struct Search<'a> {
    config: &'a Config,
    seen: Names,
    frontier: Vec<State>,
    /// States from which everybody gets on.
    settling: Names,
    found: Found,
}

impl<'a> Search<'a> {
    fn new(config: &'a Config) -> Self {
        Self {
            config,
            seen: Names::default(),
            frontier: Vec::new(),
            settling: Names::default(),
            found: Found::default(),
        }
    }

    fn visit(&mut self, step: &str, state: State) -> Result<(), String> {
        if !self.seen.insert(name(self.config, &state)) {
            return Ok(());
        }
        self.found.states += 1;
        if self.found.states.is_multiple_of(PROGRESS) {
            println!("states: {}: {} so far", self.config.name, self.found.states);
        }
        if let Err(why) = invariants::check(self.config, &state) {
            return Err(told(self.config, &format!("{why}, after `{step}`"), &state));
        }
        self.frontier.push(state);
        Ok(())
    }

    fn expand(&mut self, state: &State) -> Result<(), String> {
        let steps = Steps::of(self.config, state);
        let steps = steps.map_err(|why| told(self.config, why, state))?;
        self.settles(state, &steps)?;
        for step in steps {
            self.found.steps += 1;
            self.found.ends +=
                usize::from(state.in_run().is_some() && step.next.in_run().is_none());
            self.visit(step.name, step.next)?;
        }
        Ok(())
    }

    /// Steps that nobody can leave out lead to where nobody waits: all calls but a run's have
    /// returned, and so has the run if it had to end.
    fn settles(&mut self, first: &State, steps: &[Step]) -> Result<(), String> {
        let mut tried = Names::default();
        let mut path: Vec<(Name, Vec<State>)> = Vec::new();
        let mut it = name(self.config, first);
        let mut musts = musts(steps);
        let mut state = *first;
        while !self.settling.contains(&it) {
            if tried.insert(it) {
                let waits = musts.is_empty() && nobody_waits(&state);
                path.push((it, musts));
                if waits {
                    break;
                }
            }
            state = loop {
                let Some((_, others)) = path.last_mut() else {
                    return Err(told(self.config, "somebody waits for ever", first));
                };
                match others.pop() {
                    Some(other) => break other,
                    None => path.pop(),
                };
            };
            it = name(self.config, &state);
            musts = Vec::new();
            if !self.settling.contains(&it) && !tried.contains(&it) {
                let steps = Steps::of(self.config, &state);
                let steps = steps.map_err(|why| told(self.config, why, &state))?;
                musts = self::musts(&steps);
            }
        }
        self.settling.extend(path.into_iter().map(|(it, _)| it));
        Ok(())
    }
}

/// Where the steps that must be taken lead.
fn musts(steps: &[Step]) -> Vec<State> {
    let musts = steps.iter().filter(|step| step.must);
    musts.map(|step| step.next).collect()
}

/// Nobody waits for anybody. There are no steps that must be taken.
fn nobody_waits(state: &State) -> bool {
    let free = state.hosts.iter().all(|host| *host == Host::Free);
    let mut threads = state.cores.iter().flat_map(|core| &core.threads);
    free && !state.must_end()
        && threads.all(|thread| matches!(thread.at, At::Idle | At::Guest | At::Dozing))
}

/// What is wrong, and where.
fn told(config: &Config, why: &str, state: &State) -> String {
    let mut text = format!(
        "{why}\n{:?}\n{:?}\non core {} of {:?}\n",
        state.wanted(),
        state.now(),
        state.runs_on,
        state.hosts
    );
    for core in &state.cores[..config.cores] {
        text += &format!(
            "{:?}: called {:#x}, taken {:#x}, exited {:#x}, late {:#x}, ceded {:#x}, \
             hdec {:#x}, over {}\n",
            core.runner,
            core.called,
            core.taken,
            core.exited,
            core.late,
            core.ceded,
            core.hdec,
            core.over
        );
        for (ptid, thread) in core.threads[..config.threads].iter().enumerate() {
            text += &format!("  {ptid}: {thread:?}\n");
        }
    }
    for (slot, page) in state.pages[..config.threads].iter().enumerate() {
        text += &format!("  {slot}: {page:?}\n");
    }
    text
}

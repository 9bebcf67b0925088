//! What is explored, and what must be found.

extern crate std;
use super::flaw::FLAWS;
use super::search::all;
use super::state::{Config, Runner, State};
use crate::{Mask, Roster};
use std::println;
use std::vec::Vec;

/// Nothing but a run of one core, whose guests spin and exit.
const PLAIN: Config = Config {
    name: "",
    cores: 1,
    threads: 8,
    aligned: false,
    eager: true,
    level: false,
    cedes: false,
    prods: false,
    ticks: false,
    time: false,
    joins: false,
    kicks: false,
    changes: false,
    runs: false,
    coarse: true,
    symmetric: true,
    flaw: None,
};

/// Runs of every number of vcpus, which have just begun.
fn begun(config: &Config) -> Vec<State> {
    let begun = |queue: Mask| {
        let mut state = State::default();
        state.roster(|roster: &Roster| {
            (0..config.threads).for_each(|slot| assert!(roster.add(slot)));
            roster.begin(queue, 0, config.eager).unwrap();
        });
        state.cores[0].queue = state.roster;
        state.cores[0].runner = Runner::Assigning;
        state
    };
    let firsts =
        (1..=config.all()).filter(|queue| config.aligned || queue & queue.wrapping_add(1) == 0);
    firsts.map(begun).collect()
}

/// Few states each, so that every flaw can be looked for in them.
const SMALL: [Config; 10] = [
    Config {
        name: "four threads, joined and kicked",
        threads: 4,
        joins: true,
        kicks: true,
        ..PLAIN
    },
    Config {
        name: "three threads in aligned mode, joined and kicked",
        threads: 3,
        aligned: true,
        symmetric: false,
        joins: true,
        kicks: true,
        ..PLAIN
    },
    Config {
        name: "three threads that cede, joined and kicked",
        threads: 3,
        joins: true,
        kicks: true,
        cedes: true,
        ..PLAIN
    },
    Config {
        name: "four threads that cede, whose time may be up",
        threads: 4,
        cedes: true,
        time: true,
        ..PLAIN
    },
    Config {
        name: "two threads that cede and prod, whose decrementers tick, joined and kicked",
        threads: 2,
        joins: true,
        kicks: true,
        cedes: true,
        prods: true,
        ticks: true,
        ..PLAIN
    },
    Config {
        name: "three threads whose decrementers tick, as levels, kicked",
        threads: 3,
        kicks: true,
        ticks: true,
        level: true,
        ..PLAIN
    },
    Config {
        name: "three threads, joined and kicked, by the smallest steps",
        threads: 3,
        joins: true,
        kicks: true,
        coarse: false,
        ..PLAIN
    },
    Config {
        name: "two cores that run one vcore of two threads, joined and kicked",
        threads: 2,
        cores: 2,
        symmetric: false,
        runs: true,
        joins: true,
        kicks: true,
        ..PLAIN
    },
    Config {
        name: "two threads, run again and again, whose vcpus come, go and change",
        threads: 2,
        symmetric: false,
        runs: true,
        kicks: true,
        changes: true,
        ..PLAIN
    },
    Config {
        name: "the same under the policy complete, joined",
        threads: 2,
        symmetric: false,
        eager: false,
        runs: true,
        joins: true,
        kicks: true,
        changes: true,
        ..PLAIN
    },
];

const LARGE: [Config; 5] = [
    Config {
        name: "eight threads, kicked",
        kicks: true,
        ..PLAIN
    },
    Config {
        name: "eight threads, joined",
        joins: true,
        ..PLAIN
    },
    Config {
        name: "eight threads that cede",
        cedes: true,
        ..PLAIN
    },
    Config {
        name: "six threads, joined and kicked",
        threads: 6,
        joins: true,
        kicks: true,
        ..PLAIN
    },
    Config {
        name: "six threads that cede, kicked",
        threads: 6,
        kicks: true,
        cedes: true,
        ..PLAIN
    },
];

/// Minutes each.
const HUGE: [Config; 3] = [
    Config {
        name: "eight threads, joined and kicked",
        joins: true,
        kicks: true,
        ..PLAIN
    },
    Config {
        name: "five threads that cede, joined and kicked",
        threads: 5,
        joins: true,
        kicks: true,
        cedes: true,
        ..PLAIN
    },
    Config {
        name: "four threads in aligned mode, joined and kicked",
        threads: 4,
        aligned: true,
        symmetric: false,
        joins: true,
        kicks: true,
        ..PLAIN
    },
];

/// In every state what must be so is so, and everybody gets on.
fn all_hold(configs: &[Config]) {
    for config in configs {
        match all(config, &begun(config)) {
            Ok(found) => println!("states: {}: {found}", config.name),
            Err(why) => panic!("{}: {why}", config.name),
        }
    }
}

/// B32, B37.
#[test]
fn every_state_is_sound_and_every_run_ends() {
    all_hold(&SMALL);
}

#[test]
fn every_state_of_many_threads_is_sound() {
    all_hold(&LARGE);
}

#[test]
#[ignore = "takes four minutes; the above are parts of it"]
fn every_state_of_all_together_is_sound() {
    all_hold(&HUGE);
}

/// Each flaw makes a state unsound, or a run that never ends.
#[test]
fn every_flaw_is_found() {
    for flaw in FLAWS {
        let found = SMALL.into_iter().find_map(|config| {
            let flawed = Config {
                flaw: Some(flaw),
                ..config
            };
            all(&flawed, &begun(&flawed)).err()
        });
        let Some(why) = found else {
            panic!("{flaw:?} isn't found");
        };
        // The state is many lines long.
        let why = why.lines().next().unwrap_or_default();
        println!("states: flaw {flaw:?}: {why}");
    }
}
